//! `upstream:` how origins are reached, and which addresses never are.

use std::time::Duration;

use octroi_policy::address::{AddressClass, Forbid};
use serde::Deserialize;

use super::sense::{Sense, Text};

/// How long one address of an origin is waited for before the next one is tried.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How origins are reached.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// How long one address is waited for.
    pub connect_timeout: Duration,
    /// What is never dialled: by default every class that can be forbidden, with no exception.
    pub forbid: Forbid,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            forbid: Forbid::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    connect_timeout: Option<Text>,
    forbid: Option<Vec<Text>>,
    allow_internal: Option<Vec<Text>>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Upstream {
    let range = Duration::from_millis(100)..=Duration::from_mins(2);
    let connect_timeout = typed.connect_timeout.as_ref();
    let allowed = typed.allow_internal.iter().flatten();
    let allow = allowed.filter_map(|text| sense.network(text)).collect();
    Upstream {
        connect_timeout: sense.duration(
            "connect_timeout",
            connect_timeout,
            DEFAULT_CONNECT_TIMEOUT,
            range,
        ),
        forbid: Forbid::new(classes(typed.forbid.as_deref(), sense), allow),
    }
}

fn classes(typed: Option<&[Text]>, sense: &mut Sense<'_>) -> Vec<AddressClass> {
    let Some(typed) = typed else {
        return Forbid::ALL.to_vec();
    };
    let words = Forbid::ALL.map(|class| (class.as_str(), class));
    let class = |text| sense.word("forbid", Some(text), AddressClass::Private, &words);
    typed.iter().map(class).collect()
}

//! Names beside ids, by the policy in force: an id that it no longer knows has none.

use std::collections::HashMap;
use std::sync::Arc;

use octroi_policy::Policy;
use octroi_policy::catalogue::Localised;
use serde::Serialize;

/// A text in both languages.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::admin) struct Both<'a> {
    fr: &'a str,
    en: &'a str,
}

impl<'a> From<&'a Localised> for Both<'a> {
    fn from(text: &'a Localised) -> Self {
        Self {
            fr: &text.fr,
            en: &text.en,
        }
    }
}

/// Something with a name.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::admin) struct Named<'a, N> {
    pub(in crate::admin) id: &'a str,
    pub(in crate::admin) name: Option<N>,
}

/// The names of ministries and services.
#[derive(Debug)]
pub(in crate::admin) struct Names<'a> {
    ministries: HashMap<&'a str, Both<'a>>,
    services: HashMap<&'a str, &'a Arc<str>>,
}

impl<'a> Names<'a> {
    pub(in crate::admin) fn of(policy: &'a Policy) -> Self {
        let model = policy.model();
        let ministries = model.ministries.iter();
        let services = model.services.iter();
        Self {
            ministries: ministries
                .map(|it| (&*it.id, Both::from(&it.name)))
                .collect(),
            services: services.map(|it| (&*it.id, &it.name)).collect(),
        }
    }

    pub(in crate::admin) fn ministry<'b>(&'b self, id: &'b str) -> Named<'b, Both<'b>> {
        let name = self.ministries.get(id).copied();
        Named { id, name }
    }

    pub(in crate::admin) fn service<'b>(&'b self, id: &'b str) -> Named<'b, &'b str> {
        let name = self.services.get(id).map(|name| &***name);
        Named { id, name }
    }
}

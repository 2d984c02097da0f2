//! Services and providers as they are written.

use serde::Deserialize;

use super::value::{At, Text, Values};

/// A service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a service")]
pub(crate) struct Service {
    pub(crate) id: Text,
    pub(crate) name: Option<String>,
    pub(crate) provider: Option<Text>,
    pub(crate) country: Option<Text>,
    pub(crate) category: Option<Values>,
    pub(crate) qualification: Option<At<Vec<At<Qualification>>>>,
    pub(crate) operated_by: Option<Text>,
    pub(crate) shared: Option<At<bool>>,
    pub(crate) domains: Option<Values>,
    pub(crate) domains_from: Option<Values>,
    pub(crate) addresses: Option<Values>,
    pub(crate) addresses_from: Option<Values>,
    pub(crate) alternatives: Option<Values>,
    pub(crate) requires: Option<Values>,
    pub(crate) hosted_on: Option<At<Vec<At<HostedOn>>>>,
    pub(crate) url: Option<String>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
    #[serde(rename = "source")]
    pub(crate) _source: Option<String>,
    #[serde(rename = "sources")]
    pub(crate) _sources: Option<Values>,
    pub(crate) unverified: Option<Values>,
}

impl Service {
    /// The keys that `unverified` may name.
    pub(crate) const FIELDS: [&'static str; 18] = [
        "name",
        "provider",
        "country",
        "category",
        "qualification",
        "operated_by",
        "shared",
        "domains",
        "domains_from",
        "addresses",
        "addresses_from",
        "alternatives",
        "requires",
        "hosted_on",
        "url",
        "note",
        "source",
        "sources",
    ];
}

/// A qualification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a qualification")]
pub(crate) struct Qualification {
    pub(crate) scheme: Text,
    pub(crate) since: Option<Text>,
    pub(crate) until: Option<Text>,
    pub(crate) checked: Option<Text>,
    pub(crate) source: Option<String>,
    pub(crate) decision: Option<String>,
}

/// A provider behind a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a provider behind the service")]
pub(crate) struct HostedOn {
    pub(crate) provider: Text,
    pub(crate) since: Option<Text>,
    pub(crate) until: Option<Text>,
    pub(crate) accepted_by: Option<String>,
    pub(crate) reference: Option<String>,
}

/// A provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a provider")]
pub(crate) struct Provider {
    pub(crate) id: Text,
    pub(crate) name: Option<String>,
    pub(crate) jurisdiction: Option<Text>,
    pub(crate) suffixes: Option<Vec<At<NameSet>>>,
    pub(crate) addresses: Option<Vec<At<AddressSet>>>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
    #[serde(rename = "source")]
    pub(crate) _source: Option<String>,
}

/// Suffixes of a provider with one role.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of `names` or `from`, and `role`"
)]
pub(crate) struct NameSet {
    pub(crate) names: Option<Values>,
    pub(crate) from: Option<Values>,
    pub(crate) role: Option<Text>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
    #[serde(rename = "source")]
    pub(crate) _source: Option<String>,
}

/// Ranges of a provider with one role.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of `prefixes` or `from`, and `role`"
)]
pub(crate) struct AddressSet {
    pub(crate) prefixes: Option<Values>,
    pub(crate) from: Option<Values>,
    pub(crate) role: Option<Text>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
    #[serde(rename = "source")]
    pub(crate) _source: Option<String>,
}

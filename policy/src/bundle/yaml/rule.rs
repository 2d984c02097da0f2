//! Rules, references and derogations as they are written.

use serde::Deserialize;

use super::value::{At, Localised, Text, Values};

/// A rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a rule")]
pub(crate) struct Rule {
    pub(crate) id: Text,
    pub(crate) effect: Text,
    pub(crate) mode: Option<Text>,
    pub(crate) when: At<Condition>,
    pub(crate) unless: Option<Vec<At<Condition>>>,
    pub(crate) references: Option<Values>,
    pub(crate) reason: Option<Localised>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

/// A condition: every key must match, any value of a key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a condition")]
pub(crate) struct Condition {
    pub(crate) ministry: Option<Values>,
    pub(crate) workload: Option<Values>,
    pub(crate) sensitivity: Option<Values>,
    pub(crate) service: Option<Values>,
    pub(crate) category: Option<Values>,
    pub(crate) provider: Option<Values>,
    pub(crate) provider_jurisdiction: Option<Values>,
    pub(crate) qualification: Option<Values>,
    pub(crate) operated_by: Option<Values>,
    pub(crate) domains: Option<Values>,
    pub(crate) domains_from: Option<Values>,
    pub(crate) addresses: Option<Values>,
    pub(crate) addresses_from: Option<Values>,
    pub(crate) ports: Option<Values>,
    pub(crate) fronts: Option<bool>,
    pub(crate) wide: Option<Text>,
}

/// A legal text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a reference")]
pub(crate) struct Reference {
    pub(crate) title: Localised,
    pub(crate) url: Option<String>,
    pub(crate) from: Option<Text>,
    pub(crate) until: Option<Text>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

/// How to ask for a derogation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of `fr`, `en` and `url`")]
pub(crate) struct Procedure {
    pub(crate) fr: Option<String>,
    pub(crate) en: Option<String>,
    pub(crate) url: Option<String>,
}

/// A derogation. What every one must have is looked for later, so that the help can say why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a derogation")]
pub(crate) struct Derogation {
    pub(crate) id: Text,
    pub(crate) ministry: Text,
    pub(crate) workloads: Option<Values>,
    pub(crate) services: Values,
    pub(crate) ports: Option<Values>,
    pub(crate) from: Option<Text>,
    pub(crate) until: Option<Text>,
    pub(crate) offer_available_since: Option<Text>,
    pub(crate) approved_by: Option<Text>,
    pub(crate) reference: Option<String>,
    pub(crate) ticket: Option<String>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

//! Ministries and workloads as they are written.

use serde::Deserialize;

use super::value::{At, Entries, Localised, Text, Values};

/// A ministry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a ministry")]
pub(crate) struct Ministry {
    pub(crate) id: Text,
    pub(crate) name: Option<Localised>,
    #[serde(rename = "short")]
    pub(crate) _short: Option<String>,
    pub(crate) contact: Option<String>,
    pub(crate) default: Option<Text>,
    pub(crate) workloads: Option<Vec<At<Workload>>>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

/// A workload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a workload")]
pub(crate) struct Workload {
    pub(crate) id: Text,
    pub(crate) name: Option<Localised>,
    pub(crate) sensitivity: Text,
    pub(crate) sources: Option<Values>,
    pub(crate) certificates: Option<Values>,
    pub(crate) listeners: Option<Values>,
    pub(crate) default: Option<Text>,
    pub(crate) connect_ports: Option<Values>,
    pub(crate) http_ports: Option<Values>,
    pub(crate) tls_ports: Option<Values>,
    pub(crate) trust_original: Option<Values>,
    pub(crate) on: Option<Entries<Text>>,
    #[serde(rename = "note")]
    pub(crate) _note: Option<String>,
}

/// What holds for nobody's sources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Unassigned {
    pub(crate) sensitivity: Option<Text>,
    pub(crate) default: Option<Text>,
    pub(crate) connect_ports: Option<Values>,
    pub(crate) http_ports: Option<Values>,
    pub(crate) tls_ports: Option<Values>,
    pub(crate) on: Option<Entries<Text>>,
}

//! A bundle's own tests as they are written.

use serde::Deserialize;

use super::value::{At, Text, Values};

/// A test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a test")]
pub(crate) struct Test {
    pub(crate) name: Text,
    pub(crate) given: At<Given>,
    pub(crate) expect: At<Expect>,
}

/// The question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a question")]
pub(crate) struct Given {
    pub(crate) source: Text,
    pub(crate) certificate: Option<Values>,
    pub(crate) listener: Option<String>,
    pub(crate) host: Option<Text>,
    pub(crate) url: Option<Text>,
    pub(crate) port: Option<At<u16>>,
    pub(crate) host_header: Option<Text>,
    pub(crate) original: Option<Text>,
    pub(crate) sni: Option<Text>,
    pub(crate) ech: Option<bool>,
    pub(crate) http: Option<bool>,
    pub(crate) cname: Option<Values>,
    pub(crate) address: Option<Values>,
    pub(crate) at: Option<Text>,
}

/// The answer expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an answer")]
pub(crate) struct Expect {
    pub(crate) verdict: Text,
    pub(crate) mode: Option<Text>,
    pub(crate) rule: Option<Text>,
    pub(crate) service: Option<Text>,
    pub(crate) evidence: Option<Text>,
    pub(crate) outcome: Option<Text>,
    pub(crate) sni_outcome: Option<Text>,
    pub(crate) derogation: Option<Text>,
    pub(crate) ministry: Option<Text>,
    pub(crate) workload: Option<Text>,
    pub(crate) reason: Option<Text>,
}

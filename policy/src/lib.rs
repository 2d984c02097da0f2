//! Octroi's policy: who asks, what a flow presents, and whether it may go on.
//!
//! The crate is pure: it opens no socket, reads no clock, spawns nothing and logs nothing. Files are read in one
//! place ([`bundle::Bundle::read`]); the instant of a question is an argument. The same question put to the same
//! policy at the same instant has the same answer for ever, which is what `explain`, `test` and a replay rely on.
//!
//! # From files to an answer
//!
//! | step | module | what it does |
//! | --- | --- | --- |
//! | read | [`bundle`] | the files of a bundle, YAML shapes with their places, plain lists |
//! | check | [`check`](mod@check) | every finding of every file ([`diagnostic`]); without an error, a [`model::Model`] |
//! | compile | [`policy`] | a model made into an immutable [`Policy`] with its [`matcher`]s |
//! | ask | [`flow`] | the question: a [`flow::Source`] and what its [`flow::Flow`] presents |
//! | who | `identify` | address, certificate, listener to workloads ([`ministry`]) |
//! | what | `classify` | each name and address to a service or provider ([`catalogue`]) |
//! | may it | `judge` | the five steps over rules and derogations ([`rule`], [`validity`]) |
//! | answer | [`decision`] | two verdicts and everything that led to them, as ids |
//! | tell | [`explain`](mod@explain), [`suite`] | the answer told to a person; the bundle's own tests |
//!
//! Beneath them: [`name`] (the one canonical host name), [`address`] (what may be dialled at all),
//! [`pattern`] (what a list entry matches).
//!
//! # An example
//!
//! ```
//! use octroi_policy::{Forbid, Host, Policy};
//! use octroi_policy::bundle::Bundle;
//! use octroi_policy::check::check;
//! use octroi_policy::decision::Verdict;
//! use octroi_policy::explain::because;
//! use octroi_policy::flow::{Flow, Protocol, Source};
//!
//! let text = r#"
//! version: 1
//! name: example
//! default: allow
//! rules:
//!   - { id: no-foreign-mail, effect: deny, when: { sensitivity: sensitive, category: messaging } }
//! services:
//!   - { id: foreign-mail, name: Foreign Mail, category: [messaging], domains: [.mail.example] }
//! ministries:
//!   - id: culture
//!     name: Culture
//!     workloads: [ { id: payroll, sensitivity: sensitive, sources: [192.0.2.0/26] } ]
//! tested_at: 2026-11-23
//! "#;
//! let bundle = Bundle::from_files([("policy.yaml".to_owned(), text.into())]).unwrap();
//! let policy = Policy::compile(check(&bundle, None).model.unwrap());
//!
//! // A French-looking name that resolves through the foreign service's.
//! let source = Source::from_address([192, 0, 2, 4].into());
//! let flow = Flow {
//!     source: &source,
//!     protocol: Protocol::Connect,
//!     target: Host::parse("courrier.vendeur.example").unwrap(),
//!     port: 443,
//!     original: None,
//!     host: None,
//!     hello: None,
//!     chain: &["tenant.mail.example".parse().unwrap()],
//!     addresses: &[[203, 0, 113, 9].into()],
//!     resolved: true,
//!     forbid: &Forbid::default(),
//!     ours: &[],
//! };
//! let decision = policy.judge(&flow, "2026-11-24T09:00:00Z".parse().unwrap());
//! assert_eq!(decision.verdict(), Verdict::Deny);
//! assert_eq!(
//!     because(&policy, &decision, &decision.ground().unwrap()),
//!     "rule no-foreign-mail denies cname `tenant.mail.example`",
//! );
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests"
    )
)]

pub mod address;
pub mod bundle;
pub mod catalogue;
pub mod check;
mod classify;
pub mod decision;
pub mod diagnostic;
pub mod explain;
pub mod flow;
mod identify;
mod judge;
pub mod matcher;
pub mod ministry;
pub mod model;
pub mod name;
pub mod pattern;
pub mod policy;
pub mod rule;
pub mod suite;
pub mod validity;

pub use address::{AddressClass, Forbid, carried_ipv4};
pub use matcher::{AddressMatcher, NameMatcher};
pub use name::{Authority, DomainName, Host, NameError};
pub use pattern::{Pattern, PatternError, Specificity};
pub use policy::Policy;

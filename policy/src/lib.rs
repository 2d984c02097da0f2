//! Octroi's policy: pure decisions over names, addresses and dates.
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

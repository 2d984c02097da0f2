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

pub mod name;

pub use name::{Authority, DomainName, Host, NameError};

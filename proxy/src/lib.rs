//! Octroi, the gate.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests"
    )
)]

pub mod addr;
pub mod admin;
pub mod client_hello;
pub mod config;
pub mod dns;
pub mod ledger;
pub mod limits;
pub mod linger;
pub mod relay;
pub mod reload;
pub mod reply;
pub mod upstream;

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
pub mod cli;
pub mod client_hello;
pub mod config;
pub mod connection;
pub mod dns;
pub mod fault;
pub mod forward;
pub mod gate;
pub mod ledger;
pub mod limits;
pub mod linger;
pub mod listener;
pub mod passage;
pub mod relay;
pub mod reload;
pub mod reply;
pub mod request;
pub mod server;
pub mod upstream;

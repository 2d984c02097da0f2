//! The gate from outside: network, files, `/metrics` and the audit log; nothing here links its code.
//!
//! Every test owns a block of loopback addresses or networks of its own, its own DNS server, origins and
//! gate, so tests run in parallel. Real clients and servers come from Debian; a missing one fails its test and says what
//! to install. Ports 53, 80 and 443 are bound, so the suite runs as root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test, and clients dial"
)]

mod harness;

mod balanced;
mod capture;
mod commands;
mod console_api;
mod crowd;
mod dashboards;
mod evasion;
mod evidence;
mod explicit;
mod http;
mod incident;
mod ledger;
mod limits;
mod malformed;
mod pages;
mod people;
mod process;
mod readme;
mod rehearsal;
mod reload;
mod robustness;
mod second_hello;
mod selfservice;
mod sni;
mod state;
mod threats;
mod tls;
mod transparent;
mod upgrade;

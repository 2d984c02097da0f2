//! Bytes on the wire: request heads, ClientHellos, DNS answers.
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

pub mod client_hello;

pub use client_hello::{ClientHello, HelloReader, Peek, Sni};

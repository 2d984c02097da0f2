//! Bytes on the wire, read strictly: no sockets, no clock, no async, so that each reader can be
//! tested and fuzzed alone.
//!
//! | module | bytes | becomes |
//! | --- | --- | --- |
//! | [`head`] | an HTTP/1.1 request head | [`Head`]: target, Host, framing; written anew for the origin |
//! | [`body`] | the body of a request | where it ends |
//! | [`client_hello`] | the first flight of a TLS client | [`ClientHello`]: SNI, ALPN, ECH, versions |
//! | [`server_hello`] | the first answer of a TLS server | whether it asks for a second hello |
//! | [`second_hello`] | what the client sends meanwhile | what of it may pass |
//! | [`proxy_header`] | a balancer's PROXY header | [`Sender`]: whose connection it passes on |
//! | [`dns`] | the records of an answer | [`Answer`]: the chain of names and the addresses |
//!
//! Every name in them is an [`octroi_policy::DomainName`], every reader has a limit and resumes
//! where it was, and hostile bytes are an error with a word for the log, never a panic.
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

pub mod body;
pub mod client_hello;
pub mod dns;
pub mod head;
pub mod proxy_header;
mod record;
pub mod second_hello;
pub mod server_hello;

pub use body::{BodyError, BodyReader};
pub use client_hello::{ClientHello, HelloReader, Peek, Sni};
pub use dns::{Answer, AnswerError};
pub use head::{Framing, Head, HeadError, HeadReader, Scheme, Target};
pub use proxy_header::{ProxyHeaderError, Sender};
pub use second_hello::{Passing, SecondHello};
pub use server_hello::{ServerReader, ServerSays};

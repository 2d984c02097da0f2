//! Octroi, the gate: an egress proxy that judges what it is asked for before it dials.
//!
//! # The path of one connection
//!
//! [`connection::handle`] reads like this list; each line is a module.
//!
//! | step | module | what it does |
//! | --- | --- | --- |
//! | accept | [`listener`], [`limits`], [`certificate`] | takes a connection in, over TLS where the listener speaks it, or answers 503 at once |
//! | read | [`request`] | one strict request head, in time and within its size |
//! | who, what, may it | [`passage`], [`shares`] | one flow: its evidence, each judgement of it by `octroi-policy`, its place among those of its source, workload and ministry |
//! | resolve | [`dns`] | the name to its whole CNAME chain and addresses, all of which are judged |
//! | dial | [`upstream`] | exactly the addresses that a permit covers |
//! | 200, then peek | [`client_hello`] | the first words inside a tunnel, judged before any byte goes on |
//! | carry | [`relay`], [`forward`] | a tunnel's bytes; plain HTTP through Pingora's engine |
//! | refuse | [`reply`], [`fault`], [`linger`] | what the client is told, and that it hears it |
//! | explain | [`refusals`], [`selfservice`], [`pac`] | the client's own last refusals, and the way out, as web pages |
//! | record | [`ledger`] | one entry a flow: the counters and the audit log, which agree |
//!
//! Around it: [`server`] (the process, from its sockets to its orderly end), [`systemd`] (what the service manager is
//! told), [`gate`](mod@gate) (what all connections share), [`reload`] (bundle to policy, swapped in whole), [`state`]
//! (what is remembered over a restart), [`tunnels`] (the open ones, judged again when the policy or its dates change),
//! [`admin`] (metrics, health, the policy in force, reload, the console), [`explain`] (a person's question, answered as the
//! wire would), [`config`] (`octroi.yaml`), [`addr`] (addresses by the part they play), [`cli`] (the commands), [`demo`] (a
//! world around the gate that is made up, for `octroi demo`), and `accept_errors` (connections that the kernel would not hand over).
//!
//! # What is not here
//!
//! - Nothing but [`upstream`] dials, and it takes only an [`upstream::Permit`], which only an allowing decision makes:
//!   *judged is dialled* is a type. (What plays the clients in [`demo`] connects to the gate. There alone, too, a
//!   [`demo::Detour`] leads permitted dials to an origin on loopback: no other module can make one.)
//! - Nothing but [`dns`] resolves a name.
//! - No rule, list or name of a service is in the code; `octroi-policy` decides from the bundle alone.
//! - Nothing decrypts, and no body is looked at.
//!
//! Who may try to get past it, what stops them, and what is out of reach: [`threat_model`].
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests"
    )
)]

mod accept_errors;
pub mod addr;
pub mod admin;
pub mod certificate;
pub mod cli;
pub mod client_hello;
pub mod config;
pub mod connection;
pub mod demo;
pub mod dns;
pub mod explain;
pub mod fault;
pub mod first_words;
pub mod forward;
pub mod gate;
pub mod ledger;
pub mod limits;
pub mod linger;
pub mod listener;
pub mod pac;
pub mod passage;
pub mod refusals;
pub mod relay;
pub mod reload;
pub mod reply;
pub mod request;
pub mod selfservice;
pub mod server;
pub mod shares;
pub mod state;
pub mod systemd;
#[doc = include_str!("threat_model.md")]
pub mod threat_model {}
pub mod tunnels;
pub mod upstream;

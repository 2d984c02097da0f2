//! The fields of an audit line as they are read: each one that `ledger::line` writes, and no more.
//!
//! What is absent is empty: lines of older and newer gates are read as far as they are understood.

use std::net::IpAddr;

use serde::Deserialize;

/// Declares structs that are read, whose fields all may be absent.
macro_rules! read {
    ($($(#[$meta:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[cfg_attr(test, derive(serde::Serialize))]
        #[serde(default)]
        pub(crate) struct $name { $($(#[$of])* pub(crate) $field: $kind,)* }
    )* };
}

read! {
    Ecs { version: String, }
    Event {
        kind: String,
        category: Vec<String>,
        #[serde(rename = "type")]
        types: Vec<String>,
        action: String,
        outcome: String,
        id: String,
        reason: Option<String>,
        /// Nanoseconds.
        duration: Option<u64>,
    }
    Endpoint {
        ip: Option<IpAddr>,
        domain: Option<String>,
        port: Option<u16>,
        bytes: Option<u64>,
        nat: Option<Nat>,
    }
    Nat { ip: Option<IpAddr>, }
    Client { hash: String, key_id: String, }
    Network { transport: String, protocol: Option<String>, bytes: Option<u64>, }
    Http { request: Option<HttpRequest>, response: Option<HttpResponse>, }
    HttpRequest { method: String, }
    HttpResponse { status_code: u16, }
    Url { domain: String, port: u16, scheme: Option<String>, }
    UserAgent { original: String, }
    Tls { client: TlsClient, }
    TlsClient { server_name: String, }
    Dns { answers: Vec<DnsAnswer>, resolved_ip: Vec<IpAddr>, }
    DnsAnswer {
        #[serde(rename = "type")]
        kind: String,
        data: String,
    }
    Rule { id: String, ruleset: String, }
    Named { id: String, }
    Service { id: String, name: String, }
    /// What is said under `octroi`, on lines of any kind.
    Octroi {
        ministry: Option<String>,
        workload: Option<String>,
        /// `ministry/workload` of each, where several were judged.
        conflict: Vec<String>,
        verdict: Option<String>,
        mode: Option<String>,
        grounds: Vec<Ground>,
        evidence: Vec<Piece>,
        rules: Vec<Hit>,
        derogation: Option<String>,
        lifts: Vec<Lift>,
        outcome: Option<String>,
        sni: Option<String>,
        question: Option<Question>,
        policy: Option<Policy>,
        judged_at: Option<String>,
        /// Of a `close` or `reject` line.
        reason: Option<String>,
        /// Of a `close` or `reject` line.
        detail: Option<String>,
        /// Of a `close` line.
        closed_by: Option<String>,
        /// Of a `close` line.
        service: Option<String>,
        /// Of a `close` line: the limit that the flow met.
        limit: Option<Limit>,
        /// Of a `reject` line.
        listener: Option<String>,
    }
    Limit { name: String, of: Option<String>, most: usize, }
    Policy { name: String, digest: String, }
    Ground {
        ground: String,
        rule: Option<String>,
        /// Position in `evidence`.
        evidence: Option<u16>,
        what: Option<String>,
    }
    Piece {
        kind: String,
        value: String,
        service: Option<String>,
        provider: Option<String>,
        role: Option<String>,
        range: Option<String>,
        sharing: Vec<String>,
        local_service: Option<String>,
    }
    Hit {
        rule: String,
        /// Position in `evidence`.
        evidence: u16,
        list: Option<String>,
        disposition: String,
        derogation: Option<String>,
    }
    Lift {
        derogation: String,
        /// Position in `evidence`.
        evidence: u16,
        cover: String,
        through: Option<String>,
        used: bool,
    }
    Question {
        protocol: String,
        target: String,
        port: u16,
        original: Option<IpAddr>,
        host: Option<String>,
        hello: Option<Hello>,
        chain: Vec<String>,
        addresses: Vec<IpAddr>,
        resolved: bool,
        ours: Vec<IpAddr>,
        listener: Option<String>,
        certificate: Vec<String>,
    }
    Hello { saw: String, name: Option<String>, ech: bool, }
}

//! The shape of an audit line: Elastic Common Schema names, and under `octroi` everything that
//! `explain` would say, as ids, with all that `replay` needs to ask the same question again.
//!
//! Serialising into a struct escapes every byte a client sent; nothing is pasted into a line.

mod facts;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use facts::protocol_word;
pub(super) use facts::{Facts, LimitLine, OctroiDecision, PolicyLine, Question};

use super::FlowId;

/// Version of the Elastic Common Schema whose names are used.
const ECS: &str = "8.17.0";

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a, O: Serialize> {
    #[serde(rename = "@timestamp")]
    pub(super) timestamp: String,
    pub(super) ecs: Ecs,
    pub(super) event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<Endpoint<'a>>,
    pub(super) network: Network,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<Http<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<Url<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_agent: Option<UserAgent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dns: Option<Dns<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Rule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Service<'a>>,
    pub(super) octroi: O,
}

impl<O: Serialize> Line<'_, O> {
    /// A line that says only when and what.
    pub(super) fn new(at: Timestamp, event: Event, octroi: O) -> Self {
        Self {
            timestamp: format!("{at:.6}"),
            ecs: Ecs { version: ECS },
            event,
            source: None,
            client: None,
            destination: None,
            network: Network {
                transport: "tcp",
                protocol: None,
                bytes: None,
            },
            http: None,
            url: None,
            user_agent: None,
            tls: None,
            dns: None,
            rule: None,
            organization: None,
            service: None,
            octroi,
        }
    }

    /// Names the balancer that passed the connection on, where one did: it is no person's address,
    /// so it is written however clients are named.
    pub(super) fn passed_on_by(&mut self, balancer: Option<IpAddr>) {
        if let Some(ip) = balancer {
            self.source.get_or_insert_default().nat = Some(Nat { ip });
        }
    }

    /// The line as bytes, its newline included.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1536);
        if let Err(error) = serde_json::to_writer(&mut bytes, self) {
            // Every key is a string and nothing here fails by itself.
            tracing::error!(%error, "an audit line could not be formed");
        }
        bytes.push(b'\n');
        bytes
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Ecs {
    version: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) category: [&'static str; 1],
    #[serde(rename = "type")]
    pub(super) types: [&'static str; 2],
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
    pub(super) id: FlowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration: Option<u64>,
}

impl Event {
    pub(super) fn new(
        action: &'static str,
        id: FlowId,
        kind: &'static str,
        outcome: &'static str,
    ) -> Self {
        Self {
            kind: "event",
            category: ["network"],
            types: ["connection", kind],
            action,
            outcome,
            id,
            reason: None,
            duration: None,
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Endpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nat: Option<Nat>,
}

/// The address under which a load balancer connects for a source (ECS `source.nat`).
#[derive(Debug, Serialize)]
pub(super) struct Nat {
    pub(super) ip: IpAddr,
}

/// Who asked, where addresses are not written.
#[derive(Debug, Serialize)]
pub(super) struct Client {
    /// The same for one address within one month, under one key.
    pub(super) hash: String,
    /// The month, as `2026-11`: hashes of two months cannot be compared.
    pub(super) key_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Network {
    pub(super) transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<HttpRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<HttpResponse>,
}

#[derive(Debug, Serialize)]
pub(super) struct HttpRequest<'a> {
    pub(super) method: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct HttpResponse {
    pub(super) status_code: u16,
}

#[derive(Debug, Serialize)]
pub(super) struct Url<'a> {
    pub(super) domain: &'a str,
    pub(super) port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct UserAgent<'a> {
    pub(super) original: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Tls<'a> {
    pub(super) client: TlsClient<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct TlsClient<'a> {
    pub(super) server_name: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Dns<'a> {
    pub(super) answers: Vec<DnsAnswer<'a>>,
    pub(super) resolved_ip: &'a [IpAddr],
}

#[derive(Debug, Serialize)]
pub(super) struct DnsAnswer<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) data: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Rule<'a> {
    pub(super) id: &'a str,
    pub(super) ruleset: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Service<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
}

//! `limits:` how much of everything one client, or all of them, may use.

pub mod shares;

use std::time::Duration;

use serde::Deserialize;

pub use shares::{Figures, Shares};

use super::sense::{Sense, Text};

/// Connections of one source at a time: a busy desktop holds some hundreds, a NAT more.
pub const DEFAULT_PER_SOURCE: usize = 2000;
/// Live metric series: what a Prometheus takes from one target without complaint.
pub const DEFAULT_METRIC_SERIES: usize = 50_000;
/// Bytes of a request head: what browsers and common servers put up with.
pub const DEFAULT_HEAD: usize = 64 << 10;
/// Bytes of a ClientHello: post-quantum ones have 2 KiB, one handshake message at most 64 KiB here.
pub const DEFAULT_CLIENT_HELLO: usize = 64 << 10;
/// How long TLS between client and gate may take to be agreed on.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request head may take.
pub const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a ClientHello may take after the 200.
pub const DEFAULT_HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a captured connection may say nothing on a port where neither TLS nor HTTP is expected, before the
/// server is let speak first.
pub const DEFAULT_INSPECT_DELAY: Duration = Duration::from_secs(1);
/// How long nothing may move in a tunnel before it is closed.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_hours(1);

/// How much of everything may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections in all.
    pub connections: Connections,
    /// Client connections of one source address.
    pub per_source: usize,
    /// Flows of one source, ministry and workload.
    pub shares: Shares,
    /// Live series of all metric families together.
    pub metric_series: usize,
    /// Bytes of a request head.
    pub head: usize,
    /// Bytes of a ClientHello.
    pub client_hello: usize,
    /// How long TLS between client and gate may take to be agreed on.
    pub handshake_timeout: Duration,
    /// How long a request head may take.
    pub head_timeout: Duration,
    /// How long a ClientHello may take after the 200.
    pub hello_timeout: Duration,
    /// How long a captured connection may say nothing where no ClientHello is awaited.
    pub inspect_delay: Duration,
    /// How long nothing may move in a tunnel.
    pub idle_timeout: Duration,
}

/// Client connections in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// What the descriptor limit carries.
    Auto,
    /// This many.
    AtMost(usize),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Connections::Auto,
            per_source: DEFAULT_PER_SOURCE,
            shares: Shares::default(),
            metric_series: DEFAULT_METRIC_SERIES,
            head: DEFAULT_HEAD,
            client_hello: DEFAULT_CLIENT_HELLO,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            head_timeout: DEFAULT_HEAD_TIMEOUT,
            hello_timeout: DEFAULT_HELLO_TIMEOUT,
            inspect_delay: DEFAULT_INSPECT_DELAY,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    connections: Option<Text>,
    per_source: Option<Text>,
    flows: shares::Typed,
    new_flows: shares::TypedNew,
    metric_series: Option<Text>,
    head: Option<Text>,
    client_hello: Option<Text>,
    handshake_timeout: Option<Text>,
    head_timeout: Option<Text>,
    hello_timeout: Option<Text>,
    inspect_delay: Option<Text>,
    idle_timeout: Option<Text>,
}

/// More descriptors than Linux lets a process have by default (`fs.nr_open`).
const MOST_CONNECTIONS: usize = 1 << 20;

pub(super) fn meaning(typed: Typed, sense: &mut Sense<'_>) -> Limits {
    let second = Duration::from_secs(1);
    let reading = Duration::from_millis(100)..=Duration::from_mins(5);
    let default = Limits::default();
    Limits {
        connections: connections(typed.connections.as_ref(), sense),
        per_source: sense.number(
            "per_source",
            typed.per_source.as_ref(),
            default.per_source,
            1..=MOST_CONNECTIONS,
        ),
        shares: shares::meaning(typed.flows, typed.new_flows, sense),
        metric_series: sense.number(
            "metric_series",
            typed.metric_series.as_ref(),
            default.metric_series,
            1_000..=10_000_000,
        ),
        head: sense.size("head", typed.head.as_ref(), default.head, 1 << 10..=1 << 20),
        client_hello: sense.size(
            "client_hello",
            typed.client_hello.as_ref(),
            default.client_hello,
            4 << 10..=64 << 10,
        ),
        handshake_timeout: sense.duration(
            "handshake_timeout",
            typed.handshake_timeout.as_ref(),
            default.handshake_timeout,
            reading.clone(),
        ),
        head_timeout: sense.duration(
            "head_timeout",
            typed.head_timeout.as_ref(),
            default.head_timeout,
            reading.clone(),
        ),
        hello_timeout: sense.duration(
            "hello_timeout",
            typed.hello_timeout.as_ref(),
            default.hello_timeout,
            reading.clone(),
        ),
        inspect_delay: sense.duration(
            "inspect_delay",
            typed.inspect_delay.as_ref(),
            default.inspect_delay,
            reading,
        ),
        idle_timeout: sense.duration(
            "idle_timeout",
            typed.idle_timeout.as_ref(),
            default.idle_timeout,
            second..=Duration::from_hours(168),
        ),
    }
}

fn connections(typed: Option<&Text>, sense: &mut Sense<'_>) -> Connections {
    match typed {
        None => Connections::Auto,
        Some(text) if text.value == "auto" => Connections::Auto,
        Some(text) => {
            Connections::AtMost(sense.number("connections", Some(text), 1, 1..=MOST_CONNECTIONS))
        }
    }
}

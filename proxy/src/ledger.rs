//! The ledger: one [`Entry`] a flow, decided once and closed once, whatever happens to the flow.
//!
//! A decision moves the counters and writes its line in the same call, so that counters and log
//! agree. Three readers: [`metrics`], the audit log, and the feed of the last attempts for the console.

mod audit;
mod client;
mod entry;
pub(crate) mod feed;
mod id;
pub(crate) mod line;
pub mod metrics;
pub(crate) mod record;
mod refused;
mod series;
mod sketch;
mod sources;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use octroi_policy::catalogue::Id;
use octroi_policy::flow::{Protocol, Source};
use octroi_policy::name::Host;
use serde::Serialize;
use thiserror::Error;

pub use audit::Unwritable;
pub(crate) use audit::rotates;
pub use client::KeyError;
pub(crate) use client::is_key_exposed;
pub use entry::Entry;
pub use id::{FlowId, IdError, URN as INCIDENT_URN};
pub use metrics::Metrics;

use crate::config::{Audit, Sink};
use client::ClientNaming;
use feed::{Attempt, Feed};
use line::{Event, Http, HttpResponse, Line};

/// Characters kept of what a client calls itself, and of a reject's detail.
const MAX_TEXT: usize = 256;

/// Where flows are recorded; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    metrics: Arc<Metrics>,
    log: audit::Log,
    naming: Arc<ClientNaming>,
    feed: Feed,
}

/// The ledger could not be opened.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The audit log cannot be written.
    #[error("cannot open the audit log {at}: {error}")]
    Audit {
        /// Its file in backticks, or standard output.
        at: String,
        /// Why.
        error: io::Error,
    },
    /// The key for clients' addresses cannot be used.
    #[error("cannot use the key of the audit log: {0}")]
    Key(#[from] KeyError),
    /// Two metrics have one name: a fault of ours.
    #[error("cannot declare the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl LedgerError {
    fn unwritable(audit: &Audit, error: io::Error) -> Self {
        let at = match &audit.sink {
            Sink::File(path) => format!("`{}`", path.display()),
            Sink::StandardOutput | Sink::Off => "on standard output".to_owned(),
        };
        Self::Audit { at, error }
    }
}

/// What is known when a flow begins.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Who asks.
    pub source: Source,
    /// The client's port.
    pub client_port: u16,
    /// The balancer that passed the connection on.
    pub balancer: Option<IpAddr>,
    /// How.
    pub protocol: Protocol,
    /// The HTTP method.
    pub method: String,
    /// What is asked for.
    pub target: Host,
    /// On which port.
    pub port: u16,
    /// Where a captured connection was on its way to.
    pub original: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// A request that never became a flow.
#[derive(Clone, Debug)]
pub struct Rejected<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The balancer that passed the connection on.
    pub balancer: Option<IpAddr>,
    /// The listener it came to.
    pub listener: &'a Id,
    /// Why: a word of ours, the label of `octroi_client_errors_total`.
    pub reason: &'static str,
    /// The status it was answered with; 0 = none.
    pub status: u16,
    /// More about it; may hold a client's text.
    pub detail: Option<&'a str>,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// More about it: a word of ours, such as a DNS error's.
    pub detail: Option<&'static str>,
    /// Who ended it.
    pub by: ClosedBy,
    /// Bytes from the client.
    pub bytes_up: u64,
    /// Bytes to the client.
    pub bytes_down: u64,
}

/// Why an open tunnel may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The weightiest ground, in the word for it.
    pub ground: &'static str,
    /// The rule it names.
    pub rule: Option<Id>,
    /// The policy that denies it.
    pub policy: Id,
    /// That policy's digest.
    pub digest: Arc<str>,
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything was said.
    Finished,
    /// It was denied.
    Denied,
    /// The target could not be resolved.
    DnsFailed,
    /// No address of the target could be reached.
    Unreachable,
    /// It was permitted, and one too many.
    Limited,
    /// Nothing moved for too long.
    IdleTimeout,
    /// A connection broke.
    Reset,
    /// It was permitted, and is no more: the policy was replaced, or a date in it passed.
    Revoked,
    /// The first hello was permitted, and the second one does not say the same.
    SecondHello,
    /// The gate stops.
    Drained,
    /// The flow ended in the middle of the gate's work.
    Aborted,
}

impl CloseReason {
    /// As written in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::Finished => "finished",
            CloseReason::Denied => "denied",
            CloseReason::DnsFailed => "dns-failed",
            CloseReason::Unreachable => "unreachable",
            CloseReason::Limited => "limited",
            CloseReason::IdleTimeout => "idle-timeout",
            CloseReason::Reset => "reset",
            CloseReason::Revoked => "revoked",
            CloseReason::SecondHello => "second-hello",
            CloseReason::Drained => "drained",
            CloseReason::Aborted => "aborted",
        }
    }
}

/// Who ended a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The client.
    Client,
    /// The origin.
    Upstream,
    /// The gate.
    Gate,
}

impl ClosedBy {
    /// As written in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClosedBy::Client => "client",
            ClosedBy::Upstream => "upstream",
            ClosedBy::Gate => "gate",
        }
    }
}

impl Ledger {
    /// Opens the ledger: declares the metrics, opens the log, starts its writer.
    ///
    /// # Errors
    /// When the log's file cannot be opened for appending, or the key for addresses not be used.
    pub fn open_books(audit: &Audit, metric_series: usize) -> Result<Self, LedgerError> {
        let naming = Arc::new(ClientNaming::load(&audit.client_address)?);
        let metrics = Arc::new(Metrics::new(metric_series)?);
        let (errors, lost) = (metrics.audit_errors.clone(), metrics.audit_lost.clone());
        let log = audit::Log::start(audit, errors, lost);
        let log = log.map_err(|error| LedgerError::unwritable(audit, error))?;
        Ok(Self {
            metrics,
            log,
            naming,
            feed: Feed::new(Timestamp::now()),
        })
    }

    /// What would keep the ledger from being opened; nothing is written, and no file is made.
    #[must_use]
    pub fn rehearse(audit: &Audit) -> Vec<LedgerError> {
        let key = ClientNaming::load(&audit.client_address).map(drop);
        let log = audit::rehearse(audit);
        let log = log.map_err(|error| LedgerError::unwritable(audit, error));
        let found = [key.map_err(LedgerError::from), log];
        found.into_iter().filter_map(Result::err).collect()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The last attempts.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Who made an attempt, as `audit.client_address` has it.
    pub(crate) fn client(&self, attempt: &Attempt) -> Option<String> {
        self.naming.text(attempt.client?, attempt.at)
    }

    /// Waits until a new flow may begin: at once, unless the log falls behind or fails.
    ///
    /// # Errors
    /// [`Unwritable`]: refuse the flow (503), for it could not be recorded.
    pub async fn admit(&self) -> Result<(), Unwritable> {
        self.log.admit().await
    }

    /// Whether a new flow may be recorded now, as far as the log is concerned.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.log.is_writable()
    }

    /// Begins a flow.
    #[must_use]
    pub fn open(&self, mut opened: Opened) -> Entry {
        if let Some(text) = &mut opened.user_agent {
            shorten(text);
        }
        Entry::new(self.clone(), opened)
    }

    /// Records a request that never became a flow; its incident id.
    pub fn reject(&self, rejected: &Rejected<'_>) -> FlowId {
        let id = FlowId::draw();
        self.metrics.client_error(rejected.reason);
        if self.log.is_on() {
            self.log.line(self.reject_line(id, rejected));
        }
        id
    }

    /// Opens the log's file anew if it was moved away.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Writes everything recorded so far; whether that worked. Call it before the process ends.
    pub async fn flush(&self) -> bool {
        self.log.flush().await
    }

    fn reject_line(&self, id: FlowId, rejected: &Rejected<'_>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Octroi<'a> {
            reason: &'static str,
            listener: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<String>,
        }
        let mut detail = rejected.detail.map(str::to_owned);
        if let Some(text) = &mut detail {
            shorten(text);
        }
        let octroi = Octroi {
            reason: rejected.reason,
            listener: rejected.listener,
            detail,
        };
        let mut event = Event::new("reject", id, "denied", "failure");
        event.reason = Some(rejected.reason);
        let at = Timestamp::now();
        let mut line = Line::new(at, event, octroi);
        self.naming
            .name(&mut line, rejected.client, rejected.client_port, at);
        line.passed_on_by(rejected.balancer);
        let status = (rejected.status != 0).then_some(rejected.status);
        let response = status.map(|status_code| HttpResponse { status_code });
        line.http = response.map(|response| Http {
            request: None,
            response: Some(response),
        });
        line.bytes()
    }
}

/// Cuts a client's text to a length that fits a line.
fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests;

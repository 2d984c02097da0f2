//! Audit lines read back: what was recorded, and the question to ask again.
//!
//! The writer is `ledger::line`. What it writes is read here, field by field (a test holds both to it), and a
//! flow that is rebuilt from its line and judged by the same policy at the same instant has the same decision.

mod search;
mod shape;

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::address::Forbid;
use octroi_policy::catalogue::Id;
use octroi_policy::decision::{Decision, Who};
use octroi_policy::flow::{CertificateName, Flow, Hello, Protocol, Source};
use octroi_policy::name::{DomainName, Host};
use serde::Deserialize;
use thiserror::Error;

pub(crate) use search::{Order, Place, Search, Searched};
pub(crate) use shape::{Endpoint, Ground, Hit, Lift, Octroi, Piece};

use super::Opened;
use super::line::{Facts, OctroiDecision, protocol_word};

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct Record {
    #[serde(rename = "@timestamp")]
    pub(crate) timestamp: String,
    #[serde(default)]
    pub(crate) ecs: shape::Ecs,
    pub(crate) event: shape::Event,
    pub(crate) source: Option<shape::Endpoint>,
    pub(crate) client: Option<shape::Client>,
    pub(crate) destination: Option<shape::Endpoint>,
    #[serde(default)]
    pub(crate) network: shape::Network,
    pub(crate) http: Option<shape::Http>,
    pub(crate) url: Option<shape::Url>,
    pub(crate) user_agent: Option<shape::UserAgent>,
    pub(crate) tls: Option<shape::Tls>,
    pub(crate) dns: Option<shape::Dns>,
    pub(crate) rule: Option<shape::Rule>,
    pub(crate) organization: Option<shape::Named>,
    pub(crate) service: Option<shape::Service>,
    #[serde(default)]
    pub(crate) octroi: Octroi,
}

/// A line cannot be asked again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RecordError {
    /// It is another line than a decision's, or one of an earlier gate.
    #[error("the line keeps no question")]
    NoQuestion,
    /// It was changed, or comes from another gate.
    #[error("`{value}` is nothing that `octroi.question.{field}` can be")]
    Field {
        /// The key.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// Whoever asked is known neither by address nor by a workload of this policy.
    #[error("no address was recorded, and the policy has no workload `{0}`")]
    Nobody(String),
}

/// What a flow presented, as its decision line keeps it: what [`Flow`] borrows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    asker: Asker,
    source: Source,
    protocol: Protocol,
    target: Host,
    port: u16,
    original: Option<IpAddr>,
    host: Option<Host>,
    hello: Option<Hello>,
    chain: Vec<DomainName>,
    addresses: Vec<IpAddr>,
    resolved: bool,
    ours: Vec<IpAddr>,
}

/// How whoever asked is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// By the address: identified anew.
    Address,
    /// By the workloads recorded, each as `ministry/workload`: the address was not written.
    Workloads(Vec<String>),
}

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no JSON, or not of this log.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The question that was judged.
    ///
    /// # Errors
    /// [`RecordError::NoQuestion`] for every line but a decision's; [`RecordError::Field`].
    pub(crate) fn question(&self) -> Result<Question, RecordError> {
        let asked = self.octroi.question.as_ref();
        let asked = asked.ok_or(RecordError::NoQuestion)?;
        let address = self.source.as_ref().and_then(|source| source.ip);
        let asker = match address {
            Some(_) => Asker::Address,
            None => Asker::Workloads(self.octroi.workloads()),
        };
        let name = |field, text: &String| read(field, text, DomainName::parse);
        let names = |field, all: &[String]| {
            all.iter()
                .map(|text| name(field, text))
                .collect::<Result<Vec<_>, _>>()
        };
        let certificate = |text: &String| {
            let parse = |text: &str| CertificateName::parse(text).ok_or(());
            read("certificate", text, parse)
        };
        let host = |text: &String| read("host", text, Host::parse);
        Ok(Question {
            asker,
            source: Source {
                certificate: asked
                    .certificate
                    .iter()
                    .map(certificate)
                    .collect::<Result<_, _>>()?,
                listener: asked.listener.as_deref().map(Id::from),
                ..Source::from_address(address.unwrap_or(NO_ADDRESS))
            },
            protocol: read("protocol", &asked.protocol, protocol)?,
            target: read("target", &asked.target, Host::parse)?,
            port: asked.port,
            original: asked.original,
            host: asked.host.as_ref().map(host).transpose()?,
            hello: asked.hello.as_ref().map(hello).transpose()?,
            chain: names("chain", &asked.chain)?,
            addresses: asked.addresses.clone(),
            resolved: asked.resolved,
            ours: asked.ours.clone(),
        })
    }
}

/// Stands where no address was written: no client has it.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn read<T, E>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, RecordError> {
    let value = || text.to_owned();
    parse(text).map_err(|_| RecordError::Field {
        field,
        value: value(),
    })
}

fn protocol(word: &str) -> Result<Protocol, ()> {
    let all = [Protocol::Connect, Protocol::Http, Protocol::Captured];
    let mut all = all.into_iter();
    all.find(|&it| protocol_word(it) == word).ok_or(())
}

fn hello(recorded: &shape::Hello) -> Result<Hello, RecordError> {
    let wrong = || RecordError::Field {
        field: "hello.saw",
        value: recorded.saw.clone(),
    };
    Ok(match (recorded.saw.as_str(), &recorded.name) {
        ("name", Some(name)) => Hello::Name {
            name: read("hello.name", name, DomainName::parse)?,
            ech: recorded.ech,
        },
        ("not_expected", _) => Hello::NotExpected,
        ("absent", _) => Hello::Absent,
        ("not_tls", _) => Hello::NotTls,
        ("malformed", _) => Hello::Malformed,
        ("timeout", _) => Hello::Timeout,
        _ => return Err(wrong()),
    })
}

impl Question {
    /// How whoever asked is known.
    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// The names and addresses that stand behind the target were known.
    pub(crate) fn is_resolved(&self) -> bool {
        self.resolved
    }

    /// A tunnel whose first words had not come.
    pub(crate) fn lacks_hello(&self) -> bool {
        self.protocol == Protocol::Connect && self.hello.is_none()
    }

    /// The question, as a policy is asked it.
    pub(crate) fn flow<'a>(&'a self, forbid: &'a Forbid) -> Flow<'a> {
        Flow {
            source: &self.source,
            protocol: self.protocol,
            target: self.target.clone(),
            port: self.port,
            original: self.original,
            host: self.host.clone(),
            hello: self.hello.clone(),
            chain: &self.chain,
            addresses: &self.addresses,
            resolved: self.resolved,
            forbid,
            ours: &self.ours,
        }
    }

    /// Asks it again.
    ///
    /// # Errors
    /// [`RecordError::Nobody`], if no address was recorded and the policy has none of the workloads.
    pub(crate) fn judge(
        &self,
        policy: &Policy,
        forbid: &Forbid,
        at: Timestamp,
    ) -> Result<Decision, RecordError> {
        let flow = self.flow(forbid);
        let who = match &self.asker {
            Asker::Address => return Ok(policy.judge(&flow, at)),
            Asker::Workloads(workloads) => who(policy, workloads)?,
        };
        Ok(policy.judge_as(&flow, who, at))
    }

    /// What the log would say of `decision`, an answer of `policy` to this question.
    pub(crate) fn answered(&self, policy: &Policy, decision: &Decision) -> Octroi {
        let forbid = Forbid::none();
        let facts = Facts::of(&self.flow(&forbid));
        let opened = Opened {
            source: self.source.clone(),
            client_port: 0,
            balancer: None,
            protocol: self.protocol,
            method: String::new(),
            target: self.target.clone(),
            port: self.port,
            original: self.original,
            user_agent: None,
        };
        let said = OctroiDecision::new(policy, decision, &facts, &opened);
        // Every key is a string and every value a number, a word or a list of those.
        let said = serde_json::to_value(said).and_then(serde_json::from_value);
        said.unwrap_or_default()
    }
}

fn who(policy: &Policy, workloads: &[String]) -> Result<Who, RecordError> {
    let called = |text: &String| {
        let (ministry, workload) = text.split_once('/')?;
        policy.workload_called(ministry, workload)
    };
    let found: Vec<_> = workloads.iter().filter_map(called).collect();
    let first = found.first();
    let first = *first.ok_or_else(|| RecordError::Nobody(workloads.join(", ")))?;
    Ok(Who {
        ministry: policy.workload(first).ministry,
        workloads: found,
    })
}

impl Octroi {
    /// Who asked, each as `ministry/workload`.
    pub(crate) fn workloads(&self) -> Vec<String> {
        match (&self.ministry, &self.workload) {
            _ if !self.conflict.is_empty() => self.conflict.clone(),
            (Some(ministry), Some(workload)) => vec![format!("{ministry}/{workload}")],
            _ => Vec::new(),
        }
    }

    /// One piece of evidence.
    pub(crate) fn piece(&self, piece: u16) -> Option<&Piece> {
        self.evidence.get(usize::from(piece))
    }
}

#[cfg(test)]
mod tests;

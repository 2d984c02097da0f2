//! The last attempts as JSON, and which of them somebody wants to see.

use octroi_policy::decision::{Enforcement, Verdict};
use serde::Serialize;

use super::names::{Both, Named, Names};
use crate::admin::answer::Answer;
use crate::admin::query::{Query, Unreadable};
use crate::ledger::Ledger;
use crate::ledger::feed::{Attempt, KEPT, Numbered};
use crate::ledger::line::protocol_word;
use crate::reload::Handle;

/// Fields of a filter.
const FILTER: [&str; 4] = ["ministry", "workload", "service", "verdict"];

/// What stands for a name that is no listed service's, as in the metrics.
const UNLISTED: &str = "unlisted";

/// Which attempts are wanted: all that have each of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct Filter {
    ministry: Option<String>,
    workload: Option<String>,
    service: Option<String>,
    verdict: Option<Kind>,
}

/// What became of an attempt, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Allow,
    Deny,
    Observed,
}

impl Kind {
    const ALL: [(&'static str, Self); 3] = [
        ("allow", Self::Allow),
        ("deny", Self::Deny),
        ("observed", Self::Observed),
    ];

    fn of(attempt: &Attempt) -> Self {
        match (attempt.verdict, attempt.mode) {
            (Verdict::Allow, _) => Self::Allow,
            (Verdict::Deny, Enforcement::Enforced) => Self::Deny,
            (Verdict::Deny, Enforcement::Observed) => Self::Observed,
        }
    }
}

impl Filter {
    /// Reads the fields of a filter; `more` are the other fields that the query may have.
    pub(in crate::admin) fn read(query: &Query, more: &[&str]) -> Result<Self, Unreadable> {
        query.only(&[&FILTER[..], more].concat())?;
        let text = |name| Ok(query.one(name)?.map(str::to_owned));
        let kind = |word: &str| {
            let found = Kind::ALL.iter().find(|(own, _)| *own == word);
            let found = found.map(|(_, kind)| *kind);
            found.ok_or_else(|| Unreadable::new("verdict", "write allow, deny or observed"))
        };
        Ok(Self {
            ministry: text("ministry")?,
            workload: text("workload")?,
            service: text("service")?,
            verdict: query.one("verdict")?.map(kind).transpose()?,
        })
    }

    pub(in crate::admin) fn wants(&self, attempt: &Attempt) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|id| id == own);
        is(&self.ministry, attempt.ministry.as_str())
            && is(&self.workload, attempt.workload.as_str())
            && is(
                &self.service,
                attempt.service.as_deref().unwrap_or(UNLISTED),
            )
            && self.verdict.is_none_or(|kind| kind == Kind::of(attempt))
    }
}

#[derive(Serialize)]
struct Told<'a> {
    attempts: Vec<ToldAttempt<'a>>,
    /// How many are in memory, wanted or not.
    kept: usize,
    /// The number of the newest, wanted or not: what a stream may go on from.
    newest: u64,
}

/// One attempt. Whatever a client said is a string here and nothing else.
#[derive(Serialize)]
pub(in crate::admin) struct ToldAttempt<'a> {
    seq: u64,
    at: String,
    incident: String,
    ministry: Named<'a, Both<'a>>,
    workload: Workload<'a>,
    sensitivity: Option<&'static str>,
    service: Option<Named<'a, &'a str>>,
    provider: Option<&'a str>,
    target: String,
    port: u16,
    protocol: &'static str,
    verdict: &'static str,
    mode: &'static str,
    reason: Option<&'static str>,
    rule: Option<&'a str>,
    derogation: Option<&'a str>,
    evidence: Option<Evidence>,
    agreement: Option<&'static str>,
    sni: Option<&'a str>,
    client: Option<String>,
}

#[derive(Serialize)]
struct Workload<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Evidence {
    kind: &'static str,
    value: String,
}

impl<'a> ToldAttempt<'a> {
    pub(in crate::admin) fn new(
        (seq, attempt): &'a Numbered,
        names: &'a Names<'_>,
        ledger: &Ledger,
    ) -> Self {
        let evidence = attempt.evidence.as_ref();
        Self {
            seq: *seq,
            at: format!("{:.6}", attempt.at),
            incident: attempt.incident.to_string(),
            ministry: names.ministry(attempt.ministry.as_str()),
            workload: Workload {
                id: attempt.workload.as_str(),
            },
            sensitivity: attempt.sensitivity,
            service: attempt.service.as_deref().map(|id| names.service(id)),
            provider: attempt.provider.as_deref(),
            target: attempt.target.to_string(),
            port: attempt.port,
            protocol: protocol_word(attempt.protocol),
            verdict: attempt.verdict.as_str(),
            mode: attempt.mode.as_str(),
            reason: attempt.reason,
            rule: attempt.rule.as_deref(),
            derogation: attempt.derogation.as_deref(),
            evidence: evidence.map(|(kind, value)| Evidence {
                kind: kind.as_str(),
                value: value.to_string(),
            }),
            agreement: attempt.agreement.map(|outcome| outcome.as_str()),
            sni: attempt.sni.as_ref().map(|name| name.as_str()),
            client: ledger.client(attempt),
        }
    }
}

/// The attempts in memory that a query wants, the newest first.
pub(in crate::admin) fn tell(
    query: &Query,
    policy: &Handle,
    ledger: &Ledger,
) -> Result<Answer, Unreadable> {
    let filter = Filter::read(query, &["limit"])?;
    let limit = match query.one("limit")? {
        None => KEPT,
        Some(text) => limit(text)?,
    };
    let policy = policy.policy_to_keep();
    let names = Names::of(&policy);
    let (newest, all) = ledger.feed().all();
    let wanted = all.iter().filter(|(_, attempt)| filter.wants(attempt));
    let attempts = wanted
        .take(limit)
        .map(|it| ToldAttempt::new(it, &names, ledger));
    Ok(Answer::json(&Told {
        attempts: attempts.collect(),
        kept: all.len(),
        newest,
    }))
}

fn limit(text: &str) -> Result<usize, Unreadable> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=KEPT).contains(number));
    number.ok_or_else(|| Unreadable::new("limit", format!("write a number from 1 to {KEPT}")))
}

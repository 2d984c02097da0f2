//! *explain* as a form: the same answer as the wire's, in the words of `octroi explain`.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use jiff::Timestamp;
use octroi_policy::name::DomainName;
use octroi_policy::{Forbid, Policy};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::addr::OwnAddrs;
use crate::admin::answer::Answer;
use crate::admin::query::{Query, Unreadable};
use crate::dns::Resolver;
use crate::explain::{Answered, Asked, Inquiry, Lookup, hello, instant};
use crate::reload::Handle;

/// Questions at a time.
const MOST: usize = 8;
/// How long an answer may take, the name servers included.
const PATIENCE: Duration = Duration::from_secs(15);
/// Names of a chain, and addresses, that a question may have: more than DNS gives.
const MOST_BEHIND: usize = 16;

const FIELDS: [&str; 8] = [
    "source", "url", "at", "sni", "cname", "address", "original", "resolve",
];

/// Answers questions.
#[derive(Debug)]
pub(in crate::admin) struct Explainer {
    resolver: Resolver,
    forbid: Forbid,
    own: OwnAddrs,
    places: Semaphore,
    /// One bundle is read at a time.
    reading: Arc<Mutex<()>>,
}

#[derive(Serialize)]
struct Told<'a> {
    verdict: &'static str,
    mode: &'static str,
    rule: Option<&'a str>,
    derogation: Option<&'a str>,
    /// What the answer does not rest on.
    note: Option<String>,
    text: String,
}

impl Explainer {
    pub(in crate::admin) fn new(resolver: Resolver, forbid: Forbid, own: OwnAddrs) -> Self {
        Self {
            resolver,
            forbid,
            own,
            places: Semaphore::new(MOST),
            reading: Arc::default(),
        }
    }

    /// Leaves no place for a question, as long as what is returned is held.
    #[cfg(test)]
    pub(in crate::admin) fn take_all(&self) -> impl Sized {
        self.places.try_acquire_many(MOST as u32).unwrap()
    }

    /// Answers the question that a query asks.
    pub(in crate::admin) async fn tell(
        &self,
        query: &Query,
        policy: &Handle,
    ) -> Result<Answer, Unreadable> {
        let inquiry = inquiry(query)?;
        let Ok(_place) = self.places.try_acquire() else {
            let detail = "other questions are being answered: ask again in a moment";
            let answer = Answer::problem(StatusCode::SERVICE_UNAVAILABLE, detail, None);
            return Ok(answer.with(header::RETRY_AFTER, "1"));
        };
        let told = timeout(PATIENCE, self.answer(inquiry, policy)).await;
        Ok(told.unwrap_or_else(|_| {
            let detail = "the name servers did not answer in time";
            Answer::problem(StatusCode::GATEWAY_TIMEOUT, detail, None)
        }))
    }

    async fn answer(&self, inquiry: Inquiry, handle: &Handle) -> Answer {
        let policy = handle.policy_to_keep();
        let ours = |ip, port| self.own.contains(SocketAddr::new(ip, port));
        let resolve = async |name: &DomainName| self.resolver.resolve(name).await;
        let answered = inquiry.answer(&policy, &self.forbid, ours, resolve).await;
        let text = self.text(&answered, &policy, handle).await;
        let decision = &answered.decision;
        let (verdict, mode) = decision.recorded();
        let rule = decision.ground().and_then(|ground| ground.rule());
        let unresolved = |error| {
            format!(
                "`{}` is judged by its name alone: {error}",
                answered.target()
            )
        };
        Answer::json(&Told {
            verdict: verdict.as_str(),
            mode: mode.as_str(),
            rule: rule.map(|ix| &*policy.rule(ix).id),
            derogation: decision.derogation().map(|ix| &*policy.derogation(ix).id),
            note: answered.unresolved.map(unresolved),
            text,
        })
    }

    /// The words. Where a list is among them its line is looked up in the bundle, which is read for it.
    async fn text(&self, answered: &Answered, policy: &Arc<Policy>, handle: &Handle) -> String {
        if answered.decision.hits.iter().all(|hit| hit.list.is_none()) {
            return answered.text(policy, &self.forbid, None);
        }
        let turn = Arc::clone(&self.reading).lock_owned().await;
        let (its, handle) = (Arc::clone(policy), handle.clone());
        let (again, forbid) = (answered.clone(), self.forbid.clone());
        let written = tokio::task::spawn_blocking(move || {
            let bundle = handle.bundle_of(&its);
            drop(turn);
            again.text(&its, &forbid, bundle.as_ref())
        });
        let without = || answered.text(policy, &self.forbid, None);
        written.await.unwrap_or_else(|_| without())
    }
}

/// Reads a question.
fn inquiry(query: &Query) -> Result<Inquiry, Unreadable> {
    query.only(&FIELDS)?;
    let source = one(query, "source", address)?;
    let source = source.ok_or_else(|| Unreadable::new("source", ADDRESS))?;
    let asked = one(query, "url", |text| Asked::from_str(text).map_err(told))?;
    let asked = asked.ok_or_else(|| {
        Unreadable::new("url", "write https://host[:port]/…, http://…, or host:port")
    })?;
    let at = one(query, "at", |text| instant(text).map_err(Cow::Borrowed))?;
    let lookup = match query.one("resolve")? {
        None | Some("yes") => Lookup::Asked,
        Some("no") => Lookup::None,
        Some(_) => return Err(Unreadable::new("resolve", "write yes or no")),
    };
    Ok(Inquiry {
        source,
        asked,
        at: at.unwrap_or_else(Timestamp::now),
        chain: several(query, "cname", |text| {
            DomainName::from_unicode(text).map_err(told)
        })?,
        addresses: several(query, "address", address)?,
        hello: one(query, "sni", |text| hello(text).map_err(told))?,
        original: one(query, "original", address)?,
        lookup,
    })
}

type Reading<T> = Result<T, Cow<'static, str>>;

const ADDRESS: &str = "write an address, such as 192.0.2.4 or 2001:db8::4";

fn address(text: &str) -> Reading<IpAddr> {
    text.trim().parse().map_err(|_| ADDRESS.into())
}

fn told(error: impl std::fmt::Display) -> Cow<'static, str> {
    error.to_string().into()
}

fn one<T>(
    query: &Query,
    name: &str,
    read: impl Fn(&str) -> Reading<T>,
) -> Result<Option<T>, Unreadable> {
    let read = |text| read(text).map_err(|detail| Unreadable::new(name, detail));
    query.one(name)?.map(read).transpose()
}

fn several<T>(
    query: &Query,
    name: &str,
    read: impl Fn(&str) -> Reading<T>,
) -> Result<Vec<T>, Unreadable> {
    if query.all(name).count() > MOST_BEHIND {
        return Err(Unreadable::new(
            name,
            format!("there are more than {MOST_BEHIND}"),
        ));
    }
    let read = |text| read(text).map_err(|detail| Unreadable::new(name, detail));
    query.all(name).map(read).collect()
}

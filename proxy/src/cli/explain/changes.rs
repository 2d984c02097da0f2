//! Two answers to one question, the recorded and the present one: what differs, and why as far as
//! the policy shows it.

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::explain::words::ended;
use octroi_policy::rule::Mode;

use super::recorded::{class, evidence, ground};
use crate::ledger::record::{Hit, Octroi, Piece};

/// Whether two answers say the same: the verdict, whether it is enforced, and the grounds.
pub(super) fn agree(then: &Octroi, now: &Octroi) -> bool {
    let verdict = |it: &Octroi| (it.verdict.clone(), it.mode.clone());
    verdict(then) == verdict(now) && grounds(then) == grounds(now)
}

fn grounds(octroi: &Octroi) -> Vec<String> {
    let grounds = octroi.grounds.iter();
    let mut grounds: Vec<_> = grounds.map(|it| ground(octroi, it)).collect();
    grounds.sort();
    grounds
}

/// What differs, a sentence each: who, what, rules and derogations, agreement; if none of those
/// does, the grounds.
pub(super) fn changes(then: &Octroi, now: &Octroi, policy: &Policy, at: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    let (was, is) = (then.workloads(), now.workloads());
    if was != is {
        let [was, is] = [was, is].map(|all| all.join(" and "));
        found.push(format!("who asked was {was}, and is {is}"));
    }
    found.extend(then.evidence.iter().filter_map(|it| reclassed(it, now)));
    let gone = |hit| rule_then(then, hit, now, policy, at);
    found.extend(then.rules.iter().filter_map(gone));
    found.extend(now.rules.iter().filter_map(|it| rule_now(now, it, then)));
    found.extend(modes(then, now, policy));
    found.extend(word("evidence", &then.outcome, &now.outcome));
    found.extend(word("sni", &then.sni, &now.sni));
    if found.is_empty() {
        found.extend(other_grounds(then, now));
    }
    found
}

fn reclassed(piece: &Piece, now: &Octroi) -> Option<String> {
    let same = |it: &&Piece| (&it.kind, &it.value) == (&piece.kind, &piece.value);
    let present = now.evidence.iter().find(same)?;
    let [was, is] = [piece, present].map(|it| class(it, |_| None));
    let (kind, value) = (&piece.kind, &piece.value);
    (was != is).then(|| format!("{kind} `{value}` was {was}, and is {is}"))
}

/// The hit of the same rule on the same evidence in the other answer.
fn counterpart<'a>(own: &Octroi, hit: &Hit, other: &'a Octroi) -> Option<&'a Hit> {
    let of = |octroi: &Octroi, hit: &Hit| (hit.rule.clone(), evidence(octroi, hit.evidence));
    let sought = of(own, hit);
    other.rules.iter().find(|it| of(other, it) == sought)
}

fn told(hit: &Hit) -> String {
    ended(&hit.disposition, hit.derogation.as_deref())
}

fn rule_then(
    then: &Octroi,
    hit: &Hit,
    now: &Octroi,
    policy: &Policy,
    at: Timestamp,
) -> Option<String> {
    let id = &hit.rule;
    let Some(present) = counterpart(then, hit, now) else {
        let evidence = evidence(then, hit.evidence);
        let rules = &policy.model().rules;
        let why = match &hit.list {
            _ if rules.iter().all(|rule| *rule.id != **id) => "it is no more in the policy".into(),
            Some(list) if !policy.model().lists.iter().any(|it| *it.id == **list) => {
                format!("the list {list} is no more in the policy")
            }
            Some(list) => format!("it was listed in {list}, and is no more, or the rule changed"),
            None => "the rule, or what it goes by, changed".to_owned(),
        };
        return Some(format!(
            "rule {id} matched {evidence}, and does no more: {why}"
        ));
    };
    if told(hit) == told(present) {
        return None;
    }
    let why = hit.derogation.as_deref().or(present.derogation.as_deref());
    let why = why.map_or_else(String::new, |id| derogation(id, policy, at));
    Some(format!(
        "rule {id}: {} then, {} now{why}",
        told(hit),
        told(present)
    ))
}

/// What became of a derogation.
fn derogation(id: &str, policy: &Policy, at: Timestamp) -> String {
    let known = &policy.model().derogations;
    let Some(derogation) = known.iter().find(|it| *it.id == *id) else {
        return format!("; derogation {id} is no more in the policy");
    };
    match (derogation.validity.from, derogation.validity.until) {
        (Some(from), _) if from > at => format!("; derogation {id} begins at {from}"),
        (_, Some(until)) if until <= at => format!("; derogation {id} ended at {until}"),
        (Some(from), _) => format!("; derogation {id} is in force since {from}"),
        _ => String::new(),
    }
}

fn rule_now(now: &Octroi, hit: &Hit, then: &Octroi) -> Option<String> {
    if counterpart(now, hit, then).is_some() {
        return None;
    }
    let list = hit.list.as_ref();
    let list = list.map_or_else(String::new, |list| format!(", by {list}"));
    let (id, evidence) = (&hit.rule, evidence(now, hit.evidence));
    Some(format!(
        "rule {id} matches {evidence} now: {}{list}",
        told(hit)
    ))
}

/// Rules among the grounds of both that are enforced now and were not, or the other way round.
fn modes(then: &Octroi, now: &Octroi, policy: &Policy) -> Vec<String> {
    if then.mode == now.mode || then.verdict != now.verdict {
        return Vec::new();
    }
    let was = then.mode.as_deref().unwrap_or("?");
    let ids = now
        .grounds
        .iter()
        .filter_map(|ground| ground.rule.as_deref());
    let both = ids.filter(|id| then.grounds.iter().any(|it| it.rule.as_deref() == Some(id)));
    let told = both.filter_map(|id| {
        let rule = policy.model().rules.iter().find(|rule| *rule.id == *id)?;
        let is = match rule.mode {
            Mode::Enforce => "enforced",
            Mode::Observe => "observed",
        };
        (is != was).then(|| format!("rule {id} was {was}, and is {is}"))
    });
    told.collect()
}

fn word(what: &str, was: &Option<String>, is: &Option<String>) -> Option<String> {
    let (was, is) = (was.as_ref()?, is.as_ref()?);
    (was != is).then(|| format!("{what} was {was}, and is {is}"))
}

fn other_grounds(then: &Octroi, now: &Octroi) -> Vec<String> {
    let (was, is) = (grounds(then), grounds(now));
    let gone = was.iter().filter(|it| !is.contains(it));
    let gone = gone.map(|it| format!("no more: {it}"));
    let new = is.iter().filter(|it| !was.contains(it));
    gone.chain(new.map(|it| format!("now: {it}"))).collect()
}

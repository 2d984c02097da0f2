//! From the files of a bundle to its meaning: every name resolved, every finding collected.
//!
//! A file whose shape is broken is left out after its first finding; ids that stand in it are
//! remembered, so that one broken file does not make every reference to it a finding too.

mod alternatives;
mod ambiguity;
mod catalogue;
mod conditions;
mod derogations;
mod documents;
mod ids;
mod layers;
mod lists;
mod ministries;
mod redundancy;
mod rules;
mod suite;
#[cfg(test)]
mod tests;
mod unused;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::bundle::Bundle;
use crate::catalogue::{Id, Localised};
use crate::diagnostic::{Code, Diagnostic, Findings};
use crate::ministry::Permission;
use crate::model::Model;
use crate::policy::Policy;

use alternatives::denied_alternatives;
use documents::Documents;
use ids::Ids;

/// What came of checking a bundle.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its meaning; `None` if there was an error.
    pub model: Option<Model>,
    /// Everything found, sorted by place.
    pub findings: Findings,
}

/// Checks every file of a bundle and resolves it.
///
/// With `today`, what has ended by then is a warning. No error depends on it: a bundle that was in
/// force yesterday is not refused because a date has passed.
#[must_use]
pub fn check(bundle: &Bundle, today: Option<Timestamp>) -> Checked {
    let Checked { model, findings } = understand(bundle, today);
    let model = model.filter(|_| !findings.has_errors());
    Checked { model, findings }
}

/// As [`check`], with a model also where errors leave holes in it.
fn understand(bundle: &Bundle, today: Option<Timestamp>) -> Checked {
    let mut check = Check::new(bundle, today);
    let documents = Documents::read(&mut check);
    let model = resolve(&mut check, &documents);
    let mut findings = check.findings;
    findings.sort();
    Checked { model, findings }
}

/// A bundle on its whole way to a policy that may be put in force.
#[derive(Debug)]
pub struct Compiled {
    /// The policy; `None` if there was an error, in a file or in one of the bundle's own tests.
    pub policy: Option<Policy>,
    /// Everything found.
    pub findings: Findings,
}

/// Checks a bundle, compiles it and runs its own tests: what `octroi check` shows and what a gate does before it
/// puts a bundle in force. The tests run at the bundle's own instants, so no error depends on `today` here either.
#[must_use]
pub fn compile(bundle: &Bundle, today: Option<Timestamp>) -> Compiled {
    let Compiled { policy, findings } = compile_checked(check(bundle, today), today);
    let policy = policy.filter(|_| !findings.has_errors());
    Compiled { policy, findings }
}

/// As [`compile`], for a bundle that was accepted before with the same digest: a program that has become stricter must
/// not stop the perimeter. The policy is there in spite of errors, as far as the bundle still has its whole
/// meaning ([`Findings::keep_meaning`]); the findings say what is wrong with it.
#[must_use]
pub fn compile_accepted(bundle: &Bundle, today: Option<Timestamp>) -> Compiled {
    let Checked { model, findings } = understand(bundle, today);
    let model = model.filter(|_| findings.keep_meaning());
    compile_checked(Checked { model, findings }, today)
}

fn compile_checked(checked: Checked, today: Option<Timestamp>) -> Compiled {
    let Checked {
        model,
        mut findings,
    } = checked;
    let policy = model.map(Policy::compile);
    if let Some(policy) = &policy {
        denied_alternatives(
            policy,
            today.unwrap_or(policy.model().tested_at),
            &mut findings,
        );
        for failure in crate::suite::run(policy) {
            findings.push(test_fails(&failure));
        }
        findings.sort();
    }
    Compiled { policy, findings }
}

fn test_fails(failure: &crate::suite::Failure) -> Diagnostic {
    let message = format!(
        "the bundle's own test `{}` fails: {}",
        failure.name,
        failure.differences.join("; ")
    );
    Diagnostic::error(Code::TestFails, message)
        .at(failure.place)
        .help("`octroi test` explains the whole answer")
}

/// What every family of checks works with.
struct Check<'a> {
    bundle: &'a Bundle,
    findings: Findings,
    today: Option<Timestamp>,
    /// Ids that stand in files whose shape is broken.
    lost_ids: BTreeSet<String>,
    /// Files that a `*_from` key names, and how many entries each has.
    used_lists: BTreeMap<u32, usize>,
}

impl<'a> Check<'a> {
    fn new(bundle: &'a Bundle, today: Option<Timestamp>) -> Self {
        Self {
            bundle,
            findings: Findings::new(),
            today,
            lost_ids: BTreeSet::new(),
            used_lists: BTreeMap::new(),
        }
    }

    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }
}

/// The sections that stand once.
struct Head {
    name: Id,
    default: Permission,
    ceiling: Option<values::Length>,
    procedure: Option<Localised>,
    contact: Option<Arc<str>>,
    tested_at: Timestamp,
}

fn resolve(check: &mut Check<'_>, documents: &Documents) -> Option<Model> {
    let head = documents.head(check);
    let ids = Ids::collect(check, documents);
    let references = rules::references(check, documents);
    let catalogue = catalogue::build(check, documents, &ids);
    let people = ministries::build(check, documents, &ids);
    let rules = rules::build(check, documents, &ids, &catalogue, &people);
    let derogations =
        derogations::build(check, documents, &ids, &catalogue, &people, head.as_ref());
    let tests = suite::build(check, documents, &ids);

    layers::check(check, documents, &people);
    ambiguity::check(check, &catalogue);
    redundancy::check_catalogue(check, &catalogue);
    unused::check(check, &rules, &references);

    let head = head?;
    let local_names = catalogue.local_names();
    Some(Model {
        name: head.name,
        digest: check.bundle.digest().clone(),
        files: check
            .bundle
            .files()
            .iter()
            .map(|file| file.path().into())
            .collect(),
        default: head.default,
        procedure: head.procedure,
        contact: head.contact,
        categories: catalogue.categories,
        services: catalogue.services,
        providers: catalogue.providers,
        references,
        rules: rules.rules,
        ministries: people.ministries,
        workloads: people.workloads,
        derogations,
        lists: lists::all(check, rules.lists),
        names: catalogue
            .names
            .into_iter()
            .map(|named| (named.pattern, named.owner))
            .collect(),
        addresses: catalogue
            .addresses
            .into_iter()
            .map(|ranged| (ranged.range, ranged.owner))
            .collect(),
        listed_names: rules.names,
        listed_addresses: rules.addresses,
        local_names,
        tested_at: head.tested_at,
        tests,
    })
}

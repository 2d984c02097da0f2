//! What can have no effect: rules that match nothing, lists and references that nothing uses.

use super::Check;
use super::catalogue::Catalogue;
use super::documents::Written;
use super::ministries::People;
use super::rules::Rules;
use crate::bundle::Kind;
use crate::bundle::yaml::{self, Values};
use crate::catalogue::{Place, Provider, ProviderIx, Role, Service, ServiceIx};
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::ministry::Workload;
use crate::model::{AddressOwner, List, NameOwner};
use crate::rule::{Condition, Reference, Rule};

/// Categories that a platform suffix or range counts as.
const PLATFORM: [&str; 2] = ["iaas", "paas"];

/// Finds references and lists that nothing uses.
pub(super) fn check(check: &mut Check<'_>, rules: &Rules, references: &[Reference]) {
    for (position, reference) in (0..).zip(references) {
        let used = rules
            .rules
            .iter()
            .any(|rule| rule.references.iter().any(|it| it.0 == position));
        if !used {
            let finding = Diagnostic::warning(
                Code::UnusedReference,
                format!("no rule rests on the reference `{}`", reference.id),
            )
            .at(reference.place)
            .help("name it under `references:` of a rule, or remove it");
            check.report(finding);
        }
    }
    for (file, source) in (0..).zip(check.bundle.files()) {
        if source.kind() == Kind::List && !check.used_lists.contains_key(&file) {
            let finding = Diagnostic::warning(Code::UnusedList, "nothing uses the list")
                .at(Place { file, line: 0, column: 0 })
                .help("name it in a `domains_from`, `addresses_from` or `from`, or move it out of the bundle");
            check.report(finding);
        }
    }
}

/// Finds categories without a service, and a rule that can match nothing.
pub(super) fn rule(
    check: &mut Check<'_>,
    written: &Written<'_, yaml::Rule>,
    rule: &Rule,
    catalogue: &Catalogue,
    people: &People,
    lists: &[List],
) {
    if !check.lost_ids.is_empty() {
        return; // What a broken file holds cannot be known.
    }
    let unless = written
        .it
        .unless
        .iter()
        .flatten()
        .map(|condition| &condition.value);
    for condition in std::iter::once(&written.it.when.value).chain(unless) {
        categories(check, condition.category.as_ref(), written.file, catalogue);
    }
    if let Some(why) = never_matches(rule, catalogue, people, lists) {
        let finding = Diagnostic::warning(
            Code::RuleNeverMatches,
            format!("the rule `{}` can match nothing: {why}", rule.id),
        )
        .at(check.place(&written.it.id, written.file))
        .help("every key of `when` must match at once; change it, or remove the rule");
        check.report(finding);
    }
}

fn categories(check: &mut Check<'_>, values: Option<&Values>, file: u32, catalogue: &Catalogue) {
    for text in values.iter().flat_map(|values| &values.items) {
        let Ok(at) = catalogue
            .categories
            .binary_search_by(|id| (**id).cmp(text.value.as_str()))
        else {
            continue;
        };
        let used = |service: &Service| {
            service
                .categories
                .iter()
                .any(|category| category.at() == at)
        };
        let platform = PLATFORM.contains(&text.value.as_str()) && has_platform(catalogue);
        if platform || catalogue.services.iter().any(used) {
            continue;
        }
        let finding = Diagnostic::warning(
            Code::UnusedCategory,
            format!("no service has the category `{}`", text.value),
        )
        .at(check.place(text, file));
        let known = catalogue
            .services
            .iter()
            .flat_map(|service| &service.categories);
        let known = known
            .filter_map(|category| catalogue.categories.get(category.at()))
            .map(|id| &**id);
        check.report(match suggest::nearest(&text.value, known) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("remove it, or give a service this category"),
        });
    }
}

fn has_platform(catalogue: &Catalogue) -> bool {
    let names = catalogue
        .names
        .iter()
        .any(|it| matches!(it.owner, NameOwner::Provider(_, Role::Platform)));
    names
        || catalogue
            .addresses
            .iter()
            .any(|it| matches!(it.owner, AddressOwner::Provider(_, Role::Platform)))
}

/// Why a rule can match nothing, if it cannot.
fn never_matches(
    rule: &Rule,
    catalogue: &Catalogue,
    people: &People,
    lists: &[List],
) -> Option<&'static str> {
    let when = &rule.when;
    let somebody = (0..)
        .zip(&people.workloads)
        .any(|(position, workload)| asks(when, rule, position, workload));
    if !somebody {
        return Some("no workload fits");
    }
    // Of a list file, emptiness is an error of its own.
    let listed = when.lists.as_ref().is_none_or(|used| {
        used.is_empty()
            || used.iter().any(|list| {
                lists
                    .get(list.at())
                    .is_none_or(|it| it.entries > 0 || !it.id.contains('#'))
            })
    });
    if !listed {
        return Some("it names no name or address");
    }
    let something = names_no_owner(when)
        || (0..)
            .zip(&catalogue.services)
            .any(|(at, service)| is_meant(when, ServiceIx(at), service, catalogue))
        || (0..)
            .zip(&catalogue.providers)
            .any(|(at, provider)| stands_behind(when, ProviderIx(at), provider, catalogue));
    if something {
        None
    } else {
        Some("no service or provider fits")
    }
}

fn asks(when: &Condition, rule: &Rule, position: u32, workload: &Workload) -> bool {
    let layer = rule
        .layer
        .is_none_or(|ministry| workload.ministry == Some(ministry));
    layer
        && when
            .ministries
            .as_ref()
            .is_none_or(|all| workload.ministry.is_some_and(|it| all.contains(&it)))
        && when
            .workloads
            .as_ref()
            .is_none_or(|all| all.iter().any(|it| it.0 == position))
        && when
            .sensitivities
            .as_ref()
            .is_none_or(|all| all.contains(&workload.sensitivity))
}

fn names_no_owner(when: &Condition) -> bool {
    when.services.is_none()
        && when.categories.is_none()
        && when.providers.is_none()
        && when.jurisdictions.is_none()
        && when.qualifications.is_none()
        && when.operators.is_none()
}

fn is_meant(when: &Condition, at: ServiceIx, service: &Service, catalogue: &Catalogue) -> bool {
    let provider = service
        .provider
        .and_then(|it| catalogue.providers.get(it.at()));
    let country = provider.and_then(|it| it.jurisdiction).or(service.country);
    when.services.as_ref().is_none_or(|all| all.contains(&at))
        && when
            .categories
            .as_ref()
            .is_none_or(|all| service.categories.iter().any(|it| all.contains(it)))
        && when
            .providers
            .as_ref()
            .is_none_or(|all| service.provider.is_some_and(|it| all.contains(&it)))
        && when
            .jurisdictions
            .as_ref()
            .is_none_or(|all| country.is_some_and(|it| all.contains(&it)))
        && when
            .operators
            .as_ref()
            .is_none_or(|all| service.operator.is_some_and(|it| all.contains(&it)))
        && when.qualifications.as_ref().is_none_or(|all| {
            service
                .qualifications
                .iter()
                .any(|it| all.contains(&it.scheme))
        })
}

/// Whether evidence of a provider alone, without a listed service, can match.
fn stands_behind(
    when: &Condition,
    at: ProviderIx,
    provider: &Provider,
    catalogue: &Catalogue,
) -> bool {
    let platform = |all: &Vec<_>| {
        has_platform(catalogue)
            && PLATFORM.iter().any(|id| {
                let at = catalogue.categories.binary_search_by(|it| (**it).cmp(id));
                at.is_ok_and(|at| {
                    all.iter()
                        .any(|it: &crate::catalogue::CategoryIx| it.at() == at)
                })
            })
    };
    when.services.is_none()
        && when.qualifications.is_none()
        && when.operators.is_none()
        && when.categories.as_ref().is_none_or(platform)
        && when.providers.as_ref().is_none_or(|all| all.contains(&at))
        && when
            .jurisdictions
            .as_ref()
            .is_none_or(|all| provider.jurisdiction.is_some_and(|it| all.contains(&it)))
}

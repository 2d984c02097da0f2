//! Conditions: `when` and each `unless`.

use super::Check;
use super::documents::Written;
use super::ids::{Ids, read_id};
use super::rules::Lists;
use crate::bundle::yaml::{self, Rule};
use crate::catalogue::{MinistryIx, Operator};
use crate::diagnostic::{Code, Diagnostic};
use crate::rule::Condition;

/// Resolves one condition of a rule; `part` is `when` or `unless`.
pub(super) fn build(
    check: &mut Check<'_>,
    written: &Written<'_, Rule>,
    condition: &yaml::Condition,
    ids: &Ids,
    lists: &mut Lists,
) -> Condition {
    let file = written.file;
    let layer = ids.layer_of(written);
    let ministries = condition
        .ministry
        .as_ref()
        .map(|values| ids.ministries(check, values, file));
    let within: Option<Vec<MinistryIx>> = layer
        .map(|ministry| vec![ministry])
        .or_else(|| ministries.clone());
    Condition {
        workloads: condition
            .workload
            .as_ref()
            .map(|values| ids.workloads(check, values, file, within.as_deref())),
        ministries,
        sensitivities: words(condition.sensitivity.as_ref(), |text| {
            check.sensitivity(text, file)
        }),
        services: condition
            .service
            .as_ref()
            .map(|values| ids.services(check, values, file, layer)),
        categories: words(condition.category.as_ref(), |text| {
            read_id(check, text, file)?;
            ids.category(&text.value)
        }),
        providers: words(condition.provider.as_ref(), |text| {
            ids.provider(check, text, file)
        }),
        jurisdictions: words(condition.provider_jurisdiction.as_ref(), |text| {
            check.country(text, file)
        }),
        qualifications: words(condition.qualification.as_ref(), |text| {
            read_id(check, text, file)
        }),
        operators: words(condition.operated_by.as_ref(), |text| {
            check.word(
                text,
                file,
                &[("state", Operator::State), ("vendor", Operator::Vendor)],
            )
        }),
        lists: lists.of_condition(check, written, condition),
        ports: condition
            .ports
            .as_ref()
            .map(|values| check.ports(values, file)),
        fronts: condition.fronts.unwrap_or(false),
    }
}

/// The values of a key; an empty list is a finding, because it would match nothing.
fn words<T>(
    values: Option<&yaml::Values>,
    mut read: impl FnMut(&yaml::Text) -> Option<T>,
) -> Option<Vec<T>> {
    let values = values?;
    Some(values.items.iter().filter_map(&mut read).collect())
}

/// `wide: accepted`.
pub(super) fn accepts_wide(check: &mut Check<'_>, condition: &yaml::Condition, file: u32) -> bool {
    let word = condition.wide.as_ref();
    word.and_then(|text| check.word(text, file, &[("accepted", ())]))
        .is_some()
}

/// A table without any key matches every flow: said for `when`, refused for `unless`.
pub(super) fn empty(check: &mut Check<'_>, written: &Written<'_, Rule>) {
    let unless = written.it.unless.iter().flatten();
    for condition in unless.filter(|condition| has_no_key(&condition.value)) {
        let finding = Diagnostic::error(
            Code::RuleNeverMatches,
            "an `unless` without a key exempts everything",
        )
        .at(check.place(condition, written.file))
        .help("write what is exempt, or remove it");
        check.report(finding);
    }
}

fn has_no_key(condition: &yaml::Condition) -> bool {
    let keys = [
        &condition.ministry,
        &condition.workload,
        &condition.sensitivity,
        &condition.service,
        &condition.category,
        &condition.provider,
        &condition.provider_jurisdiction,
        &condition.qualification,
        &condition.operated_by,
        &condition.domains,
        &condition.domains_from,
        &condition.addresses,
        &condition.addresses_from,
        &condition.ports,
    ];
    keys.into_iter().all(Option::is_none)
}

//! Derogations: who may what, until when, and what that carries along.

use super::catalogue::Catalogue;
use super::documents::{Documents, Written};
use super::ids::Ids;
use super::ministries::People;
use super::{Check, Head};
use crate::bundle::yaml::{self, Text};
use crate::catalogue::{MinistryIx, WorkloadIx};
use crate::diagnostic::{Code, Diagnostic};
use crate::policy::requirements;
use crate::rule::Derogation;

/// Builds the derogations.
pub(super) fn build(
    check: &mut Check<'_>,
    documents: &Documents,
    ids: &Ids,
    catalogue: &Catalogue,
    people: &People,
    head: Option<&Head>,
) -> Vec<Derogation> {
    let mut all = Vec::new();
    for written in documents.section(|d| d.derogations.as_deref()) {
        let complete = complete(check, &written);
        end(check, &written, head);
        let built = derogation(check, &written, ids, catalogue, people);
        all.extend(built.filter(|_| complete));
    }
    all
}

/// Finds what every derogation must have.
fn complete(check: &mut Check<'_>, written: &Written<'_, yaml::Derogation>) -> bool {
    let it = written.it;
    let place = check.place(&it.id, written.file);
    let mut missing = |there: bool, code: Code, key: &str, help: &str| {
        if !there {
            let message = format!("the derogation `{}` has no `{key}`", it.id.value);
            check.report(Diagnostic::error(code, message).at(place).help(help));
        }
        there
    };
    let until = missing(
        it.until.is_some(),
        Code::DerogationWithoutEnd,
        "until",
        "a derogation is dated: write its last day, `until: YYYY-MM-DD`",
    );
    let from = missing(
        it.from.is_some(),
        Code::MissingKey,
        "from",
        "write its first day, `from: YYYY-MM-DD`",
    );
    let approved = it
        .approved_by
        .as_ref()
        .is_some_and(|name| !name.value.trim().is_empty());
    let approved = missing(
        approved,
        Code::MissingKey,
        "approved_by",
        "somebody answers for it: write who approved it",
    );
    until && from && approved
}

/// With an offer on the market, a derogation ends within the ceiling.
fn end(check: &mut Check<'_>, written: &Written<'_, yaml::Derogation>, head: Option<&Head>) {
    let Written { file, it, .. } = *written;
    let offered = it.offer_available_since.as_ref();
    let Some(offered) = offered.and_then(|text| check.date(text, file)) else {
        return;
    };
    let Some(ceiling) = head.and_then(|head| head.ceiling) else {
        return;
    };
    let (Some(until), Some(latest)) = (&it.until, ceiling.last_day_from(offered.day())) else {
        return;
    };
    // An unreadable date is reported where the period is read.
    let Ok(end) = crate::validity::Moment::parse(&until.value) else {
        return;
    };
    if end.day() > latest {
        let message = format!(
            "the derogation `{}` ends after {latest}, its latest lawful day",
            it.id.value
        );
        let help = format!(
            "an offer has been available since {}, and the ceiling is {ceiling}: write `until: {latest}` or earlier",
            offered.day()
        );
        check.wrong(Code::DerogationTooLong, message, until, file, help);
    }
}

fn derogation(
    check: &mut Check<'_>,
    written: &Written<'_, yaml::Derogation>,
    ids: &Ids,
    catalogue: &Catalogue,
    people: &People,
) -> Option<Derogation> {
    let Written {
        file, it, place, ..
    } = *written;
    let ministry = ids
        .ministries
        .find(check, &it.ministry, file)
        .map(MinistryIx);
    let services = ids.services(check, &it.services, file, None);
    if it.services.items.is_empty() {
        let message = format!("the derogation `{}` names no service", it.id.value);
        let finding = Diagnostic::error(Code::RuleNeverMatches, message)
            .at(place)
            .help("name the services it lifts");
        check.report(finding);
    }
    let validity = check.validity(it.from.as_ref(), it.until.as_ref(), file);
    if check.is_past(validity) {
        let finding = Diagnostic::warning(
            Code::DerogationPastEnd,
            format!("the derogation `{}` is past its end", it.id.value),
        )
        .at(check.place(it.until.as_ref().unwrap_or(&it.id), file))
        .help("remove it; its services are denied again");
        check.report(finding);
    }
    let ports = it.ports.as_ref().map(|values| check.ports(values, file));
    let workloads = ministry
        .map(|ministry| workloads(check, it, file, ids, people, ministry))
        .unwrap_or_default();
    Some(Derogation {
        id: it.id.value.as_str().into(),
        ministry: ministry?,
        workloads,
        closure: requirements(&catalogue.services, &services),
        services,
        ports,
        validity,
        approved_by: text(it.approved_by.as_ref()).into(),
        reference: it.reference.as_deref().map(Into::into),
        ticket: it.ticket.as_deref().map(Into::into),
        place,
    })
}

fn text(text: Option<&Text>) -> &str {
    text.map(|text| text.value.as_str()).unwrap_or_default()
}

/// The workloads named, or all of the ministry.
fn workloads(
    check: &mut Check<'_>,
    it: &yaml::Derogation,
    file: u32,
    ids: &Ids,
    people: &People,
    ministry: MinistryIx,
) -> Vec<WorkloadIx> {
    match &it.workloads {
        Some(values) => ids.workloads(check, values, file, Some(&[ministry])),
        None => (0..)
            .map(WorkloadIx)
            .zip(&people.workloads)
            .filter(|(_, workload)| workload.ministry == Some(ministry))
            .map(|(position, _)| position)
            .collect(),
    }
}

//! Ministries' own files: they can only tighten.

use super::Check;
use super::documents::{Documents, Layer};
use super::ministries::{People, actions};
use super::values::place;
use crate::bundle::yaml::{At, Entries, Service, Text};
use crate::catalogue::{MinistryIx, Place};
use crate::decision::{Outcome, SniOutcome};
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::ministry::{Actions, Workload};

/// Finds what a ministry's own file may not say.
pub(super) fn check(check: &mut Check<'_>, documents: &Documents, people: &People) {
    for layer in &documents.layers {
        owner(check, layer, people);
        rules(check, layer);
        services(check, layer);
        let its_own = |workload: &&Workload| {
            let ministry = workload
                .ministry
                .and_then(|MinistryIx(at)| people.ministries.get(at as usize));
            ministry.is_some_and(|ministry| *ministry.id == *layer.ministry)
        };
        let workloads: Vec<&Workload> = people.workloads.iter().filter(its_own).collect();
        softer_default(check, layer);
        softer_actions(check, layer, &workloads);
    }
}

fn owner(check: &mut Check<'_>, layer: &Layer, people: &People) {
    let known = people.ministries.iter().map(|ministry| &*ministry.id);
    if known.clone().any(|id| id == layer.ministry) || check.lost_ids.contains(&layer.ministry) {
        return;
    }
    let message = format!(
        "the file lies below `ministries/{}/`, and there is no such ministry",
        layer.ministry
    );
    let finding = Diagnostic::error(Code::UnknownMinistry, message).at(Place {
        file: layer.file,
        line: 0,
        column: 0,
    });
    let finding = match suggest::nearest(&layer.ministry, known) {
        Some(near) => finding.help(format!("did you mean `ministries/{near}/`?")),
        None => finding,
    };
    check.report(finding);
}

fn rules(check: &mut Check<'_>, layer: &Layer) {
    for rule in layer.document.rules.iter().flatten() {
        let effect = &rule.value.effect;
        if effect.value == "allow" {
            widens(
                check,
                "a ministry's own rule cannot allow",
                effect,
                layer.file,
            );
        }
        if let Some(ministry) = rule
            .value
            .when
            .value
            .ministry
            .as_ref()
            .and_then(|values| values.items.first())
        {
            let message =
                "a ministry's own rule holds for that ministry alone: `ministry` says nothing"
                    .to_owned();
            check.wrong(
                Code::LayerNationalKey,
                message,
                ministry,
                layer.file,
                "remove the key",
            );
        }
    }
}

/// Extra names are names: whatever could exempt or lift is the nation's.
fn services(check: &mut Check<'_>, layer: &Layer) {
    for written in layer.document.services.iter().flatten() {
        for (key, at) in national_keys(&written.value, layer.file) {
            let message = format!(
                "`{key}` of a service is national and cannot be set in a ministry's own file"
            );
            let finding = Diagnostic::error(Code::LayerNationalKey, message)
                .at(at)
                .help("a ministry's own file adds names: move the service to a file that is not below `ministries/<id>/`");
            check.report(finding);
        }
    }
}

fn national_keys(service: &Service, file: u32) -> Vec<(&'static str, Place)> {
    let values = |values: &Option<crate::bundle::yaml::Values>| {
        values.as_ref().map(|values| {
            values
                .items
                .first()
                .map_or_else(|| place(&service.id, file), |it| place(it, file))
        })
    };
    fn at<T>(it: &Option<At<T>>, file: u32) -> Option<Place> {
        it.as_ref().map(|it| place(it, file))
    }
    [
        ("qualification", at(&service.qualification, file)),
        ("operated_by", at(&service.operated_by, file)),
        ("shared", at(&service.shared, file)),
        ("hosted_on", at(&service.hosted_on, file)),
        ("requires", values(&service.requires)),
        ("addresses", values(&service.addresses)),
        ("addresses_from", values(&service.addresses_from)),
    ]
    .into_iter()
    .filter_map(|(key, place)| Some((key, place?)))
    .collect()
}

fn softer_default(check: &mut Check<'_>, layer: &Layer) {
    if let Some(text) = &layer.document.default
        && text.value == "allow"
    {
        widens(
            check,
            "a ministry's own default can only be `deny`",
            text,
            layer.file,
        );
    }
}

/// An action that is softer than what every workload of the ministry has by national files.
fn softer_actions(check: &mut Check<'_>, layer: &Layer, workloads: &[&Workload]) {
    let Some(on) = &layer.document.on else { return };
    for entry in &on.items {
        let one = Entries {
            items: vec![entry.clone()],
        };
        // Wrong words were reported when the layer was read.
        let reported = std::mem::take(&mut check.findings);
        let written = actions(check, Some(&one), layer.file);
        check.findings = reported;
        if !workloads.is_empty()
            && workloads
                .iter()
                .all(|workload| is_softer(&written, &workload.on))
        {
            let message = format!(
                "`{}: {}` is softer than the national action",
                entry.0.value, entry.1.value
            );
            widens(check, &message, &entry.1, layer.file);
        }
    }
}

fn is_softer(layer: &Actions, nation: &Actions) -> bool {
    let outcomes = Outcome::ALL.into_iter().any(|it| {
        layer
            .outcome_as_written(it)
            .is_some_and(|action| action < nation.on_outcome(it))
    });
    outcomes
        || SniOutcome::ALL.into_iter().any(|it| {
            layer
                .sni_as_written(it)
                .is_some_and(|action| action < nation.on_sni(it))
        })
}

fn widens(check: &mut Check<'_>, message: &str, text: &Text, file: u32) {
    let help = "a ministry's own file can only tighten; widening takes a derogation";
    check.wrong(Code::LayerWidens, message.to_owned(), text, file, help);
}

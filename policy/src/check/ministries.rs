//! Ministries and workloads, and what a ministry tightened itself.

use std::collections::HashMap;

use ipnet::IpNet;

use super::documents::{Documents, Written};
use super::ids::Ids;
use super::{Check, values};
use crate::bundle::list::{Entry, Reading};
use crate::bundle::yaml::{self, Entries, Text, Values};
use crate::catalogue::{MinistryIx, Place};
use crate::decision::{Outcome, SniOutcome};
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::flow::CertificateName;
use crate::ministry::{
    Actions, CertificatePattern, Layer, Ministry, Permission, PortSet, Sensitivity, Workload,
};

/// Ministries and workloads as far as they could be resolved.
pub(super) struct People {
    pub(super) ministries: Vec<Ministry>,
    /// The workload of nobody's sources is the last one.
    pub(super) workloads: Vec<Workload>,
}

/// Builds them.
pub(super) fn build(check: &mut Check<'_>, documents: &Documents, ids: &Ids) -> People {
    let mut people = People {
        ministries: Vec::new(),
        workloads: Vec::new(),
    };
    let mut sources = Vec::new();
    for (owner, written) in (0..)
        .map(MinistryIx)
        .zip(documents.section(|d| d.ministries.as_deref()))
    {
        let Written {
            file, it, place, ..
        } = written;
        people.ministries.push(Ministry {
            id: it.id.value.as_str().into(),
            name: it
                .name
                .as_ref()
                .map_or_else(|| same(&it.id), values::localised),
            contact: it.contact.as_deref().map(Into::into),
            default: it
                .default
                .as_ref()
                .and_then(|text| check.permission(text, file)),
            layer: Layer::default(),
            place,
        });
        for workload in it.workloads.iter().flatten() {
            let place = check.place(workload, file);
            let position = people.workloads.len();
            let built = build_workload(check, &workload.value, owner, place);
            let claimed = built.1.into_iter().map(|(source, place)| Claim {
                source,
                workload: position,
                place,
            });
            sources.extend(claimed);
            people.workloads.push(built.0);
        }
    }
    overlapping(check, &people.workloads, &sources);
    people.workloads.push(unassigned(check, documents));
    for layer in &documents.layers {
        if let Some(MinistryIx(at)) = ids.ministries.get(&layer.ministry).map(MinistryIx)
            && let Some(ministry) = people.ministries.get_mut(at as usize)
        {
            take_layer(check, layer, &mut ministry.layer);
        }
    }
    people
}

fn take_layer(check: &mut Check<'_>, written: &super::documents::Layer, layer: &mut Layer) {
    if let Some(text) = &written.document.default {
        let default = check.permission(text, written.file);
        layer.default = layer.default.max(default);
    }
    let actions = actions(check, written.document.on.as_ref(), written.file);
    for outcome in Outcome::ALL {
        if let Some(action) = actions
            .outcome_as_written(outcome)
            .max(layer.on.outcome_as_written(outcome))
        {
            layer.on.set_outcome(outcome, action);
        }
    }
    for outcome in SniOutcome::ALL {
        if let Some(action) = actions
            .sni_as_written(outcome)
            .max(layer.on.sni_as_written(outcome))
        {
            layer.on.set_sni(outcome, action);
        }
    }
}

fn same(text: &Text) -> crate::catalogue::Localised {
    values::localised(&yaml::Localised::Same(text.value.clone()))
}

/// A source and the workload whose it is, by position.
struct Claim {
    source: IpNet,
    workload: usize,
    place: Place,
}

fn build_workload(
    check: &mut Check<'_>,
    it: &yaml::Workload,
    ministry: MinistryIx,
    place: Place,
) -> (Workload, Vec<(IpNet, Place)>) {
    let file = place.file;
    let sources = check.inline(it.sources.as_ref(), file, Reading::Addresses);
    let sources: Vec<(IpNet, Place)> = sources
        .into_iter()
        .filter_map(|(entry, place)| match entry {
            Entry::Range(range) => Some((range, place)),
            Entry::Name(_) => None,
        })
        .collect();
    let listeners = it.listeners.iter().flat_map(|values| &values.items);
    let workload = Workload {
        id: it.id.value.as_str().into(),
        name: it.name.as_ref().map(values::localised),
        ministry: Some(ministry),
        sensitivity: check
            .sensitivity(&it.sensitivity, file)
            .unwrap_or(Sensitivity::Sensitive),
        sources: sources.iter().map(|(source, _)| *source).collect(),
        certificates: certificates(check, it.certificates.as_ref(), file),
        listeners: listeners.map(|text| text.value.as_str().into()).collect(),
        default: it
            .default
            .as_ref()
            .and_then(|text| check.permission(text, file)),
        connect_ports: ports(
            check,
            it.connect_ports.as_ref(),
            file,
            PortSet::default_connect,
        ),
        http_ports: ports(check, it.http_ports.as_ref(), file, PortSet::default_http),
        tls_ports: ports(check, it.tls_ports.as_ref(), file, PortSet::default_tls),
        trust_original: trusted(check, it.trust_original.as_ref(), file),
        on: actions(check, it.on.as_ref(), file),
        place,
    };
    if it.sources.is_none() && it.certificates.is_none() && it.listeners.is_none() {
        let message = format!(
            "the workload `{}` has no `sources`, `certificates` or `listeners`",
            workload.id
        );
        let finding = Diagnostic::warning(Code::UnreachableWorkload, message)
            .at(check.place(&it.id, file))
            .help("no flow ever belongs to it: give it a selector");
        check.report(finding);
    }
    (workload, sources)
}

/// Names of machines are patterns; URIs and e-mail addresses stand for themselves.
fn certificates(
    check: &mut Check<'_>,
    values: Option<&Values>,
    file: u32,
) -> Vec<CertificatePattern> {
    let is_name = |text: &&Text| !text.value.contains([':', '@']);
    let items = values.iter().flat_map(|values| &values.items);
    let (names, written): (Vec<&Text>, Vec<&Text>) = items.partition(is_name);
    let names = Values {
        items: names.into_iter().cloned().collect(),
    };
    let mut patterns = Vec::new();
    for (entry, _) in check.inline(Some(&names), file, Reading::Names) {
        if let Entry::Name(pattern) = entry {
            patterns.push(CertificatePattern::Names(pattern));
        }
    }
    for text in written {
        match CertificateName::parse(&text.value) {
            Some(name) => patterns.push(CertificatePattern::Written(name)),
            None => check.wrong(
                Code::InvalidName,
                format!("`{}` is no name of a certificate", text.value),
                text,
                file,
                "write a host name or a pattern, a whole URI or a whole e-mail address",
            ),
        }
    }
    patterns
}

/// Wider than any network of an administration's own, in bits of the prefix.
fn is_too_wide(range: &IpNet) -> bool {
    range.prefix_len() < if range.addr().is_ipv4() { 8 } else { 16 }
}

/// The networks of `trust_original`.
fn trusted(check: &mut Check<'_>, values: Option<&Values>, file: u32) -> Vec<IpNet> {
    let mut ranges = Vec::new();
    for (entry, place) in check.inline(values, file, Reading::Addresses) {
        let Entry::Range(range) = entry else { continue };
        if is_too_wide(&range) {
            let message =
                format!("`{range}` is too wide to be trusted: any name would be believed of it");
            let finding = Diagnostic::error(Code::TrustTooWide, message)
                .at(place)
                .help("name the networks whose names only your own name servers know");
            check.report(finding);
        } else {
            ranges.push(range);
        }
    }
    ranges
}

fn ports(
    check: &mut Check<'_>,
    values: Option<&Values>,
    file: u32,
    default: fn() -> PortSet,
) -> PortSet {
    values.map_or_else(default, |values| check.ports(values, file))
}

/// The `on:` table.
pub(super) fn actions(check: &mut Check<'_>, on: Option<&Entries<Text>>, file: u32) -> Actions {
    let mut actions = Actions::default();
    for (key, value) in on.iter().flat_map(|entries| &entries.items) {
        let Some(action) = check.action(value, file) else {
            continue;
        };
        if let Some(outcome) = Outcome::parse(&key.value) {
            actions.set_outcome(outcome, action);
        } else if let Some(outcome) = SniOutcome::parse(&key.value) {
            actions.set_sni(outcome, action);
        } else {
            unknown_outcome(check, key, file);
        }
    }
    actions
}

fn unknown_outcome(check: &mut Check<'_>, key: &Text, file: u32) {
    let words: Vec<&str> = Outcome::ALL
        .iter()
        .map(|it| it.as_str())
        .chain(SniOutcome::ALL.iter().map(|it| it.as_str()))
        .collect();
    let help = match suggest::nearest(&key.value, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of: {}", words.join(", ")),
    };
    check.wrong(
        Code::UnknownWord,
        format!("`{}` is no outcome", key.value),
        key,
        file,
        help,
    );
}

/// Nobody's sources: sensitive and denied unless the bundle says otherwise.
fn unassigned(check: &mut Check<'_>, documents: &Documents) -> Workload {
    let mut written = documents
        .national
        .iter()
        .filter_map(|(file, document)| Some((*file, document.unassigned.as_ref()?)));
    let first = written.next();
    for (file, again) in written {
        let finding = Diagnostic::error(
            Code::DuplicateSection,
            "`unassigned` stands more than once in the bundle",
        )
        .at(check.place(again, file));
        check.report(finding);
    }
    let place = first.map_or(
        Place {
            file: 0,
            line: 0,
            column: 0,
        },
        |(file, it)| check.place(it, file),
    );
    let file = place.file;
    let it = first.map(|(_, it)| &it.value);
    let sensitivity = it
        .and_then(|it| it.sensitivity.as_ref())
        .and_then(|text| check.sensitivity(text, file));
    let default = it
        .and_then(|it| it.default.as_ref())
        .and_then(|text| check.permission(text, file));
    Workload {
        id: "unassigned".into(),
        name: None,
        ministry: None,
        sensitivity: sensitivity.unwrap_or(Sensitivity::Sensitive),
        sources: Vec::new(),
        certificates: Vec::new(),
        listeners: Vec::new(),
        default: Some(default.unwrap_or(Permission::Deny)),
        connect_ports: ports(
            check,
            it.and_then(|it| it.connect_ports.as_ref()),
            file,
            PortSet::default_connect,
        ),
        http_ports: ports(
            check,
            it.and_then(|it| it.http_ports.as_ref()),
            file,
            PortSet::default_http,
        ),
        tls_ports: ports(
            check,
            it.and_then(|it| it.tls_ports.as_ref()),
            file,
            PortSet::default_tls,
        ),
        trust_original: Vec::new(),
        on: actions(check, it.and_then(|it| it.on.as_ref()), file),
        place,
    }
}

/// The same source in two workloads that nothing else tells apart.
fn overlapping(check: &mut Check<'_>, workloads: &[Workload], claims: &[Claim]) {
    let mut first: HashMap<IpNet, Vec<&Claim>> = HashMap::new();
    for claim in claims {
        let others = first.entry(claim.source).or_default();
        let clash = others.iter().find(|other| {
            other.workload == claim.workload
                || match (workloads.get(other.workload), workloads.get(claim.workload)) {
                    (Some(a), Some(b)) => !told_apart(a, b),
                    _ => false,
                }
        });
        if let Some(other) = clash {
            let (code, message) = if other.workload == claim.workload {
                (
                    Code::RedundantEntry,
                    format!("the source {} is written twice", claim.source),
                )
            } else {
                let id = workloads
                    .get(other.workload)
                    .map_or("?", |workload| &*workload.id);
                (
                    Code::OverlappingSources,
                    format!("the source {} also belongs to `{id}`", claim.source),
                )
            };
            let finding = if code == Code::OverlappingSources {
                Diagnostic::error(code, message)
                    .help("give one of them a narrower source, or tell them apart by `certificates` or `listeners`")
            } else {
                Diagnostic::warning(code, message)
            };
            check.report(finding.at(claim.place).label(other.place, "first here"));
        }
        others.push(claim);
    }
}

/// One has a kind of selector that the other lacks, or both have it with nothing in common.
fn told_apart(a: &Workload, b: &Workload) -> bool {
    fn differ<T: PartialEq>(a: &[T], b: &[T]) -> bool {
        let anything = !a.is_empty() || !b.is_empty();
        anything && !a.iter().any(|it| b.contains(it))
    }
    differ(&a.certificates, &b.certificates) || differ(&a.listeners, &b.listeners)
}

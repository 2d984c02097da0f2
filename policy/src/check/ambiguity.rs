//! Ties: two owners for one name or range with nothing to choose by.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::Check;
use super::catalogue::{Catalogue, Named};
use crate::catalogue::{Place, ProviderIx, Role, ServiceIx};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{AddressOwner, NameOwner};
use crate::pattern::{Label, Pattern, Specificity};

/// Finds ties among names (errors) and ranges (notes, but for two providers).
pub(super) fn check(check: &mut Check<'_>, catalogue: &Catalogue) {
    identical_names(check, catalogue);
    overlapping_globs(check, catalogue);
    shared_ranges(check, catalogue);
    local_names(check, catalogue);
}

/// Whether the choice between two owners of equally specific patterns is open: a service goes
/// before a provider, but two services, two providers or two roles have no order.
fn is_tie(a: NameOwner, b: NameOwner) -> bool {
    match (a, b) {
        (NameOwner::Service(a), NameOwner::Service(b)) => a != b,
        (NameOwner::Provider(a, role), NameOwner::Provider(b, other)) => a != b || role != other,
        _ => false,
    }
}

fn identical_names(check: &mut Check<'_>, catalogue: &Catalogue) {
    let mut first: HashMap<&Pattern, Vec<&Named>> = HashMap::with_capacity(catalogue.names.len());
    for named in &catalogue.names {
        let others = first.entry(&named.pattern).or_default();
        if let Some(other) = others.iter().find(|other| is_tie(other.owner, named.owner)) {
            report_tie(check, catalogue, named, other);
        } else if !others.iter().any(|other| other.owner == named.owner) {
            others.push(named);
        }
    }
}

fn report_tie(check: &mut Check<'_>, catalogue: &Catalogue, named: &Named, other: &Named) {
    let (owner, before) = (
        catalogue.owner_id(named.owner),
        catalogue.owner_id(other.owner),
    );
    let message = if owner == before {
        format!(
            "`{}` has two roles at the provider `{owner}`",
            named.pattern
        )
    } else if named.pattern == other.pattern {
        format!(
            "`{}` belongs to both `{before}` and `{owner}`",
            named.pattern
        )
    } else {
        format!(
            "`{}` of `{owner}` and `{}` of `{before}` match the same names",
            named.pattern, other.pattern
        )
    };
    let finding = Diagnostic::error(Code::AmbiguousPattern, message)
        .at(named.place)
        .label(other.place, "the other")
        .help("leave it in one of them, or make one pattern more specific");
    check.report(finding);
}

/// Label globs that are equally specific and have a name in common.
fn overlapping_globs(check: &mut Check<'_>, catalogue: &Catalogue) {
    let mut alike: BTreeMap<(Specificity, Vec<&str>), Vec<&Named>> = BTreeMap::new();
    for named in catalogue
        .names
        .iter()
        .filter(|named| named.pattern.literal().is_none())
    {
        let literals = named.pattern.labels().filter_map(|label| match label {
            Label::Literal(text) => Some(text),
            _ => None,
        });
        alike
            .entry((named.pattern.specificity(), literals.collect()))
            .or_default()
            .push(named);
    }
    for group in alike.values() {
        for (at, named) in group.iter().enumerate() {
            let clash = group[..at].iter().find(|other| {
                is_tie(other.owner, named.owner)
                    && other.pattern != named.pattern
                    && have_a_name_in_common(&other.pattern, &named.pattern)
            });
            if let Some(other) = clash {
                report_tie(check, catalogue, named, other);
            }
        }
    }
}

/// Of two equally specific patterns with the same literal labels in the same places.
fn have_a_name_in_common(a: &Pattern, b: &Pattern) -> bool {
    a.labels().zip(b.labels()).all(|(a, b)| match (a, b) {
        (Label::Glob(a), Label::Glob(b)) => globs_meet(a.as_bytes(), b.as_bytes()),
        _ => true,
    })
}

/// Whether some text matches both globs: a walk over both, where a `*` may stand for what the other
/// one shows next. One row of reachable states at a time.
fn globs_meet(a: &[u8], b: &[u8]) -> bool {
    let mut row = vec![false; b.len() + 1];
    for i in 0..=a.len() {
        let mut next = vec![false; b.len() + 1];
        for j in 0..=b.len() {
            let star_a = i > 0 && a[i - 1] == b'*';
            let star_b = j > 0 && b[j - 1] == b'*';
            next[j] = (i == 0 && j == 0)
                || (star_a && row[j])
                || (star_b && j > 0 && next[j - 1])
                || (star_a && j > 0 && next[j - 1])
                || (star_b && i > 0 && row[j])
                || (i > 0 && j > 0 && a[i - 1] == b[j - 1] && row[j - 1]);
        }
        row = next;
    }
    row[b.len()]
}

/// Equal prefixes: they stand for the provider, which the author should know.
fn shared_ranges(check: &mut Check<'_>, catalogue: &Catalogue) {
    let mut owners: BTreeMap<IpNet, Vec<(AddressOwner, Place)>> = BTreeMap::new();
    for ranged in &catalogue.addresses {
        let of_range = owners.entry(ranged.range).or_default();
        if !of_range.iter().any(|(owner, _)| *owner == ranged.owner) {
            of_range.push((ranged.owner, ranged.place));
        }
    }
    let mut shared: BTreeMap<Vec<ServiceIx>, (IpNet, Place, usize)> = BTreeMap::new();
    for (range, of_range) in owners {
        two_providers(check, catalogue, range, &of_range);
        let services = of_range.iter().filter_map(|(owner, place)| match owner {
            AddressOwner::Service(service) => Some((*service, *place)),
            AddressOwner::Provider(..) => None,
        });
        let (mut services, places): (Vec<_>, Vec<_>) = services.unzip();
        if let ([_, _, ..], Some(place)) = (services.as_slice(), places.first()) {
            services.sort_unstable();
            shared.entry(services).or_insert((range, *place, 0)).2 += 1;
        }
    }
    for (services, (range, place, count)) in shared {
        let ids: Vec<String> = services
            .iter()
            .map(|&it| format!("`{}`", catalogue.owner_id(NameOwner::Service(it))))
            .collect();
        let more = if count > 1 {
            format!(" and {} more ranges", count - 1)
        } else {
            String::new()
        };
        let message = format!(
            "{range}{more} belong{} to {}",
            if count > 1 { "" } else { "s" },
            ids.join(", ")
        );
        let finding = Diagnostic::note(Code::SharedRange, message).at(place).help(
            "an address there stands for their provider, and for the categories they all have",
        );
        check.report(finding);
    }
}

fn two_providers(
    check: &mut Check<'_>,
    catalogue: &Catalogue,
    range: IpNet,
    owners: &[(AddressOwner, Place)],
) {
    let providers: Vec<(ProviderIx, Role, Place)> = owners
        .iter()
        .filter_map(|(owner, place)| match owner {
            AddressOwner::Provider(provider, role) => Some((*provider, *role, *place)),
            AddressOwner::Service(_) => None,
        })
        .collect();
    let [(first, role, at), rest @ ..] = providers.as_slice() else {
        return;
    };
    for (other, other_role, place) in rest {
        let id = |provider| catalogue.owner_id(NameOwner::Provider(provider, Role::Own));
        let message = if first == other && role != other_role {
            format!("{range} has two roles at the provider `{}`", id(*first))
        } else {
            format!(
                "{range} belongs to both `{}` and `{}`",
                id(*first),
                id(*other)
            )
        };
        let finding = Diagnostic::error(Code::AmbiguousPattern, message)
            .at(*place)
            .label(*at, "the other")
            .help("leave it in one of them, or make one range narrower");
        check.report(finding);
    }
}

/// The same name in two of one ministry's own services.
fn local_names(check: &mut Check<'_>, catalogue: &Catalogue) {
    let mut first: HashMap<_, &Named> = HashMap::new();
    for (named, ministry) in &catalogue.local {
        match first.get(&(*ministry, &named.pattern)) {
            Some(other) if is_tie(other.owner, named.owner) => {
                report_tie(check, catalogue, named, other)
            }
            Some(_) => {}
            None => {
                first.insert((*ministry, &named.pattern), named);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::globs_meet;

    #[test]
    fn globs_meet_where_some_text_matches_both() {
        for (a, b, expected) in [
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("*a", "*b", false),
            ("a*c", "ab*", true),
            ("a*c", "*d", false),
            ("*-files", "my*", true),
            ("x*y", "xy", true),
            ("xx*", "x*y", true),
            ("a*b*c", "a*c", true),
        ] {
            assert_eq!(globs_meet(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(globs_meet(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }
}

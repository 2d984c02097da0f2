//! Rules and the lists they use; legal references.

use std::collections::HashMap;

use ipnet::IpNet;

use super::catalogue::Catalogue;
use super::documents::{Documents, Written};
use super::ids::Ids;
use super::lists::Placed;
use super::ministries::People;
use super::{Check, conditions, values};
use crate::bundle::list::{Entry, Reading};
use crate::bundle::yaml::{self, Text};
use crate::catalogue::{Id, ListIx, Place, Role};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::model::{AddressOwner, List};
use crate::pattern::Pattern;
use crate::rule::{Effect, Mode, Reference, Rule};

/// The narrowest range that a `block` rule may name without `wide: accepted`.
const NARROW_V4: u8 = 24;
const NARROW_V6: u8 = 48;

/// Rules as far as they could be resolved, with the lists they use.
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) lists: Vec<List>,
    pub(super) names: Vec<(Pattern, ListIx)>,
    pub(super) addresses: Vec<(IpNet, ListIx)>,
}

/// Builds the references.
pub(super) fn references(check: &mut Check<'_>, documents: &Documents) -> Vec<Reference> {
    let mut all = Vec::new();
    for (file, document) in &documents.national {
        for (id, it) in document
            .references
            .iter()
            .flat_map(|entries| &entries.items)
        {
            all.push(Reference {
                id: id.value.as_str().into(),
                title: values::localised(&it.value.title),
                url: it.value.url.as_deref().map(Into::into),
                validity: check.validity(it.value.from.as_ref(), it.value.until.as_ref(), *file),
                place: check.place(id, *file),
            });
        }
    }
    all
}

/// Builds the rules of every layer.
pub(super) fn build(
    check: &mut Check<'_>,
    documents: &Documents,
    ids: &Ids,
    catalogue: &Catalogue,
    people: &People,
) -> Rules {
    let mut lists = Lists::default();
    let mut rules = Vec::new();
    for written in documents.rules() {
        let before = lists.blocked.len();
        let errors = check.findings.count(Severity::Error);
        let rule = rule(check, &written, ids, &mut lists);
        let wide = conditions::accepts_wide(check, &written.it.when.value, written.file);
        if rule.effect != Effect::Block || wide {
            lists.blocked.truncate(before);
        }
        // A rule with a mistake in it is not also told that it matches nothing.
        if check.findings.count(Severity::Error) == errors {
            super::unused::rule(check, &written, &rule, catalogue, people, &lists.lists);
        }
        rules.push(rule);
    }
    too_wide(check, &lists.blocked, catalogue);
    Rules {
        rules,
        lists: lists.lists,
        names: lists.names,
        addresses: lists.addresses,
    }
}

fn rule(
    check: &mut Check<'_>,
    written: &Written<'_, yaml::Rule>,
    ids: &Ids,
    lists: &mut Lists,
) -> Rule {
    let Written {
        file, it, place, ..
    } = *written;
    let effects = [
        ("block", Effect::Block),
        ("deny", Effect::Deny),
        ("allow", Effect::Allow),
    ];
    let effect = check.word(&it.effect, file, &effects);
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let mode = it
        .mode
        .as_ref()
        .and_then(|text| check.word(text, file, &modes))
        .unwrap_or_default();
    if let (Some(Effect::Allow), Mode::Observe, Some(text)) = (effect, mode, &it.mode) {
        let message = "an `allow` rule cannot be observed".to_owned();
        let help = "observing only adds what would be denied; to try a permission out, observe the `deny` rule it is an exception to";
        check.wrong(Code::ObserveOnAllow, message, text, file, help);
    }
    conditions::empty(check, written);
    let when = conditions::build(check, written, &it.when.value, ids, lists);
    // Only what `when` names is blocked.
    let blocked = lists.blocked.len();
    let unless = it.unless.iter().flatten();
    let unless = unless
        .map(|condition| conditions::build(check, written, &condition.value, ids, lists))
        .collect();
    lists.blocked.truncate(blocked);
    Rule {
        id: it.id.value.as_str().into(),
        effect: effect.unwrap_or(Effect::Deny),
        mode,
        when,
        unless,
        references: it
            .references
            .as_ref()
            .map(|values| ids.references(check, values, file))
            .unwrap_or_default(),
        reason: it.reason.as_ref().map(values::localised),
        layer: ids.layer_of(written),
        place,
    }
}

/// Lists that rules use: each file once, and what a rule holds itself.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) lists: Vec<List>,
    names: Vec<(Pattern, ListIx)>,
    addresses: Vec<(IpNet, ListIx)>,
    /// List files already read, by file and reading.
    read: HashMap<(u32, Reading), ListIx>,
    /// Ranges that the rule in hand names, for the rules about `block`.
    blocked: Vec<(IpNet, Place)>,
    /// Ranges of each list file, where a `block` rule may name it again.
    ranges: HashMap<ListIx, Vec<(IpNet, Place)>>,
}

impl Lists {
    /// The lists of a condition; `None` if it names neither names nor addresses.
    pub(super) fn of_condition(
        &mut self,
        check: &mut Check<'_>,
        written: &Written<'_, yaml::Rule>,
        condition: &yaml::Condition,
    ) -> Option<Vec<ListIx>> {
        let file = written.file;
        let keys = [
            &condition.domains,
            &condition.domains_from,
            &condition.addresses,
            &condition.addresses_from,
        ];
        if keys.into_iter().all(Option::is_none) {
            return None;
        }
        let rule = written.it.id.value.as_str();
        let mut used = Vec::new();
        for (values, reading, part) in [
            (&condition.domains, Reading::Names, "domains"),
            (&condition.addresses, Reading::Addresses, "addresses"),
        ] {
            if values.is_some() {
                let entries = check.inline(values.as_ref(), file, reading);
                used.push(self.keep(format!("{rule}#{part}").into(), entries));
            }
        }
        for (values, reading) in [
            (&condition.domains_from, Reading::Names),
            (&condition.addresses_from, Reading::Addresses),
        ] {
            for path in values.iter().flat_map(|values| &values.items) {
                used.extend(self.file(check, path, file, reading));
            }
        }
        Some(used)
    }

    fn file(
        &mut self,
        check: &mut Check<'_>,
        path: &Text,
        file: u32,
        reading: Reading,
    ) -> Option<ListIx> {
        let list = check.list(path, file)?;
        if let Some(&known) = self.read.get(&(list, reading)) {
            self.blocked
                .extend(self.ranges.get(&known).into_iter().flatten());
            return Some(known);
        }
        let ix = self.next();
        let (names, ranges) = (self.names.len(), self.blocked.len());
        let mut places = Vec::new();
        let entries = check.read_list(list, reading, |(entry, place)| match entry {
            Entry::Name(pattern) => {
                self.names.push((pattern, ix));
                places.push((place.line, place.column));
            }
            Entry::Range(range) => {
                self.addresses.push((range, ix));
                self.blocked.push((range, place));
            }
        });
        super::redundancy::check_list(check, &self.names[names..], &places, list);
        super::redundancy::check_ranges(check, &self.blocked[ranges..]);
        self.ranges.insert(ix, self.blocked[ranges..].to_vec());
        self.lists.push(List {
            id: path.value.as_str().into(),
            entries,
        });
        self.read.insert((list, reading), ix);
        Some(ix)
    }

    fn keep(&mut self, id: Id, entries: Vec<Placed>) -> ListIx {
        let ix = self.next();
        self.lists.push(List {
            id,
            entries: entries.len(),
        });
        for (entry, place) in entries {
            match entry {
                Entry::Name(pattern) => self.names.push((pattern, ix)),
                Entry::Range(range) => {
                    self.addresses.push((range, ix));
                    self.blocked.push((range, place));
                }
            }
        }
        ix
    }

    fn next(&self) -> ListIx {
        ListIx(u32::try_from(self.lists.len()).unwrap_or(u32::MAX))
    }
}

/// What a `block` rule names beyond what an indicator should: nothing lifts a block.
fn too_wide(check: &mut Check<'_>, blocked: &[(IpNet, Place)], catalogue: &Catalogue) {
    let fronts = Fronts::of(catalogue);
    for &(range, place) in blocked {
        let narrow = if matches!(range, IpNet::V4(_)) {
            NARROW_V4
        } else {
            NARROW_V6
        };
        if range.prefix_len() < narrow {
            let finding = Diagnostic::error(Code::BlockTooWide, format!("a `block` rule names {range}, wider than /{narrow}"))
                .at(place)
                .help("nothing lifts a block: name narrower ranges, or write `wide: accepted` in its `when`");
            check.report(finding);
        } else if let Some((front, owner)) = fronts.around(range) {
            let message = format!(
                "a `block` rule names {range}, which lies in the range {front} of the CDN `{owner}`"
            );
            let finding = Diagnostic::error(Code::BlockInFrontRange, message)
                .at(place)
                .help("other people's sites stand behind it: block names instead, or write `wide: accepted` in its `when`");
            check.report(finding);
        }
    }
}

/// Ranges with `role: front`, by their first address.
struct Fronts<'a> {
    sorted: Vec<(IpNet, &'a str)>,
}

impl<'a> Fronts<'a> {
    fn of(catalogue: &'a Catalogue) -> Self {
        let fronts = catalogue
            .addresses
            .iter()
            .filter_map(|ranged| match ranged.owner {
                AddressOwner::Provider(provider, Role::Front) => Some((
                    ranged.range,
                    catalogue
                        .providers
                        .get(provider.at())
                        .map_or("?", |it| &*it.id),
                )),
                _ => None,
            });
        let mut all: Vec<_> = fronts.collect();
        all.sort_unstable();
        // Prefixes nest or are apart: what another one contains is found through that one.
        let mut sorted: Vec<(IpNet, &str)> = Vec::new();
        for (range, owner) in all {
            if !sorted
                .last()
                .is_some_and(|(outer, _)| outer.contains(&range))
            {
                sorted.push((range, owner));
            }
        }
        Self { sorted }
    }

    fn around(&self, range: IpNet) -> Option<(IpNet, &'a str)> {
        let after = self
            .sorted
            .partition_point(|(front, _)| front.network() <= range.network());
        let (front, owner) = *self.sorted.get(after.checked_sub(1)?)?;
        front.contains(&range).then_some((front, owner))
    }
}

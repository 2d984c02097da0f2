//! The YAML of a bundle as it is written: shapes with places, nothing resolved.
//!
//! Words (`deny`, `sensitive`, …), dates, names and addresses stay texts here, so that every wrong
//! one in a file is found in one run; only unknown keys, wrong types and broken YAML stop a file.

mod catalogue;
mod ministry;
mod rule;
mod test;
mod value;

use serde::Deserialize;
use serde_saphyr::Budget;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options};

use crate::catalogue::Place;
use crate::diagnostic::{Code, Diagnostic, suggest};

pub(crate) use catalogue::{Provider, Service};
pub(crate) use ministry::{Ministry, Unassigned, Workload};
pub(crate) use rule::{Condition, Derogation, Procedure, Reference, Rule};
pub(crate) use test::{Given, Test};
pub(crate) use value::{At, Entries, Localised, Text, Values};

/// Keys of features that do not exist yet: a bundle that uses one must not load as if it were obeyed.
const RESERVED: [&str; 8] = [
    "users",
    "groups",
    "signatures",
    "schedule",
    "quotas",
    "import",
    "tenants",
    "methods",
];

/// Parser events in one file. A rule is about 40, so this is some 12,000 rules.
const MAX_EVENTS: usize = 500_000;
/// Aliases (`*name`) in one file; none is needed, a few are a convenience.
const MAX_ALIASES: usize = 200;
/// Events replayed from anchors in one file: what stops "a billion laughs".
const MAX_REPLAYED: usize = 20_000;
/// How deep tables may nest; the format needs seven.
const MAX_DEPTH: usize = 24;

/// A national file: any of the sections.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Document {
    pub(crate) version: Option<At<u64>>,
    pub(crate) name: Option<Text>,
    pub(crate) default: Option<Text>,
    pub(crate) derogation_ceiling: Option<Text>,
    pub(crate) derogation_procedure: Option<At<Procedure>>,
    pub(crate) contact: Option<Text>,
    pub(crate) references: Option<Entries<At<Reference>>>,
    pub(crate) rules: Option<Vec<At<Rule>>>,
    pub(crate) ministries: Option<Vec<At<Ministry>>>,
    pub(crate) unassigned: Option<At<Unassigned>>,
    pub(crate) services: Option<Vec<At<Service>>>,
    pub(crate) providers: Option<Vec<At<Provider>>>,
    pub(crate) derogations: Option<Vec<At<Derogation>>>,
    pub(crate) tested_at: Option<Text>,
    pub(crate) tests: Option<Vec<At<Test>>>,
}

/// A file below `ministries/<id>/`: what a ministry may say itself. `sources` and the other
/// national sections are read only to say where they belong.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LayerDocument {
    pub(crate) default: Option<Text>,
    pub(crate) on: Option<Entries<Text>>,
    pub(crate) rules: Option<Vec<At<Rule>>>,
    pub(crate) services: Option<Vec<At<Service>>>,
    pub(crate) tests: Option<Vec<At<Test>>>,
}

/// Sections that only national files may hold.
const NATIONAL: [&str; 16] = [
    "version",
    "name",
    "derogation_ceiling",
    "derogation_procedure",
    "contact",
    "references",
    "ministries",
    "unassigned",
    "providers",
    "derogations",
    "tested_at",
    "sources",
    "sensitivity",
    "workloads",
    "certificates",
    "listeners",
];

/// Whose file is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nation,
    Ministry,
}

impl Document {
    /// Reads a national file; `file` is its position in the bundle.
    pub(crate) fn read(text: &str, file: u32) -> Result<Self, Box<Diagnostic>> {
        read(text, file, Owner::Nation)
    }
}

impl LayerDocument {
    /// Reads a ministry's own file; `file` is its position in the bundle.
    pub(crate) fn read(text: &str, file: u32) -> Result<Self, Box<Diagnostic>> {
        read(text, file, Owner::Ministry)
    }
}

fn read<T>(text: &str, file: u32, owner: Owner) -> Result<T, Box<Diagnostic>>
where
    T: for<'de> Deserialize<'de> + Default,
{
    if let Some(place) = lone_return(text, file) {
        let message =
            "a carriage return without a line feed: YAML ends a line there, most editors do not";
        let error = Diagnostic::error(Code::InvalidYaml, message).at(place);
        return Err(Box::new(
            error.help("save the file with the line ends of Unix or of Windows"),
        ));
    }
    if is_blank(text) {
        return Ok(T::default());
    }
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| Box::new(shape_error(&error, file, owner)))
}

/// Where a carriage return stands alone. What follows it in a comment would be hidden from people,
/// and no line behind it would have the number that they know.
fn lone_return(text: &str, file: u32) -> Option<Place> {
    let text = text.trim_start_matches('\u{feff}');
    let mut returns = text.match_indices('\r');
    let (at, _) = returns.find(|(at, _)| !text[at + 1..].starts_with('\n'))?;
    let (line, column) = super::place_behind(&text[..at]);
    Some(Place { file, line, column })
}

fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: budget(),
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
            max_replay_stack_depth: 4,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
    }
}

fn budget() -> Option<Budget> {
    serde_saphyr::budget! {
        max_events: MAX_EVENTS,
        max_aliases: MAX_ALIASES,
        max_anchors: MAX_ALIASES,
        max_depth: MAX_DEPTH,
        max_documents: 1,
    }
}

/// What the YAML library says, in the words of this format and with a remedy.
fn shape_error(error: &Error, file: u32, owner: Owner) -> Diagnostic {
    let error = error.without_snippet();
    let place = error.location().map_or_else(
        || value::file_place(file),
        |location| value::place_of(location, file),
    );
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_key(field, expected, owner).at(place),
        Error::SerdeMissingField { field, .. } => {
            Diagnostic::error(Code::MissingKey, format!("the key `{field}` is missing")).at(place)
        }
        Error::DuplicateMappingKey { key, .. } => Diagnostic::error(
            Code::DuplicateKey,
            match key {
                Some(key) => format!("the key `{key}` is written twice in one table"),
                None => "a key is written twice in one table".to_owned(),
            },
        )
        .at(place),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => Diagnostic::error(
            Code::InvalidValue,
            format!("expected {}, found {unexpected}", in_our_words(expected)),
        )
        .at(place),
        Error::InvalidBooleanStrict { .. } => {
            Diagnostic::error(Code::InvalidValue, "expected `true` or `false`").at(place)
        }
        Error::NullIntoString { .. } => {
            Diagnostic::error(Code::InvalidValue, "expected a text, found nothing")
                .at(place)
                .help("write a value, or remove the key")
        }
        Error::InvalidScalar { ty, .. } => Diagnostic::error(
            Code::InvalidValue,
            format!("expected {}", scalar_in_our_words(ty)),
        )
        .at(place),
        Error::Unexpected { expected, .. } => Diagnostic::error(
            Code::InvalidValue,
            format!("expected {}", in_our_words(expected)),
        )
        .at(place),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            Diagnostic::error(Code::InvalidYaml, in_our_words(first)).at(place)
        }
    }
}

/// A key that its table does not have: reserved for later, national in a ministry's file, or mistyped.
fn unknown_key(field: &str, expected: &[&'static str], owner: Owner) -> Diagnostic {
    if RESERVED.contains(&field) {
        return Diagnostic::error(
            Code::NotAvailableYet,
            format!("`{field}` is not available yet"),
        )
        .help(
            "this version does not know the feature; remove the key, so that nobody relies on it",
        );
    }
    if owner == Owner::Ministry && NATIONAL.contains(&field) {
        return Diagnostic::error(
            Code::LayerNationalKey,
            format!("`{field}` is national and cannot be set in a ministry's own file"),
        )
        .help("move it to a file that is not below `ministries/<id>/`");
    }
    let unknown = Diagnostic::error(Code::UnknownKey, format!("there is no key `{field}` here"));
    match suggest::nearest(field, expected.iter().copied()) {
        Some(near) => unknown.help(format!("did you mean `{near}`?")),
        None if expected.is_empty() => unknown,
        None => unknown.help(format!("known here: {}", expected.join(", "))),
    }
}

/// `u16` and its like, as people call them.
fn scalar_in_our_words(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "i64" | "unsigned integer" | "integer" => "a number",
        "bool" | "boolean" => "`true` or `false`",
        other => other,
    }
}

/// Drops what the library adds for programmers: the place (we show it) and type names.
fn in_our_words(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    let text = text.trim_end_matches('.').replace("struct ", "a table ");
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}

impl Document {
    /// Every path that a `*_from` or `from` key names.
    pub(crate) fn list_paths(&self) -> Vec<String> {
        let rules = self.rules.iter().flatten().flat_map(|rule| {
            let unless = rule
                .value
                .unless
                .iter()
                .flatten()
                .map(|condition| &condition.value);
            std::iter::once(&rule.value.when.value).chain(unless)
        });
        let rules = rules.flat_map(|when| [&when.domains_from, &when.addresses_from]);
        let services = self.services.iter().flatten();
        let services = services.flat_map(|it| [&it.value.domains_from, &it.value.addresses_from]);
        let providers = self.providers.iter().flatten().flat_map(|provider| {
            let names = provider
                .value
                .suffixes
                .iter()
                .flatten()
                .map(|set| &set.value.from);
            names.chain(
                provider
                    .value
                    .addresses
                    .iter()
                    .flatten()
                    .map(|set| &set.value.from),
            )
        });
        let values = rules.chain(services).chain(providers).flatten();
        let mut paths: Vec<String> = values
            .flat_map(|values| &values.items)
            .map(|path| path.value.clone())
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

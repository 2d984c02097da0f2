//! `limits.flows` and `limits.new_flows`: how much of the gate one source, ministry or workload may use.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Location;

use super::super::problem::Problem;
use super::super::sense::{Sense, Text};

/// How long a quiet client saves up its rate: a browser opens what a page needs at once.
pub const DEFAULT_BURST: Duration = Duration::from_secs(5);

/// More flows at once, or a second, than one machine carries.
const MOST: usize = 1 << 20;
/// More ids than a bundle has ministries and workloads.
const MOST_NAMED: usize = 10_000;

/// Flows under way at once, and flows begun in a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// How many may be under way at once.
    pub flows: Figures,
    /// How many may begin in a second, on average.
    pub new_flows: Figures,
    /// How many seconds' worth of them may begin at once after a quiet time.
    pub burst: Duration,
}

/// The figures of one kind. `None` = no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// For each source address.
    pub per_source: Option<usize>,
    /// For each ministry that `ministries` does not name.
    pub per_ministry: Option<usize>,
    /// For each workload that `workloads` does not name.
    pub per_workload: Option<usize>,
    /// For these ministries.
    pub ministries: Vec<Named>,
    /// For these workloads: `culture/bureautique`, or `bureautique` for those of every ministry.
    pub workloads: Vec<Named>,
}

/// A figure for one id of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The figure; `None` = no limit.
    pub most: Option<usize>,
    place: Location,
}

impl Named {
    /// What is said when the policy has no such id.
    #[must_use]
    pub fn unknown(&self, what: &str, help: String) -> Problem {
        let message = format!("the policy has no {what} `{}`", self.id);
        Problem::at(self.place, message).help(help)
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            flows: Figures::default(),
            new_flows: Figures::default(),
            burst: DEFAULT_BURST,
        }
    }
}

impl Figures {
    /// The figure for a ministry.
    #[must_use]
    pub fn ministry(&self, id: &str) -> Option<usize> {
        named(&self.ministries, id).unwrap_or(self.per_ministry)
    }

    /// The figure for a workload: what names it with its ministry goes before what names it alone.
    #[must_use]
    pub fn workload(&self, ministry: &str, id: &str) -> Option<usize> {
        let whole = named(&self.workloads, &format!("{ministry}/{id}"));
        whole
            .or_else(|| named(&self.workloads, id))
            .unwrap_or(self.per_workload)
    }
}

/// What is limited, in the words of the file.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let general = [
            ("per_source", self.per_source),
            ("per_ministry", self.per_ministry),
            ("per_workload", self.per_workload),
        ];
        let general = general.into_iter().filter(|(_, most)| most.is_some());
        let named = self.ministries.iter().chain(&self.workloads);
        let named = named.map(|named| (named.id.as_str(), named.most));
        let mut is_first = true;
        for (key, most) in general.chain(named) {
            let gap = if is_first { "" } else { ", " };
            match most {
                Some(most) => write!(f, "{gap}{key}: {most}")?,
                None => write!(f, "{gap}{key}: none")?,
            }
            is_first = false;
        }
        if is_first {
            f.write_str("none")
        } else {
            Ok(())
        }
    }
}

fn named(figures: &[Named], id: &str) -> Option<Option<usize>> {
    let found = figures.iter().find(|named| named.id == id)?;
    Some(found.most)
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    per_source: Option<Text>,
    per_ministry: Option<Text>,
    per_workload: Option<Text>,
    ministries: Pairs,
    workloads: Pairs,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypedNew {
    per_source: Option<Text>,
    per_ministry: Option<Text>,
    per_workload: Option<Text>,
    ministries: Pairs,
    workloads: Pairs,
    burst: Option<Text>,
}

/// A table whose keys keep their places.
#[derive(Debug, Default)]
struct Pairs(Vec<(Text, Text)>);

pub(super) fn meaning(flows: Typed, new: TypedNew, sense: &mut Sense<'_>) -> Shares {
    let seconds = Duration::from_secs(1)..=Duration::from_mins(1);
    let burst = sense.duration("burst", new.burst.as_ref(), DEFAULT_BURST, seconds);
    let new_flows = Typed {
        per_source: new.per_source,
        per_ministry: new.per_ministry,
        per_workload: new.per_workload,
        ministries: new.ministries,
        workloads: new.workloads,
    };
    Shares {
        flows: figures(&flows, sense),
        new_flows: figures(&new_flows, sense),
        burst,
    }
}

fn figures(typed: &Typed, sense: &mut Sense<'_>) -> Figures {
    Figures {
        per_source: general("per_source", typed.per_source.as_ref(), sense),
        per_ministry: general("per_ministry", typed.per_ministry.as_ref(), sense),
        per_workload: general("per_workload", typed.per_workload.as_ref(), sense),
        ministries: each("ministries", &typed.ministries, sense),
        workloads: each("workloads", &typed.workloads, sense),
    }
}

fn general(key: &str, typed: Option<&Text>, sense: &mut Sense<'_>) -> Option<usize> {
    typed.and_then(|text| figure(key, text, sense))
}

fn each(key: &str, typed: &Pairs, sense: &mut Sense<'_>) -> Vec<Named> {
    let pairs = typed.0.iter();
    pairs
        .map(|(id, text)| Named {
            id: id.value.clone(),
            most: figure(key, text, sense),
            place: id.referenced,
        })
        .collect()
}

fn figure(key: &str, text: &Text, sense: &mut Sense<'_>) -> Option<usize> {
    if text.value == "none" {
        return None;
    }
    match text.value.parse() {
        Ok(number) if (1..=MOST).contains(&number) => return Some(number),
        _ => sense.problem(
            text,
            format!("`{}` is not a value of `{key}`", text.value),
            format!("write a number from `1` to `{MOST}`, or `none`"),
        ),
    }
    None
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfPairs;
        impl<'de> Visitor<'de> for OfPairs {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of ids and figures")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() >= MOST_NAMED {
                        return Err(serde::de::Error::custom("there are more than 10000 ids"));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(OfPairs)
    }
}

//! Values with the place where they were written.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::catalogue::Place;

/// A value and where it is written.
pub(crate) type At<T> = Spanned<T>;
/// A scalar as it is written, and where.
pub(crate) type Text = Spanned<String>;

/// The place of `location` in `file`.
pub(crate) fn place_of(location: Location, file: u32) -> Place {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file,
        line: narrow(location.line()),
        column: narrow(location.column()),
    }
}

/// The file as a whole.
pub(crate) fn file_place(file: u32) -> Place {
    Place {
        file,
        line: 0,
        column: 0,
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// The values; a lone one has the place of the whole.
    pub(crate) items: Vec<Text>,
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Spanned::<OneOrMany>::deserialize(deserializer)?;
        let items = match raw.value {
            OneOrMany::One(value) => {
                vec![Spanned {
                    value,
                    referenced: raw.referenced,
                    defined: raw.defined,
                }]
            }
            OneOrMany::Many(items) => items,
        };
        Ok(Self { items })
    }
}

enum OneOrMany {
    One(String),
    Many(Vec<Text>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(OneOrMany::Many(items))
    }
}

/// A table with free keys, in the order written.
#[derive(Debug)]
pub(crate) struct Entries<T> {
    /// Keys and values.
    pub(crate) items: Vec<(Text, T)>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    items.push(entry);
                }
                Ok(Entries { items })
            }
        }

        deserializer.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}

/// `{fr: …, en: …}`, or one text for both languages.
#[derive(Clone, Debug)]
pub(crate) enum Localised {
    /// The same for both.
    Same(String),
    /// One or both.
    Each(Languages),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of `fr` and `en`")]
pub(crate) struct Languages {
    pub(crate) fr: Option<String>,
    pub(crate) en: Option<String>,
}

impl<'de> Deserialize<'de> for Localised {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LocalisedVisitor;

        impl<'de> Visitor<'de> for LocalisedVisitor {
            type Value = Localised;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table of `fr` and `en`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Localised, E> {
                Ok(Localised::Same(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Localised, A::Error> {
                Languages::deserialize(MapAccessDeserializer::new(map)).map(Localised::Each)
            }
        }

        deserializer.deserialize_any(LocalisedVisitor)
    }
}

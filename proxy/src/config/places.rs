//! Where each key of `octroi.yaml` is written, for what is found wrong only once the file is understood.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// The places of a file's values, by their keys: `audit.path`, `listeners[0].address`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    all: BTreeMap<String, Location>,
    /// The names of the listeners, in the order of the file.
    listeners: Vec<String>,
}

impl Places {
    /// The places in a text; none if it is no YAML.
    pub(super) fn of(text: &str) -> Self {
        let options = serde_saphyr::options! { with_snippet: false };
        let root = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options);
        let mut places = Self::default();
        if let Ok(root) = root {
            places.walk(String::new(), &root);
        }
        places
    }

    /// Where a key's value is; where the key is not written, nowhere.
    pub(crate) fn at(&self, key: &str) -> Location {
        self.all.get(key).copied().unwrap_or(Location::UNKNOWN)
    }

    /// The line of a key's value; 0 where it is not written.
    pub(crate) fn line(&self, key: &str) -> usize {
        usize::try_from(self.at(key).line()).unwrap_or(0)
    }

    /// The key of a value of the listener called `name`.
    pub(crate) fn listener(&self, name: &str, value: &str) -> String {
        let named = self.listeners.iter().position(|it| it == name);
        named.map_or_else(String::new, |at| format!("listeners[{at}].{value}"))
    }

    fn walk(&mut self, key: String, node: &Spanned<Node>) {
        match &node.value {
            Node::Scalar(text) => {
                if key.starts_with("listeners[") && key.ends_with("].name") {
                    self.listeners.push(text.clone());
                }
            }
            Node::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.walk(format!("{key}[{at}]"), item);
                }
            }
            Node::Mapping(entries) => {
                for (name, value) in entries {
                    let dot = if key.is_empty() { "" } else { "." };
                    self.walk(format!("{key}{dot}{name}"), value);
                }
            }
        }
        self.all.insert(key, node.referenced);
    }
}

/// YAML of any shape.
#[derive(Debug)]
enum Node {
    /// The text of one that is a text.
    Scalar(String),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyShape)
    }
}

struct AnyShape;

impl<'de> Visitor<'de> for AnyShape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let text = "audit:\n  path: a.jsonl\n  keep: 30\nlisteners:\n  - { name: a, address: \"0.0.0.0:1\" }\n  - name: b\n    on: true\nnothing:\n";
        let places = Places::of(text);
        for (key, line, column) in [
            ("audit", 2, 3),
            ("audit.path", 2, 9),
            ("audit.keep", 3, 9),
            ("listeners[0].address", 5, 25),
            ("listeners[1]", 6, 5),
            ("listeners[1].on", 7, 9),
        ] {
            let at = places.at(key);
            assert_eq!((at.line(), at.column()), (line, column), "{key}");
        }
        assert_eq!(places.listener("b", "on"), "listeners[1].on");
        assert_eq!(places.listener("c", "on"), "");
        assert_eq!(places.line("audit.key"), 0);
        assert_eq!(Places::of("a: [").line("a"), 0);
    }
}

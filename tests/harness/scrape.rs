//! Reading `/metrics` and the audit log, and a small HTTP client for the admin listener.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer to [`request`].
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// One request on a connection of its own; `None` when nobody answers.
pub(crate) fn request(at: SocketAddr, method: &str, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    split(&String::from_utf8_lossy(&bytes))
}

fn split(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Some(Answer {
        status,
        body: if chunked {
            unchunk(body)
        } else {
            body.to_owned()
        },
    })
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size + 2 > after.len() {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}

/// One line of `/metrics`.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All of `/metrics` at one instant.
pub(crate) struct Scrape {
    pub(crate) text: String,
    pub(crate) samples: Vec<Sample>,
}

impl Scrape {
    pub(crate) fn parse(text: String) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples =
            lines.map(|line| sample(line).unwrap_or_else(|| panic!("metric line `{line}`")));
        let samples = samples.collect();
        Self { text, samples }
    }

    /// The sum over the series of a family that carry these labels.
    pub(crate) fn total(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let matching = self
            .samples
            .iter()
            .filter(|s| s.name == name && s.has(labels));
        let sum: f64 = matching.map(|s| s.value).sum();
        // Counters and gauges of ours are whole numbers far below 2^53.
        sum.round() as u64
    }

    /// The sums by one label.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.samples.iter().filter(|s| s.name == name) {
            let key = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(key).or_insert(0) += sample.value.round() as u64;
        }
        sums.retain(|_, count| *count > 0);
        sums
    }
}

impl Sample {
    pub(crate) fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(k, v)| self.labels.get(*k).is_some_and(|found| found == v))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    Some(Sample {
        name: name.to_owned(),
        labels: labels_of(labels.strip_suffix('}')?),
        value: value.parse().ok()?,
    })
}

/// Label values of ours are ids: they hold neither commas nor quotes.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs
        .map(|(k, v)| (k.to_owned(), v.trim_end_matches('"').to_owned()))
        .collect()
}

/// One line of the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) Value);

impl Line {
    pub(crate) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|e| panic!("audit line `{text}`: {e}")))
    }

    /// A field by its dotted name, whether written flat or nested.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        lookup(&self.0, path)
    }

    /// A field as text; absent fields are empty.
    pub(crate) fn text(&self, path: &str) -> String {
        match self.get(path) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

fn lookup<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.match_indices('.')
        .find_map(|(at, _)| lookup(value.get(&path[..at])?, &path[at + 1..]))
}

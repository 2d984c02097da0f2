//! From what was typed to what it means: reads values, fills in defaults, collects every problem.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde_saphyr::Spanned;

use super::problem::Problem;
use super::units::{
    DURATION_HELP, SIZE_HELP, ShownDuration, ShownSize, parse_duration, parse_size,
};

/// A value as typed, with its place.
pub(super) type Text = Spanned<String>;

/// Collects what is wrong while a file's sections are given their meaning.
pub(super) struct Sense<'a> {
    base: &'a Path,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Sense<'a> {
    /// Relative paths are relative to `base`, the directory of the file.
    pub(super) fn new(base: &'a Path) -> Self {
        Self {
            base,
            problems: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, at: &Text, message: String, help: impl Into<String>) {
        self.problems
            .push(Problem::at(at.referenced, message).help(help));
    }

    pub(super) fn path(&self, value: &Text) -> PathBuf {
        self.base.join(&value.value)
    }

    pub(super) fn duration(
        &mut self,
        key: &str,
        value: Option<&Text>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = value else { return default };
        match parse_duration(&text.value) {
            Ok(duration) if range.contains(&duration) => return duration,
            Ok(_) => self.out_of_range(
                key,
                text,
                &ShownDuration(*range.start()),
                &ShownDuration(*range.end()),
            ),
            Err(error) => self.problem(
                text,
                format!("the duration `{}` {error}", text.value),
                DURATION_HELP,
            ),
        }
        default
    }

    pub(super) fn size(
        &mut self,
        key: &str,
        value: Option<&Text>,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        let Some(text) = value else { return default };
        let shown = |size: usize| ShownSize(size as u64);
        match parse_size(&text.value).map(usize::try_from) {
            Ok(Ok(size)) if range.contains(&size) => return size,
            Ok(_) => self.out_of_range(key, text, &shown(*range.start()), &shown(*range.end())),
            Err(error) => self.problem(
                text,
                format!("the size `{}` {error}", text.value),
                SIZE_HELP,
            ),
        }
        default
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        value: Option<&Text>,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        let Some(text) = value else { return default };
        match text.value.parse() {
            Ok(number) if range.contains(&number) => return number,
            _ => self.out_of_range(key, text, range.start(), range.end()),
        }
        default
    }

    fn out_of_range(
        &mut self,
        key: &str,
        text: &Text,
        least: &dyn std::fmt::Display,
        most: &dyn std::fmt::Display,
    ) {
        let message = format!("`{}` is not a value of `{key}`", text.value);
        self.problem(
            text,
            message,
            format!("write a value from `{least}` to `{most}`"),
        );
    }

    /// One word out of a closed set.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        value: Option<&Text>,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let Some(text) = value else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return *meaning;
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("`{}` is not a value of `{key}`", text.value);
        self.problem(text, message, format!("write {}", known.join(" or ")));
        default
    }

    /// An address with a port.
    pub(super) fn socket(&mut self, value: &Text) -> Option<SocketAddr> {
        let parsed = SocketAddr::from_str(&value.value).ok();
        if parsed.is_none() {
            let message = format!("`{}` is no address with a port", value.value);
            self.problem(
                value,
                message,
                "write `127.0.0.1:3128` or `\"[::1]:3128\"`; a name is not looked up",
            );
        }
        parsed
    }

    pub(super) fn network(&mut self, value: &Text) -> Option<IpNet> {
        let text = &value.value;
        let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let net = text.parse().ok().or_else(single);
        if net.is_none() {
            let message = format!("`{text}` is no network");
            self.problem(
                value,
                message,
                "write an address or a network such as `10.0.0.0/8`",
            );
        }
        net
    }
}

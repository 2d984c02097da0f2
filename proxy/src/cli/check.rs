//! `octroi check`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use octroi_policy::check::compile;
use serde_json::{Value, json};

use super::{NO, complain, say, unreadable};
use crate::config::{Config, ConfigError, PolicySource, Problem};

/// Enough of a file to tell which kind it is.
const GLANCE: u64 = 1 << 20;

/// The sections of octroi.yaml; a bundle has none of these.
const SECTIONS: [&str; 10] = [
    "policy",
    "state",
    "listeners",
    "dns",
    "upstream",
    "limits",
    "audit",
    "drain_timeout",
    "admin",
    "pac",
];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A bundle (directory or file), or octroi.yaml; the embedded example if absent
    #[arg(value_name = "FILE|BUNDLE")]
    path: Option<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    match arguments.path.as_deref() {
        Some(path) if is_config(path) => check_config(path, arguments.format),
        path => check_bundle(path, arguments.format),
    }
}

/// A file that has a section of octroi.yaml at its top level is one.
fn is_config(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(GLANCE).read_to_string(&mut text));
    let is_section = |line: &str| {
        line.split_once(':')
            .is_some_and(|(key, _)| SECTIONS.contains(&key.trim_end()))
    };
    let named = path.file_name().is_some_and(|name| name == "octroi.yaml");
    named || (read.is_ok() && text.lines().any(is_section))
}

fn check_config(path: &Path, format: Format) -> u8 {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return config_is_wrong(&error, format),
    };
    match &config.policy {
        PolicySource::Path(policy) => check_bundle(Some(policy), format),
        PolicySource::Embedded => check_bundle(None, format),
    }
}

fn config_is_wrong(error: &ConfigError, format: Format) -> u8 {
    match format {
        Format::Text => complain(error),
        Format::Json => {
            let problem = |it: &Problem| json!({ "severity": "error", "message": it.message, "line": it.line, "column": it.column, "help": it.help });
            say(Value::from_iter(error.problems().iter().map(problem)));
        }
    }
    match error {
        ConfigError::Unreadable { .. } => error.exit_code(),
        ConfigError::Invalid { .. } => NO,
    }
}

fn check_bundle(path: Option<&Path>, format: Format) -> u8 {
    let bundle = match super::bundle(path) {
        Ok(bundle) => bundle,
        Err(error) => return unreadable(&error),
    };
    let checked = compile(&bundle, Some(Timestamp::now()));
    match format {
        Format::Text if checked.findings.is_empty() => {
            say(format_args!("no findings, digest {}", bundle.digest()))
        }
        Format::Text => say(checked.findings.render(&bundle, super::colour()).trim_end()),
        Format::Json => say(checked.findings.to_json(&bundle)),
    }
    if checked.findings.has_errors() { NO } else { 0 }
}

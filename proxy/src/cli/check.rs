//! `octroi check`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::check::compile;
use serde_json::{Value, json};

use super::{NO, complain, say, unreadable};
use crate::config::{Config, ConfigError, PolicySource, Problem};
use crate::shares;

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
        path => check_bundle(path, arguments.format, |_| None),
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
    let bundle = match &config.policy {
        PolicySource::Path(policy) => Some(policy.as_path()),
        PolicySource::Embedded => None,
    };
    check_bundle(bundle, format, |policy| {
        let problems = shares::unknown(&config.limits.shares, policy);
        (!problems.is_empty()).then(|| ConfigError::Invalid {
            path: path.to_owned(),
            text: std::fs::read_to_string(path).unwrap_or_default(),
            problems,
        })
    })
}

fn config_is_wrong(error: &ConfigError, format: Format) -> u8 {
    match format {
        Format::Text => complain(error),
        Format::Json => say(Value::from(problems(error))),
    }
    match error {
        ConfigError::Unreadable { .. } => error.exit_code(),
        ConfigError::Invalid { .. } => NO,
    }
}

fn problems(error: &ConfigError) -> Vec<Value> {
    let problem = |it: &Problem| json!({ "severity": "error", "message": it.message, "line": it.line, "column": it.column, "help": it.help });
    error.problems().iter().map(problem).collect()
}

/// Checks a bundle, and with `beside` what else rests on the policy that it makes.
fn check_bundle(
    path: Option<&Path>,
    format: Format,
    beside: impl FnOnce(&Policy) -> Option<ConfigError>,
) -> u8 {
    let bundle = match super::bundle(path) {
        Ok(bundle) => bundle,
        Err(error) => return unreadable(&error),
    };
    let checked = compile(&bundle, Some(Timestamp::now()));
    let wrong = checked.policy.as_ref().and_then(beside);
    match format {
        Format::Text if checked.findings.is_empty() => {
            say(format_args!("no findings, digest {}", bundle.digest()))
        }
        Format::Text => say(checked.findings.render(&bundle, super::colour()).trim_end()),
        Format::Json => {
            let mut all = checked.findings.to_json(&bundle);
            if let (Value::Array(all), Some(wrong)) = (&mut all, &wrong) {
                all.extend(problems(wrong));
            }
            say(all);
        }
    }
    if let (Format::Text, Some(wrong)) = (format, &wrong) {
        complain(wrong);
    }
    let is_good = !checked.findings.has_errors() && wrong.is_none();
    if is_good { 0 } else { NO }
}

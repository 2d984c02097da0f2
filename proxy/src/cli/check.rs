//! `octroi check`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::bundle::Bundle;
use octroi_policy::check::compile;
use octroi_policy::diagnostic::{Findings, Severity};
use serde_json::{Value, json};

use super::{NO, complain, say, unreadable};
use crate::config::{Config, ConfigError, PolicySource, Problem, Reading, Report};
use crate::server::rehearsal::{rehearse, whoami};
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

/// The code of what is wrong with the text of octroi.yaml.
const TEXT: &str = "octroi-yaml";
/// The code of a workload told by a listener that there is not.
const UNKNOWN_LISTENER: &str = "unknown-listener";

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

/// The gate's own file: its text, what `run` would trip over, and the policy that it names.
fn check_config(path: &Path, format: Format) -> u8 {
    let reading = match Reading::load(path) {
        Ok(reading) => reading,
        Err(error) => return config_is_wrong(&error, format),
    };
    let bundle = match &reading.config.policy {
        PolicySource::Path(policy) => super::bundle(Some(policy)),
        PolicySource::Embedded => super::bundle(None),
    };
    let bundle = match bundle {
        Ok(bundle) => Checked::of(bundle),
        Err(error) => {
            told(path, &reading, Vec::new(), format, None);
            return unreadable(&error);
        }
    };
    let policy = bundle.policy.as_ref();
    let mut more = unknown_listeners(&reading.config, policy);
    let named = &reading.config.limits.shares;
    let nobody = policy.map(|policy| shares::unknown(named, policy));
    more.extend(nobody.into_iter().flatten().map(Told::of_text));
    told(path, &reading, more, format, Some(&bundle))
}

/// One finding about octroi.yaml.
struct Told {
    code: &'static str,
    severity: Severity,
    problem: Problem,
}

fn told(
    path: &Path,
    reading: &Reading,
    more: Vec<Told>,
    format: Format,
    bundle: Option<&Checked>,
) -> u8 {
    let mut found = findings(reading);
    found.extend(more);
    found.sort_by_key(|it| (it.problem.line, it.problem.column));
    match format {
        Format::Text => {
            for it in &found {
                say(format_args!("{}\n", it.text(path, reading)));
            }
            say(format_args!("{}: {}", path.display(), summary(&found)));
            say(format_args!("files and ports were tried as {}", whoami()));
            if let Some(bundle) = bundle {
                say(format_args!("\n{}", bundle.text()));
            }
        }
        Format::Json => {
            let mut all: Vec<Value> = found.iter().map(|it| it.json(path)).collect();
            if let Some(Value::Array(more)) = bundle.map(Checked::json) {
                all.extend(more);
            }
            say(Value::Array(all));
        }
    }
    let errors = found.iter().any(|it| it.severity == Severity::Error);
    let bundle_errors = bundle.is_some_and(|bundle| bundle.findings.has_errors());
    if errors || bundle_errors { NO } else { 0 }
}

fn findings(reading: &Reading) -> Vec<Told> {
    let wrong: Vec<usize> = reading.problems.iter().map(|it| it.line).collect();
    // Where a value means nothing its default was tried, which nobody asked for.
    let meant = |told: &Told| told.problem.line == 0 || !wrong.contains(&told.problem.line);
    let tried = rehearse(&reading.config).into_iter().map(|it| {
        let at = reading.places.at(&it.at.in_file(&reading.places));
        Told {
            code: it.code.as_str(),
            severity: it.severity,
            problem: Problem::at(at, it.message).help(it.help),
        }
    });
    let text = reading.problems.iter().cloned().map(Told::of_text);
    text.chain(tried.filter(meant)).collect()
}

/// Workloads that the policy tells by listeners which this gate does not have.
fn unknown_listeners(config: &Config, policy: Option<&Policy>) -> Vec<Told> {
    let known = |name: &str| config.listeners.iter().any(|it| *it.name == *name);
    let mut found = Vec::new();
    let model = policy.map(Policy::model);
    for workload in model.iter().flat_map(|model| &model.workloads) {
        let unknown = workload.listeners.iter().filter(|name| !known(name));
        found.extend(unknown.map(|name| {
            let place = model.map(|model| model.place(workload.place));
            let message = format!(
                "the workload `{}` is told by listener `{name}`, which this gate does not have  [{}]",
                workload.id,
                place.unwrap_or_default()
            );
            let problem = Problem::at(serde_saphyr::Location::UNKNOWN, message);
            Told {
                code: UNKNOWN_LISTENER,
                severity: Severity::Warning,
                problem: problem.help("add the listener, or nobody is told to be this workload here"),
            }
        }));
    }
    found
}

impl Told {
    /// Something that is wrong with the text of the file.
    fn of_text(problem: Problem) -> Self {
        Self {
            code: TEXT,
            severity: Severity::Error,
            problem,
        }
    }

    fn text(&self, path: &Path, reading: &Reading) -> String {
        let head = format!("{}[{}]", self.severity.as_str(), self.code);
        let report = Report {
            head: &head,
            path,
            text: &reading.text,
            problem: &self.problem,
        };
        report.to_string()
    }

    /// As findings of a bundle are written.
    fn json(&self, path: &Path) -> Value {
        let Problem {
            line,
            column,
            message,
            help,
            ..
        } = &self.problem;
        json!({
            "code": self.code, "severity": self.severity.as_str(), "message": message,
            "labels": [{ "file": path.display().to_string(), "line": line, "column": column, "text": "" }],
            "help": help,
        })
    }
}

fn summary(found: &[Told]) -> String {
    let of = |severity| found.iter().filter(|it| it.severity == severity).count();
    let counted = |(severity, word): (Severity, &str)| match of(severity) {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let all = [(Severity::Error, "error"), (Severity::Warning, "warning")];
    let all: Vec<String> = all.into_iter().filter_map(counted).collect();
    if all.is_empty() {
        "no findings".to_owned()
    } else {
        all.join(", ")
    }
}

fn config_is_wrong(error: &ConfigError, format: Format) -> u8 {
    match (error, format) {
        (ConfigError::Invalid { path, problems, .. }, Format::Json) => {
            let told = problems.iter().cloned().map(Told::of_text);
            say(told.map(|it| it.json(path)).collect::<Value>());
        }
        _ => complain(error),
    }
    match error {
        ConfigError::Unreadable { .. } => error.exit_code(),
        ConfigError::Invalid { .. } => NO,
    }
}

/// A bundle and what was found in it.
struct Checked {
    bundle: Bundle,
    findings: Findings,
    policy: Option<Policy>,
}

impl Checked {
    fn of(bundle: Bundle) -> Self {
        let checked = compile(&bundle, Some(Timestamp::now()));
        Self {
            bundle,
            findings: checked.findings,
            policy: checked.policy,
        }
    }

    fn text(&self) -> String {
        if self.findings.is_empty() {
            return format!("no findings, digest {}", self.bundle.digest());
        }
        let text = self.findings.render(&self.bundle, super::colour());
        text.trim_end().to_owned()
    }

    fn json(&self) -> Value {
        self.findings.to_json(&self.bundle)
    }
}

fn check_bundle(path: Option<&Path>, format: Format) -> u8 {
    let checked = match super::bundle(path) {
        Ok(bundle) => Checked::of(bundle),
        Err(error) => return unreadable(&error),
    };
    match format {
        Format::Text => say(checked.text()),
        Format::Json => say(checked.json()),
    }
    if checked.findings.has_errors() { NO } else { 0 }
}

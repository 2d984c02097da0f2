//! `octroi.yaml`, the network administrators' file: what was typed, then what it means.
//!
//! Shape errors (unknown keys, wrong kinds of value) stop at the first; errors of sense are all
//! collected. A key whose feature does not exist yet is refused, never silently accepted.

pub mod admin;
pub mod audit;
pub mod dns;
pub mod limits;
pub mod listeners;
pub(crate) mod overlap;
pub mod pac;
pub(crate) mod places;
mod problem;
mod sense;
pub mod state;
pub mod units;
pub mod upgrade;
pub mod upstream;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use admin::Admin;
pub use audit::{Audit, ClientAddress, OnFailure, Rotation, Sink};
pub use dns::{Dns, Servers};
pub use limits::{Connections, Figures, Limits, Shares};
pub use listeners::{
    Capture, ClientCertificates, Demand, Listener, ListenerMode, ProxyProtocol, Tls,
};
pub use pac::Pac;
pub(crate) use places::Places;
pub(crate) use problem::Report;
pub use problem::{ConfigError, Problem};
pub use state::State;
pub use upgrade::Upgrade;
pub use upstream::Upstream;

use sense::{Sense, Text};

/// How long open tunnels are waited for when the gate stops.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_mins(5);

/// The largest file read: the longest sensible one has a few hundred lines.
const MAX_FILE: u64 = 1 << 20;

/// What `octroi run` runs on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None` = no file.
    pub file: Option<PathBuf>,
    /// Where the policy comes from.
    pub policy: PolicySource,
    /// What is remembered over a restart.
    pub state: State,
    /// Where clients are served; never empty.
    pub listeners: Vec<Listener>,
    /// How names are resolved.
    pub dns: Dns,
    /// How origins are reached.
    pub upstream: Upstream,
    /// How much of everything may be used.
    pub limits: Limits,
    /// Where the log of every decision goes.
    pub audit: Audit,
    /// How long open tunnels are waited for when the gate stops.
    pub drain_timeout: Duration,
    /// How the gate hands over to another binary.
    pub upgrade: Upgrade,
    /// Where the gate is watched.
    pub admin: Admin,
    /// What `/proxy.pac` tells browsers.
    pub pac: Pac,
}

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// A bundle: a directory or a file, watched for changes.
    Path(PathBuf),
    /// The example bundle inside the program: what runs where nothing names a bundle.
    Embedded,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    policy: Option<TypedPolicy>,
    state: state::Typed,
    listeners: Option<Vec<listeners::Typed>>,
    dns: dns::Typed,
    upstream: upstream::Typed,
    limits: limits::Typed,
    audit: audit::Typed,
    drain_timeout: Option<Text>,
    upgrade: upgrade::Typed,
    admin: admin::Typed,
    pac: pac::Typed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedPolicy {
    path: Text,
}

impl Config {
    /// Reads and understands a file. Relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// [`ConfigError`] holds everything that is wrong with it, ready to be shown.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &read(path)?)
    }

    /// Understands the text of the file at `path`, which is not opened.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] holds everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let read = Reading::of(path, text.to_owned())?;
        if read.problems.is_empty() {
            return Ok(read.config);
        }
        Err(ConfigError::Invalid {
            path: path.to_owned(),
            text: read.text,
            problems: read.problems,
        })
    }

    /// What runs without any file: loopback, the embedded example policy, the machine's own
    /// resolver, and the log on standard output.
    #[must_use]
    pub fn default_demo() -> Self {
        Self {
            file: None,
            policy: PolicySource::Embedded,
            state: State::default(),
            listeners: vec![Listener::default()],
            dns: Dns::default(),
            upstream: Upstream::default(),
            limits: Limits::default(),
            audit: Audit::default(),
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            upgrade: Upgrade::default(),
            admin: Admin::default(),
            pac: Pac::default(),
        }
    }
}

/// A file that has the shape of `octroi.yaml`: what it means, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Reading {
    /// With the default in place of each value that means nothing, and without listeners that do.
    pub(crate) config: Config,
    /// In the order of the file; none if it can be used.
    pub(crate) problems: Vec<Problem>,
    pub(crate) places: Places,
    pub(crate) text: String,
}

impl Reading {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or has another shape.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::of(path, read(path)?)
    }

    fn of(path: &Path, text: String) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let typed = serde_saphyr::from_str_with_options::<Option<Typed>>(&text, options);
        let typed = match typed {
            Ok(typed) => typed.unwrap_or_default(),
            Err(error) => {
                let problems = vec![Problem::from_yaml(&error)];
                let path = path.to_owned();
                return Err(ConfigError::Invalid {
                    path,
                    text,
                    problems,
                });
            }
        };
        let mut sense = Sense::new(path.parent().unwrap_or(Path::new("")));
        let config = meaning(path, typed, &mut sense);
        let places = Places::of(&text);
        let mut problems = sense.problems;
        problems.extend(overlap::problems(&config, &places));
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Ok(Self {
            config,
            problems,
            places,
            text,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    let read = match read {
        Ok(_) if text.len() as u64 > MAX_FILE => {
            Err(std::io::Error::other("it is larger than 1MiB"))
        }
        other => other,
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        }),
    }
}

fn meaning(path: &Path, typed: Typed, sense: &mut Sense<'_>) -> Config {
    let drain = typed.drain_timeout.as_ref();
    let policy = typed
        .policy
        .as_ref()
        .map(|policy| PolicySource::Path(sense.path(&policy.path)));
    let config = Config {
        file: Some(path.to_owned()),
        policy: policy.unwrap_or(PolicySource::Embedded),
        state: state::meaning(&typed.state, sense),
        dns: dns::meaning(&typed.dns, sense),
        upstream: upstream::meaning(&typed.upstream, sense),
        limits: limits::meaning(typed.limits, sense),
        audit: audit::meaning(&typed.audit, sense),
        drain_timeout: sense.duration(
            "drain_timeout",
            drain,
            DEFAULT_DRAIN_TIMEOUT,
            Duration::ZERO..=Duration::from_hours(24),
        ),
        upgrade: upgrade::meaning(&typed.upgrade, sense),
        admin: admin::meaning(&typed.admin, sense),
        pac: pac::meaning(&typed.pac, sense),
        listeners: listeners::meaning(typed.listeners, sense),
    };
    if config.listeners.is_empty() && sense.problems.is_empty() {
        sense.problems.push(Problem {
            line: 0,
            column: 0,
            length: 1,
            message: "there is no listener".to_owned(),
            help: Some("name one, or leave `listeners` out".to_owned()),
        });
    }
    config
}

#[cfg(test)]
mod tests;

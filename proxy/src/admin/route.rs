//! What is there to be asked for, by which methods, and who may have it.

use super::console;

/// What is there to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Metrics,
    Healthy,
    Ready,
    PolicyFull,
    Reload,
    /// A file of the console.
    File(usize),
    Session,
    Attempts,
    Stream,
    Policy,
    History,
    Explain,
}

/// Who may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Openness {
    /// Everybody: what stands before the gate asks for it.
    Health,
    /// Beyond loopback also where nobody is asked who they are: numbers, and no name of a client.
    Figures,
    /// Whoever may ask to be let in: the console's own files, which say nothing, and the session.
    Door,
    /// Whoever may read.
    Readers,
}

impl Route {
    pub(super) fn openness(self) -> Openness {
        match self {
            Self::Healthy | Self::Ready => Openness::Health,
            Self::Metrics => Openness::Figures,
            Self::File(_) | Self::Session => Openness::Door,
            _ => Openness::Readers,
        }
    }

    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/metrics" => Self::Metrics,
            "/-/healthy" => Self::Healthy,
            "/-/ready" => Self::Ready,
            "/-/policy" => Self::PolicyFull,
            "/-/reload" => Self::Reload,
            "/api/v1/session" => Self::Session,
            "/api/v1/attempts" => Self::Attempts,
            "/api/v1/attempts/stream" => Self::Stream,
            "/api/v1/policy" => Self::Policy,
            "/api/v1/history" => Self::History,
            "/api/v1/explain" => Self::Explain,
            path => Self::File(console::position(path)?),
        })
    }

    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Reload => "POST",
            Self::Session => "GET, HEAD, POST, DELETE",
            _ => "GET, HEAD",
        }
    }
}

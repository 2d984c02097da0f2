//! The `Proxy-Status` field (RFC 9209): what happened, for programs and for whoever reads headers.

use std::fmt;

use super::PSEUDONYM;

/// One member of the list: ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyStatus {
    error: &'static str,
    details: String,
    incident: String,
}

impl ProxyStatus {
    /// Denied by the policy: `why` is the rule's id, or the ground's word where no rule decided, and the evidence.
    #[must_use]
    pub fn denied(why: &str, incident: &str) -> Self {
        Self::failed("http_request_denied", why, incident)
    }

    /// An error type of section 2.3 with our own word for it.
    #[must_use]
    pub fn failed(error: &'static str, details: &str, incident: &str) -> Self {
        Self {
            error,
            details: details.to_owned(),
            incident: incident.to_owned(),
        }
    }
}

impl fmt::Display for ProxyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (details, incident) = (SfString(&self.details), SfString(&self.incident));
        write!(
            f,
            "{PSEUDONYM}; error={}; details={details}; incident={incident}",
            self.error
        )
    }
}

/// A string of structured fields (RFC 9651 section 4.1.6); what it cannot hold becomes `?`.
struct SfString<'a>(&'a str);

impl fmt::Display for SfString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => write!(f, "{c}")?,
                _ => f.write_str("?")?,
            }
        }
        f.write_str("\"")
    }
}

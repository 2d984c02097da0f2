//! The sentences of an explanation, from ids and words alone: a decision, and a log line that was kept of one, are
//! told in the same words.

use std::fmt;

/// One ground for a denial, as ids and words. Shown, it is an English sentence without a full stop.
#[derive(Clone, Copy, Debug)]
pub struct GroundWords<'a> {
    /// The word for it: [`Ground::as_str`](crate::decision::Ground::as_str).
    pub ground: &'a str,
    /// The rule it names.
    pub rule: Option<&'a str>,
    /// The kind and value of the evidence it names.
    pub evidence: Option<(&'a str, &'a str)>,
    /// The address class, outcome or port that it names.
    pub what: Option<&'a str>,
}

impl fmt::Display for GroundWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, what) = (self.rule.unwrap_or("?"), self.what.unwrap_or("?"));
        let acted_on = "and the workload's `on:` acts on that";
        let evidence = Evidence(self.evidence);
        match self.ground {
            "block" => write!(f, "rule {rule} blocks {evidence}"),
            "deny" => write!(f, "rule {rule} denies {evidence}"),
            "forbidden-address" if what == "gate" => write!(f, "{evidence} is this gate itself"),
            "forbidden-address" => {
                write!(
                    f,
                    "{evidence} is a {what} address, which the gate does not dial"
                )
            }
            "evidence-outcome" => write!(f, "the evidence is {what}, {acted_on}"),
            "sni-outcome" => write!(f, "the ClientHello is `{what}`, {acted_on}"),
            "port" => write!(
                f,
                "port {what} is none this workload may use without a rule"
            ),
            "default" => write!(f, "nothing permits {evidence}, and the default is deny"),
            other => f.write_str(other),
        }
    }
}

struct Evidence<'a>(Option<(&'a str, &'a str)>);

impl fmt::Display for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((kind, value)) => write!(f, "{kind} `{value}`"),
            None => Ok(()),
        }
    }
}

/// How a rule that matched ended, from the word for it
/// ([`Disposition::as_str`](crate::decision::Disposition::as_str)) and the derogation that lifts it.
#[must_use]
pub fn ended(disposition: &str, derogation: Option<&str>) -> String {
    match (disposition, derogation) {
        ("exempt", _) => "exempt by `unless`".to_owned(),
        ("lifted", Some(derogation)) => format!("lifted by derogation {derogation}"),
        ("hosted", _) => "excused, the provider is known to stand behind".to_owned(),
        ("overruled", _) => "overruled by a prohibition".to_owned(),
        (word, _) => word.to_owned(),
    }
}

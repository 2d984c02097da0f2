//! A flow as the ledger is to have it.

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// Let through, and recorded as what would be denied.
    Observed,
    Denied,
}

impl Verdict {
    /// Verdict and mode, as they are counted.
    pub(super) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => ("allow", "enforced"),
            Self::Observed => ("deny", "observed"),
            Self::Denied => ("deny", "enforced"),
        }
    }
}

/// A flow as the ledger is to have it: the decision and the end.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) host: String,
    pub(super) verdict: Verdict,
    pub(super) service: &'static str,
    /// Why it is denied.
    pub(super) reason: &'static str,
    /// The outcome, address class or port that denies it.
    pub(super) what: &'static str,
    pub(super) rules: Vec<&'static str>,
    pub(super) outcome: Option<&'static str>,
    pub(super) sni: Option<&'static str>,
    pub(super) has_ech: bool,
    /// Why the origin was not reached although it was permitted; counted.
    pub(super) failed: Option<&'static str>,
    /// What ended it otherwise; what counts that, by ministry, if anything does.
    pub(super) broken: Option<&'static str>,
    pub(super) counted_in: Option<&'static str>,
}

/// A flow that is let through.
pub(super) fn allowed(host: &str) -> Flow {
    Flow {
        host: host.to_owned(),
        verdict: Verdict::Allowed,
        service: "unlisted",
        reason: "",
        what: "",
        rules: Vec::new(),
        outcome: Some("unknown"),
        sni: None,
        has_ech: false,
        failed: None,
        broken: None,
        counted_in: None,
    }
}

/// A flow that is let through and recorded as one that would be denied.
pub(super) fn observed(host: &str, reason: &'static str) -> Flow {
    let verdict = Verdict::Observed;
    Flow {
        verdict,
        reason,
        ..allowed(host)
    }
}

/// A flow that is denied.
pub(super) fn denied(host: &str, reason: &'static str) -> Flow {
    let verdict = Verdict::Denied;
    Flow {
        verdict,
        reason,
        outcome: None,
        ..allowed(host)
    }
}

/// A flow that the rule about the service `drop` denies.
pub(super) fn denied_drop(host: &str) -> Flow {
    denied(host, "deny").rule("no-drop").service("drop")
}

impl Flow {
    pub(super) fn rule(mut self, rule: &'static str) -> Self {
        self.rules.push(rule);
        self
    }

    /// The outcome, address class or port that denies it.
    pub(super) fn because(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    pub(super) fn service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    pub(super) fn outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = Some(outcome);
        self
    }

    pub(super) fn undecided(mut self) -> Self {
        self.outcome = None;
        self
    }

    pub(super) fn sni(mut self, sni: &'static str) -> Self {
        self.sni = Some(sni);
        self
    }

    pub(super) fn ech(mut self) -> Self {
        self.has_ech = true;
        self
    }

    /// Permitted, and not reached.
    pub(super) fn failed(mut self, why: &'static str) -> Self {
        self.failed = Some(why);
        self
    }

    /// Permitted, and broken off.
    pub(super) fn broken(mut self, why: &'static str) -> Self {
        self.broken = Some(why);
        self
    }

    /// The word of its last line for how it ended.
    pub(super) fn end(&self) -> &'static str {
        match (self.verdict, self.failed, self.broken) {
            (Verdict::Denied, ..) => "denied",
            (_, Some(why), _) if why.starts_with("dns-") => "dns-failed",
            (_, Some(_), _) | (.., Some("body-malformed")) => "reset",
            (.., Some(_)) => "second-hello",
            _ => "finished",
        }
    }

    /// A counter that moves too.
    pub(super) fn counted_in(mut self, family: &'static str) -> Self {
        self.counted_in = Some(family);
        self
    }
}

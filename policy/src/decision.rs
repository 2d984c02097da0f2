//! The answer: a verdict, twice, and everything that led to it, as ids rather than prose.

use ipnet::IpNet;
use jiff::Timestamp;

use crate::address::AddressClass;
use crate::catalogue::{
    DerogationIx, ListIx, MinistryIx, ProviderIx, Role, RuleIx, ServiceIx, WorkloadIx,
};
use crate::flow::EvidenceKind;
use crate::name::Host;

/// Declares a closed set of words used by code, labels, logs and bundles alike.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one with this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|it| it.as_str() == word)
            }
        }
    };
}

words! {
    /// Whether a flow may go on, from the milder to the stricter.
    Verdict {
        /// It may.
        Allow = "allow",
        /// It may not.
        Deny = "deny",
    }
}

words! {
    /// Whether traffic followed the verdict.
    Enforcement {
        /// It did.
        Enforced = "enforced",
        /// It did not: the flow went through, and would have been denied.
        Observed = "observed",
    }
}

words! {
    /// How the evidence of a flow agrees with itself, from the mildest to the gravest.
    Outcome {
        /// Nothing contradicts what was asked for.
        Agrees = "agrees",
        /// A provider behind an unlisted name, or nothing known at all.
        Unknown = "unknown",
        /// A CDN stands before the origin.
        Masked = "masked",
        /// An address of a provider not expected behind the listed service asked for.
        Rehosted = "rehosted",
        /// A hop that belongs to a service or provider which has no business behind what was asked for.
        Cloaked = "cloaked",
        /// A captured connection was on its way to an address that is none of the name it presents.
        Misdirected = "misdirected",
        /// Host or SNI names something else than the target.
        Fronted = "fronted",
    }
}

words! {
    /// How the ClientHello stands to the target.
    SniOutcome {
        /// It names the target.
        Match = "match",
        /// It names something else.
        Mismatch = "mismatch",
        /// It names nothing.
        Absent = "absent",
        /// The bytes are no TLS.
        NotTls = "not_tls",
        /// It breaks the rules.
        Malformed = "malformed",
        /// It did not come in time.
        Timeout = "timeout",
        /// Nothing was awaited on this port.
        NotExpected = "not_expected",
        /// Its outer name is another one, the inner name is encrypted.
        EchOuter = "ech_outer",
        /// Transparent capture: only an outer name is known.
        EchHidden = "ech_hidden",
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The workloads that the source belongs to: one, or several in conflict; never empty.
    pub workloads: Vec<WorkloadIx>,
    /// The ministry, for the ledger; `None` = unassigned.
    pub ministry: Option<MinistryIx>,
}

impl Who {
    /// Address and certificate point to different workloads: all are judged, the strictest wins.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.workloads.len() > 1
    }

    /// The workload shown: the first.
    #[must_use]
    pub fn workload(&self) -> WorkloadIx {
        self.workloads[0]
    }
}

/// How strongly a piece of evidence points at something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// Nothing is known about it.
    Unlisted,
    /// A CDN: the origin is unknown.
    Front,
    /// A provider's suffix or range.
    Provider,
    /// A listed service's own name or range.
    Service,
}

/// What one name or address was taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// The listed service.
    pub service: Option<ServiceIx>,
    /// The provider.
    pub provider: Option<ProviderIx>,
    /// The role of the suffix or range, where it was one.
    pub role: Option<Role>,
    /// The published range that holds the address, where it is one.
    pub range: Option<IpNet>,
    /// Services that share one range: they stand for their provider, their common categories hold.
    pub sharing: Vec<ServiceIx>,
}

impl Class {
    /// How strongly it points.
    #[must_use]
    pub fn strength(&self) -> Strength {
        match (self.service, self.provider, self.role) {
            (Some(_), _, _) => Strength::Service,
            (None, Some(_), Some(Role::Front)) => Strength::Front,
            (None, Some(_), _) => Strength::Provider,
            (None, None, _) => Strength::Unlisted,
        }
    }
}

/// One piece of evidence and what it was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it was seen.
    pub kind: EvidenceKind,
    /// The name or address.
    pub value: Host,
    /// What it was taken for by the national catalogue.
    pub class: Class,
    /// What the ministry's own names take it for, where the catalogue knows nothing.
    pub local: Option<Class>,
}

impl Piece {
    /// Whether what is asked for here may excuse what is found behind: the server name may not, where the target is
    /// a name. It is asked for too, but comes when chain and addresses are judged already, and must not turn their
    /// denial into a permission.
    pub(crate) fn excuses(&self, pieces: &[Piece]) -> bool {
        let target_is_name = pieces.first().is_some_and(|p| p.value.name().is_some());
        self.kind.is_asked_for() && !(self.kind == EvidenceKind::Sni && target_is_name)
    }
}

/// A reason for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ground {
    /// A `block` rule matched a piece of evidence.
    Block(RuleIx, PieceIx),
    /// An address that may not be dialled at all.
    Forbidden(AddressClass, PieceIx),
    /// A `deny` rule matched a piece of evidence.
    Deny(RuleIx, PieceIx),
    /// The workload's action for an agreement outcome.
    OnOutcome(Outcome),
    /// The workload's action for an SNI outcome.
    OnSni(SniOutcome),
    /// The port is none the workload may use.
    Port(u16),
    /// Nothing permits what was asked for, and the default is deny.
    Default(PieceIx),
}

/// Position in [`Decision::pieces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PieceIx(pub u16);

impl Ground {
    /// The rule it names.
    #[must_use]
    pub fn rule(&self) -> Option<RuleIx> {
        match *self {
            Ground::Block(rule, _) | Ground::Deny(rule, _) => Some(rule),
            _ => None,
        }
    }

    /// The piece of evidence it names.
    #[must_use]
    pub fn piece(&self) -> Option<PieceIx> {
        match *self {
            Ground::Block(_, piece)
            | Ground::Deny(_, piece)
            | Ground::Forbidden(_, piece)
            | Ground::Default(piece) => Some(piece),
            Ground::OnOutcome(_) | Ground::OnSni(_) | Ground::Port(_) => None,
        }
    }

    /// The address class, outcome or port that it names.
    #[must_use]
    pub fn what(&self) -> Option<String> {
        match self {
            Ground::Forbidden(class, _) => Some(class.as_str().to_owned()),
            Ground::OnOutcome(outcome) => Some(outcome.as_str().to_owned()),
            Ground::OnSni(outcome) => Some(outcome.as_str().to_owned()),
            Ground::Port(port) => Some(port.to_string()),
            Ground::Block(..) | Ground::Deny(..) | Ground::Default(_) => None,
        }
    }

    /// The word for it in logs, metrics, headers and explanations.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Ground::Block(..) => "block",
            Ground::Forbidden(..) => "forbidden-address",
            Ground::Deny(..) => "deny",
            Ground::OnOutcome(_) => "evidence-outcome",
            Ground::OnSni(_) => "sni-outcome",
            Ground::Port(_) => "port",
            Ground::Default(_) => "default",
        }
    }
}

/// A verdict with its grounds: why it is denied, the weightiest first; empty = allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Why it is denied; the order does not depend on the order in which rules are written.
    pub grounds: Vec<Ground>,
}

impl Ruling {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.grounds.is_empty() {
            Verdict::Allow
        } else {
            Verdict::Deny
        }
    }
}

/// How a rule that matched a piece of evidence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It decided (or would have, in observe mode).
    Applies,
    /// One of its `unless` conditions matched.
    Exempt,
    /// A derogation in force lifts it.
    Lifted(DerogationIx),
    /// `hosted_on` says this provider is expected there.
    Hosted,
    /// An `allow` rule beside a matching `deny` rule: a prohibition beats a permission.
    Overruled,
}

impl Disposition {
    /// The word for it in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::Exempt => "exempt",
            Self::Lifted(_) => "lifted",
            Self::Hosted => "hosted",
            Self::Overruled => "overruled",
        }
    }
}

/// A rule that matched a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The rule.
    pub rule: RuleIx,
    /// The piece.
    pub piece: PieceIx,
    /// The list that holds the name or address, where the rule goes by lists.
    pub list: Option<ListIx>,
    /// How it ended.
    pub disposition: Disposition,
}

/// How a derogation came to cover a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// It belongs to a service that the derogation names.
    Named,
    /// It belongs to a service that those require.
    Required(ServiceIx),
    /// It is a provider that stands behind those.
    Behind(ProviderIx),
}

impl Cover {
    /// The word for it in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Required(_) => "required",
            Self::Behind(_) => "behind",
        }
    }
}

/// A derogation that covered a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lift {
    /// The derogation.
    pub derogation: DerogationIx,
    /// The piece.
    pub piece: PieceIx,
    /// How.
    pub cover: Cover,
    /// It made a difference: a matching `deny` rule, the default or the port would have denied.
    pub used: bool,
}

/// The answer to one [`crate::flow::Flow`] under one policy at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When it was judged.
    pub at: Timestamp,
    /// Who asked.
    pub who: Who,
    /// Every piece of evidence, asked for first.
    pub pieces: Vec<Piece>,
    /// Every rule that matched, by piece.
    pub hits: Vec<Hit>,
    /// Every derogation that covered something.
    pub lifts: Vec<Lift>,
    /// How the evidence agrees; `None` while it is not all in.
    pub outcome: Option<Outcome>,
    /// How the ClientHello stands to the target; `None` while it is not in.
    pub sni: Option<SniOutcome>,
    /// The verdict that traffic follows.
    pub enforced: Ruling,
    /// The verdict if every rule in observe mode counted.
    pub trial: Ruling,
}

impl Decision {
    /// The verdict that traffic follows.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.enforced.verdict()
    }

    /// What is recorded: the trial verdict where it is stricter, else the enforced one.
    #[must_use]
    pub fn recorded(&self) -> (Verdict, Enforcement) {
        match (self.enforced.verdict(), self.trial.verdict()) {
            (Verdict::Allow, Verdict::Deny) => (Verdict::Deny, Enforcement::Observed),
            (verdict, _) => (verdict, Enforcement::Enforced),
        }
    }

    /// The grounds of what is recorded.
    #[must_use]
    pub fn grounds(&self) -> &[Ground] {
        match self.recorded() {
            (_, Enforcement::Observed) => &self.trial.grounds,
            _ => &self.enforced.grounds,
        }
    }

    /// The weightiest ground of what is recorded.
    #[must_use]
    pub fn ground(&self) -> Option<Ground> {
        self.grounds().first().copied()
    }

    /// One piece of evidence.
    #[must_use]
    pub fn piece(&self, piece: PieceIx) -> Option<&Piece> {
        self.pieces.get(usize::from(piece.0))
    }

    /// The service that the flow is about: that of the deciding evidence, else of what was asked
    /// for, else of what was found behind.
    #[must_use]
    pub fn service(&self) -> Option<ServiceIx> {
        self.about(|class| class.service)
    }

    /// The provider that the flow is about, chosen as [`Decision::service`] is.
    #[must_use]
    pub fn provider(&self) -> Option<ProviderIx> {
        self.about(|class| class.provider)
    }

    /// The derogation that made a difference, if one did.
    #[must_use]
    pub fn derogation(&self) -> Option<DerogationIx> {
        let used = self.lifts.iter().find(|lift| lift.used)?;
        Some(used.derogation)
    }

    fn about<T>(&self, get: impl Fn(&Class) -> Option<T>) -> Option<T> {
        let of = |piece: &Piece| get(&piece.class).or_else(|| piece.local.as_ref().and_then(&get));
        let deciding = self.ground().and_then(|ground| ground.piece());
        deciding
            .and_then(|piece| self.piece(piece))
            .and_then(of)
            .or_else(|| self.pieces.iter().find_map(of))
    }
}

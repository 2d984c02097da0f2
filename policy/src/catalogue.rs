//! What is known about services and the providers behind them.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::validity::Validity;

/// An identifier from the bundle: a short slug, cheap to clone.
pub type Id = Arc<str>;

/// Declares a copyable position in one of the model's tables.
macro_rules! index {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position as a `usize`.
            #[must_use]
            pub fn at(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// Position in [`crate::model::Model::services`].
    ServiceIx
    /// Position in [`crate::model::Model::providers`].
    ProviderIx
    /// Position in [`crate::model::Model::categories`].
    CategoryIx
    /// Position in [`crate::model::Model::rules`].
    RuleIx
    /// Position in [`crate::model::Model::references`].
    ReferenceIx
    /// Position in [`crate::model::Model::ministries`].
    MinistryIx
    /// Position in [`crate::model::Model::workloads`].
    WorkloadIx
    /// Position in [`crate::model::Model::derogations`].
    DerogationIx
    /// Position in [`crate::model::Model::lists`].
    ListIx
}

/// A text in French and English; one given alone serves for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Localised {
    /// French.
    pub fr: Arc<str>,
    /// English.
    pub en: Arc<str>,
    /// The only language it was given in; a text without any tag is French.
    pub alone: Option<Language>,
}

impl Localised {
    /// The text in `language`.
    #[must_use]
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::French => &self.fr,
            Language::English => &self.en,
        }
    }

    /// The language that [`Self::in_language`] really gives.
    #[must_use]
    pub fn language(&self, wanted: Language) -> Language {
        self.alone.unwrap_or(wanted)
    }
}

/// The languages people are answered in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// The default.
    #[default]
    French,
    /// On request (`Accept-Language`).
    English,
}

/// A country as an ISO 3166 alpha-2 code in upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two upper-case letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self([a, b])),
            _ => None,
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who runs a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The State itself.
    State,
    /// A vendor.
    Vendor,
}

/// A qualification of one service under a scheme such as `secnumcloud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualification {
    /// The scheme's id.
    pub scheme: Id,
    /// When it holds: from `since` (else `checked`) until `until` (else three years after `since`).
    pub validity: Validity,
    /// Where it was read.
    pub source: Option<Arc<str>>,
}

/// A dated statement that a provider stands behind a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedOn {
    /// The provider that stands behind.
    pub provider: ProviderIx,
    /// When it holds.
    pub validity: Validity,
    /// Somebody accepted it by name, with a reference and an end: it then excuses provider evidence
    /// even where the service is not qualified.
    pub accepted: bool,
}

/// A service that people ask for: Exchange Online, Tchap, WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: Id,
    /// Its name as people know it.
    pub name: Arc<str>,
    /// Who stands behind it, where that is known.
    pub provider: Option<ProviderIx>,
    /// Country of the ultimate parent.
    pub country: Option<Country>,
    /// What it is.
    pub categories: Vec<CategoryIx>,
    /// Under which schemes it is or was qualified.
    pub qualifications: Vec<Qualification>,
    /// Who runs it.
    pub operator: Option<Operator>,
    /// Other services may need it by its own name (sign-in, static assets).
    pub shared: bool,
    /// What to use in its place.
    pub alternatives: Vec<ServiceIx>,
    /// What it cannot work without.
    pub requires: Vec<ServiceIx>,
    /// Which providers stand behind it, besides its own.
    pub hosted_on: Vec<HostedOn>,
    /// Its home page.
    pub url: Option<Arc<str>>,
    /// The ministry whose layer names it; `None` = the national catalogue.
    pub layer: Option<MinistryIx>,
    /// Where it is written.
    pub place: Place,
}

impl Service {
    /// Whether it is qualified under `scheme` at `at`.
    #[must_use]
    pub fn is_qualified_under(&self, scheme: &str, at: Timestamp) -> bool {
        self.qualifications
            .iter()
            .any(|q| &*q.scheme == scheme && q.validity.holds(at))
    }

    /// Whether it is qualified under any scheme at `at`.
    #[must_use]
    pub fn is_qualified(&self, at: Timestamp) -> bool {
        self.qualifications.iter().any(|q| q.validity.holds(at))
    }
}

/// A company whose names and addresses stand behind services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Arc<str>,
    /// The law it answers to; falls back to the country its services share.
    pub jurisdiction: Option<Country>,
    /// Where it is written.
    pub place: Place,
}

/// What a provider's suffix or range is for; it belongs to the suffix or range, not to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The provider's own.
    Own,
    /// Names and addresses that its customers get: counts as `iaas` and `paas` when asked for.
    Platform,
    /// A CDN: the origin behind it is unknown.
    Front,
}

/// Where in the bundle something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, a position in the bundle's table of files.
    pub file: u32,
    /// Line, counted from 1; 0 = the file as a whole.
    pub line: u32,
    /// Column, counted in characters from 1; 0 = the line as a whole.
    pub column: u32,
}

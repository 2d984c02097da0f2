//! The closed set of findings.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The bundle is not put in force.
    Error,
    /// It is put in force; somebody should look.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Declares the codes: each has a word and a sentence for the documentation.
macro_rules! codes {
    ($($variant:ident = $word:literal, $sentence:literal;)*) => {
        /// What kind of finding something is. The word never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $sentence] $variant,)* }

        impl Code {
            /// All of them.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word, in kebab case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

codes! {
    // files
    UnreadableFile = "unreadable-file", "A file of the bundle cannot be read: permissions, size, or a link that leads out of the bundle.";
    IgnoredFile = "ignored-file", "A file looks like a part of the bundle but is not read, because of its ending.";
    NotUtf8 = "not-utf8", "A file is not UTF-8 text.";
    InvalidYaml = "invalid-yaml", "A file is not YAML, or exceeds the limits for aliases, depth and size.";
    UnknownKey = "unknown-key", "A table has a key that this format does not know.";
    MissingKey = "missing-key", "A table lacks a key that it must have.";
    DuplicateKey = "duplicate-key", "A key is written twice in one table.";
    InvalidValue = "invalid-value", "A value is of another type than the key takes.";
    NotAvailableYet = "not-available-yet", "A key belongs to a feature that this version does not have.";
    // the bundle as a whole
    MissingSection = "missing-section", "The bundle lacks a section that it must have: version, name, default.";
    DuplicateSection = "duplicate-section", "A section that may stand once in the bundle stands twice.";
    UnsupportedVersion = "unsupported-version", "The bundle is written for another version of the format.";
    // ids
    InvalidId = "invalid-id", "An id is not made of letters, digits, `-`, `_` and `.`.";
    DuplicateId = "duplicate-id", "Two things of one kind have the same id.";
    UnknownService = "unknown-service", "No service has this id.";
    UnknownProvider = "unknown-provider", "No provider has this id.";
    UnknownMinistry = "unknown-ministry", "No ministry has this id.";
    UnknownWorkload = "unknown-workload", "No workload has this id.";
    UnknownReference = "unknown-reference", "No reference has this id.";
    UnknownRule = "unknown-rule", "No rule has this id.";
    UnknownDerogation = "unknown-derogation", "No derogation has this id.";
    // values
    UnknownWord = "unknown-word", "A word is none of those that the key takes.";
    InvalidName = "invalid-name", "A name or pattern is no host name.";
    TooWideName = "too-wide-name", "A pattern covers a whole top-level domain or more.";
    InvalidAddress = "invalid-address", "An address or range cannot be read.";
    HostBits = "host-bits", "A range has bits set beyond its prefix length.";
    InvalidPort = "invalid-port", "A port or range of ports cannot be read.";
    InvalidDate = "invalid-date", "A date is neither `YYYY-MM-DD` nor an RFC 3339 instant.";
    EmptyPeriod = "empty-period", "Something ends before it begins.";
    InvalidPeriod = "invalid-period", "A length of time is not a number of days, months or years.";
    InvalidCountry = "invalid-country", "A country is not two upper-case letters (ISO 3166 alpha-2).";
    // lists
    MissingList = "missing-list", "A list that is named is not in the bundle.";
    EmptyList = "empty-list", "A list has no entry, so what uses it holds for nothing.";
    BrokenLine = "broken-line", "A line of a list is no entry.";
    UnknownFormat = "unknown-format", "A list names a format that is not known.";
    RedundantEntry = "redundant-entry", "Entries of a list are covered by other entries of the same list.";
    UnusedList = "unused-list", "Nothing uses a list.";
    // the catalogue
    AmbiguousPattern = "ambiguous-pattern", "Two owners claim the same names, and neither pattern is more specific.";
    SharedRange = "shared-range", "Several services have the same range: it stands for their provider.";
    UndatedQualification = "undated-qualification", "A qualification has neither `since` nor `checked`.";
    QualificationPastEnd = "qualification-past-end", "A qualification no longer holds today.";
    IncompleteAcceptance = "incomplete-acceptance", "A provider behind a service is accepted without a name, a reference or an end.";
    UnusedReference = "unused-reference", "No rule rests on a reference.";
    TestFails = "test-fails", "A test of the bundle does not come out as its author expects: the bundle is not put in force.";
    AlternativeDenied = "alternative-denied", "An alternative is refused to every workload, so it is shown to nobody.";
    // who
    OverlappingSources = "overlapping-sources", "Two workloads claim the same source, and nothing tells them apart.";
    UnreachableWorkload = "unreachable-workload", "A workload has no selector, so no flow ever belongs to it.";
    TrustTooWide = "trust-too-wide", "A range of `trust_original` is wider than /8 (/16): any name would be believed of it.";
    // rules
    UnusedCategory = "unused-category", "A rule names a category that no service has.";
    RuleNeverMatches = "rule-never-matches", "A rule can match nothing.";
    ObserveOnAllow = "observe-on-allow", "A rule with effect `allow` is in mode `observe`, which would change nothing.";
    BlockInFrontRange = "block-in-front-range", "A `block` rule names an address inside a CDN's range, and so blocks other people's sites.";
    BlockTooWide = "block-too-wide", "A `block` rule names a range wider than /24 (/48).";
    // layers
    LayerWidens = "layer-widens", "A ministry's own file would permit what the nation does not; it can only tighten.";
    LayerNationalKey = "layer-national-key", "A ministry's own file sets what is national.";
    // derogations
    DerogationWithoutEnd = "derogation-without-end", "A derogation has no `until`.";
    DerogationTooLong = "derogation-too-long", "A derogation ends after the latest lawful day.";
    DerogationPastEnd = "derogation-past-end", "A derogation is no longer in force today.";
}

impl Code {
    /// Whether a bundle with an error of this kind still means what its author wrote: nothing was left out of the
    /// model, and no id in it points nowhere. Only such errors can be passed over, and only for a bundle that was
    /// accepted before (see [`crate::check::compile_accepted`]).
    #[must_use]
    pub fn keeps_meaning(self) -> bool {
        matches!(
            self,
            Self::EmptyList
                | Self::RedundantEntry
                | Self::UnusedList
                | Self::SharedRange
                | Self::QualificationPastEnd
                | Self::IncompleteAcceptance
                | Self::UnusedReference
                | Self::TestFails
                | Self::AlternativeDenied
                | Self::UnreachableWorkload
                | Self::UnusedCategory
                | Self::RuleNeverMatches
                | Self::ObserveOnAllow
                | Self::BlockInFrontRange
                | Self::BlockTooWide
                | Self::DerogationTooLong
                | Self::DerogationPastEnd
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kebab_case_and_unique() {
        let mut words: Vec<_> = Code::ALL.map(Code::as_str).to_vec();
        for word in &words {
            assert!(
                word.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{word}"
            );
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.sentence().ends_with('.')));
    }
}

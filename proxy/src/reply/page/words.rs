//! What the pages say, in both languages.

use octroi_policy::catalogue::Language;
use octroi_policy::flow::EvidenceKind;

/// The words of the pages.
pub(super) struct Words {
    pub(super) gate: &'static str,
    pub(super) title: &'static str,
    pub(super) fault: &'static str,
    /// That a fault is no decision.
    pub(super) no_refusal: &'static str,
    pub(super) asked: &'static str,
    pub(super) because: &'static str,
    pub(super) service: &'static str,
    pub(super) from: &'static str,
    pub(super) rule: &'static str,
    pub(super) reason: &'static str,
    pub(super) texts: &'static str,
    pub(super) instead: &'static str,
    pub(super) derogation: &'static str,
    pub(super) decision: &'static str,
    pub(super) details: &'static str,
    pub(super) contact: &'static str,
    pub(super) incident: &'static str,
    /// What the incident number is good for.
    pub(super) quote: &'static str,
    pub(super) unassigned: &'static str,
    /// Who made the page.
    pub(super) made_by: &'static str,
    /// Names the choice of languages.
    pub(super) languages: &'static str,
    pub(super) colon: &'static str,
}

const FRENCH: Words = Words {
    gate: "Passerelle d’accès à internet",
    title: "Accès refusé",
    fault: "Demande non aboutie",
    no_refusal: "Ce n’est pas un refus de la politique d’accès.",
    asked: "Demandé",
    because: "En cause",
    service: "Service",
    from: "Depuis",
    rule: "Règle",
    reason: "Motif",
    texts: "Textes applicables",
    instead: "À la place, vous pouvez utiliser",
    derogation: "Demander une dérogation",
    decision: "La décision en détail",
    details: "En détail",
    contact: "Contact",
    incident: "Numéro d’incident",
    quote: "Donnez ce numéro au support : il retrouve cette demande dans le journal.",
    unassigned: "poste non rattaché",
    made_by: "Cette page vient de la passerelle, et non du site demandé.",
    languages: "Langues",
    colon: "\u{a0}: ",
};

const ENGLISH: Words = Words {
    gate: "Internet access gate",
    title: "Access denied",
    fault: "The request did not succeed",
    no_refusal: "This is not a refusal by the access policy.",
    asked: "Asked for",
    because: "Because of",
    service: "Service",
    from: "From",
    rule: "Rule",
    reason: "Reason",
    texts: "Legal texts",
    instead: "You may use instead",
    derogation: "Ask for a derogation",
    decision: "The decision in detail",
    details: "In detail",
    contact: "Contact",
    incident: "Incident number",
    quote: "Give this number to your support desk: it leads to this request in the log.",
    unassigned: "machine of no ministry",
    made_by: "This page comes from the gate, not from the site you asked for.",
    languages: "Languages",
    colon: ": ",
};

/// The words in a language, and its tag (RFC 5646).
pub(super) fn words(language: Language) -> (&'static Words, &'static str) {
    match language {
        Language::French => (&FRENCH, "fr"),
        Language::English => (&ENGLISH, "en"),
    }
}

/// What a piece of evidence is called.
pub(super) fn kind(kind: EvidenceKind, language: Language) -> &'static str {
    let (french, english) = match kind {
        EvidenceKind::Target => ("nom demandé", "name asked for"),
        EvidenceKind::Host => ("en-tête Host", "Host header"),
        EvidenceKind::Sni => ("nom TLS", "TLS name"),
        EvidenceKind::OuterSni => ("nom TLS extérieur", "outer TLS name"),
        EvidenceKind::Cname => ("alias DNS", "DNS alias"),
        EvidenceKind::Address => ("adresse", "address"),
        EvidenceKind::Original => ("destination d’origine", "original destination"),
    };
    match language {
        Language::French => french,
        Language::English => english,
    }
}

/// What a person can do about a fault of this status.
pub(super) fn advice(status: u16, language: Language) -> &'static str {
    let (french, english) = match status {
        502 | 504 => (
            "Vérifiez l’adresse. Si elle est bonne, le site ou le réseau a un problème : réessayez plus tard.",
            "Check the address. If it is right, the site or the network has a problem: try again later.",
        ),
        503 => (
            "Réessayez dans quelques instants. Si cela dure, prévenez le support.",
            "Try again in a moment. If it lasts, tell your support desk.",
        ),
        500 => ("Prévenez le support.", "Tell your support desk."),
        _ => (
            "Recommencez. Si cela se répète, le réglage du poste ou du logiciel est à revoir : voyez avec le support.",
            "Try again. If it happens again, the settings of the machine or of the program need a look: ask your support desk.",
        ),
    };
    match language {
        Language::French => french,
        Language::English => english,
    }
}

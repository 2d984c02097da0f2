//! The self-service page: one article a refusal, and once for all of them how to go on.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use octroi_policy::catalogue::Language;

use super::words::{Words, words};
use super::{Page, alternatives, facts, number, prose, reach, texts};
use super::{marked, service_name};
use crate::refusals::KEPT_FOR;
use crate::reply::Recent;
use crate::reply::recent::Recalled;

const MONTHS_FRENCH: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];
const MONTHS_ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The words of this page alone.
struct Own {
    title: &'static str,
    /// Before the source's address.
    seen_as: &'static str,
    none: &'static str,
    kept: &'static str,
    when: &'static str,
    times: &'static str,
}

const FRENCH: Own = Own {
    title: "Vos derniers refus",
    seen_as: "Ce que la passerelle a refusé à ce poste, qu’elle voit à l’adresse",
    none: "La passerelle n’a rien refusé à ce poste récemment. Si un site ne s’ouvre pas, la cause est ailleurs.",
    kept: "Cette page n’est montrée qu’à cette adresse. Un refus y reste 24 heures, et disparaît si la passerelle redémarre.",
    when: "Quand",
    times: "fois",
};

const ENGLISH: Own = Own {
    title: "Your last refusals",
    seen_as: "What the gate refused to this machine, which it sees at the address",
    none: "The gate refused nothing to this machine of late. If a site does not open, the cause is elsewhere.",
    kept: "This page is shown to this address alone. A refusal stays for 24 hours, and goes if the gate restarts.",
    when: "When",
    times: "times",
};

// The sentences above say so.
const _: () = assert!(KEPT_FOR.as_secs() == 24 * 3600);

pub(in crate::reply) fn recent(recent: &Recent<'_>, language: Language) -> String {
    let (words, _) = words(language);
    let own = match language {
        Language::French => &FRENCH,
        Language::English => &ENGLISH,
    };
    let has_way = recent.procedure.is_some() || recent.contact.is_some();
    let body = html! {
        h1 .calm { (own.title) }
        p { (own.seen_as) " " code { (recent.source) } "." }
        @if recent.refusals.is_empty() { p { (own.none) } }
        @for (number, one) in recent.refusals.iter().enumerate() {
            (article(number, one, recent.now, own, words, language, has_way))
        }
        @if has_way {
            section id="derogation" aria-labelledby="derogation-title" {
                h2 id="derogation-title" { (words.derogation) }
                @if let Some(procedure) = recent.procedure { p { (prose(procedure, language)) } }
                @if let Some(contact) = recent.contact { p { (words.contact) (words.colon) (reach(contact, None)) } }
            }
        }
        p { (own.kept) }
    };
    let page = Page {
        title: own.title,
        ministry: recent.ministry,
        nav: &other_language(language),
        body: &body,
    };
    page.write(language)
}

/// The way to the same page in the other language, which says so in that language.
fn other_language(language: Language) -> Markup {
    let (name, other) = match language {
        Language::French => ("English", Language::English),
        Language::English => ("Français", Language::French),
    };
    let (_, tag) = words(other);
    let own = words(language).0;
    html! {
        nav aria-label=(own.languages) {
            a href={ "/?lang=" (tag) } lang=(tag) hreflang=(tag) { (name) }
        }
    }
}

fn article(
    number_of_it: usize,
    one: &Recalled<'_>,
    now: Timestamp,
    own: &Own,
    words: &Words,
    language: Language,
    has_way: bool,
) -> Markup {
    let title = format!("refusal-{}", number_of_it + 1);
    let refusal = &one.refusal;
    let when = html! {
        dt { (own.when) }
        dd {
            time datetime=(one.at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (date(one.at, language)) }
            ", " (age(now.duration_since(one.at), language))
            @if one.times > 1 { ", " (one.times) " " (own.times) }
        }
    };
    html! {
        article aria-labelledby=(title) {
            h2 id=(title) { (service_name(refusal, language)) }
            p { (marked(&refusal.reason, refusal.reason_language, language)) }
            (facts(refusal, words, language, &when))
            (alternatives(refusal, words, language, h3))
            (texts(refusal, words, language, h3))
            p {
                (words.incident) (words.colon) (number(refusal.incident))
                @if has_way { br; a href="#derogation" { (words.derogation) } }
            }
        }
    }
}

fn h3(text: &str) -> Markup {
    html! { h3 { (text) } }
}

/// The day and the time, in UTC: the gate does not know the clock on the reader's wall.
fn date(at: Timestamp, language: Language) -> String {
    let at = Offset::UTC.to_datetime(at);
    let months = match language {
        Language::French => MONTHS_FRENCH,
        Language::English => MONTHS_ENGLISH,
    };
    let month = usize::try_from(at.month() - 1).ok();
    let month = month.and_then(|month| months.get(month)).unwrap_or(&"");
    let day = match (at.day(), language) {
        (1, Language::French) => "1er".to_owned(),
        (day, _) => day.to_string(),
    };
    format!(
        "{day} {month} {}, {:02}:{:02} UTC",
        at.year(),
        at.hour(),
        at.minute()
    )
}

/// How long ago, which needs no clock.
fn age(ago: SignedDuration, language: Language) -> String {
    let minutes = ago.as_mins();
    let (number, french, english) = match minutes {
        ..=0 => {
            return match language {
                Language::French => "à l’instant".to_owned(),
                Language::English => "just now".to_owned(),
            };
        }
        1..=59 => (minutes, "minute", "minute"),
        _ => (minutes / 60, "heure", "hour"),
    };
    let many = if number > 1 { "s" } else { "" };
    match language {
        Language::French => format!("il y a {number} {french}{many}"),
        Language::English => format!("{number} {english}{many} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ages_are_written_as_people_write_them() {
        let at: Timestamp = "2026-11-01T09:05:59Z".parse().unwrap();
        assert_eq!(date(at, Language::French), "1er novembre 2026, 09:05 UTC");
        assert_eq!(date(at, Language::English), "1 November 2026, 09:05 UTC");
        for (seconds, french, english) in [
            (-5, "à l’instant", "just now"),
            (59, "à l’instant", "just now"),
            (60, "il y a 1 minute", "1 minute ago"),
            (3599, "il y a 59 minutes", "59 minutes ago"),
            (3600, "il y a 1 heure", "1 hour ago"),
            (86_000, "il y a 23 heures", "23 hours ago"),
        ] {
            let ago = SignedDuration::from_secs(seconds);
            assert_eq!(age(ago, Language::French), french);
            assert_eq!(age(ago, Language::English), english);
        }
    }
}

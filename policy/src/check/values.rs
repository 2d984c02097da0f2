//! Words, dates, ports, countries: from text to what it means.

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::Check;
use crate::bundle::yaml::{self, At, Text, Values};
use crate::catalogue::{Country, Language, Localised, Place, Role};
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::ministry::{Action, Permission, PortSet, Sensitivity};
use crate::validity::{Moment, Validity};

/// The place where a value is used (for an alias: where the alias stands).
pub(super) fn place<T>(value: &At<T>, file: u32) -> Place {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file,
        line: narrow(value.referenced.line()),
        column: narrow(value.referenced.column()),
    }
}

/// A length of calendar time, as the texts give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    count: i32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Days,
    Months,
    Years,
}

impl Length {
    /// The last day of a period of this length that begins on `day`.
    pub(super) fn last_day_from(self, day: Date) -> Option<Date> {
        let span = match self.unit {
            Unit::Days => Span::new().try_days(self.count),
            Unit::Months => Span::new().try_months(self.count),
            Unit::Years => Span::new().try_years(self.count),
        };
        day.checked_add(span.ok()?).ok()?.yesterday().ok()
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            Unit::Days => "day",
            Unit::Months => "month",
            Unit::Years => "year",
        };
        write!(
            f,
            "{} {unit}{}",
            self.count,
            if self.count == 1 { "" } else { "s" }
        )
    }
}

/// Both languages; one given alone serves for both.
pub(super) fn localised(text: &yaml::Localised) -> Localised {
    match text {
        yaml::Localised::Same(text) => in_both(Some(text), None),
        yaml::Localised::Each(each) => in_both(each.fr.as_deref(), each.en.as_deref()),
    }
}

/// The procedure's text, with its link at the end.
pub(super) fn procedure(written: &yaml::Procedure) -> Option<Localised> {
    let (fr, en) = (written.fr.as_deref(), written.en.as_deref());
    let mut text = in_both(fr, en);
    if let Some(url) = written.url.as_deref() {
        for text in [&mut text.fr, &mut text.en] {
            *text = format!("{text} {url}").trim_start().into();
        }
    }
    (!text.fr.is_empty()).then_some(text)
}

fn in_both(fr: Option<&str>, en: Option<&str>) -> Localised {
    Localised {
        fr: fr.or(en).unwrap_or_default().into(),
        en: en.or(fr).unwrap_or_default().into(),
        alone: match (fr, en) {
            (Some(_), None) => Some(Language::French),
            (None, Some(_)) => Some(Language::English),
            _ => None,
        },
    }
}

impl Check<'_> {
    /// The place of a value.
    pub(super) fn place<T>(&self, value: &At<T>, file: u32) -> Place {
        place(value, file)
    }

    /// Reports something wrong with a value.
    pub(super) fn wrong(
        &mut self,
        code: Code,
        message: String,
        text: &Text,
        file: u32,
        help: impl Into<String>,
    ) {
        let finding = Diagnostic::error(code, message)
            .at(place(text, file))
            .help(help);
        self.report(finding);
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        text: &Text,
        file: u32,
        choices: &[(&str, T)],
    ) -> Option<T> {
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let words = || choices.iter().map(|(word, _)| *word);
        let help = match suggest::nearest(&text.value, words()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", words().collect::<Vec<_>>().join(", ")),
        };
        self.wrong(
            Code::UnknownWord,
            format!("`{}` is not known here", text.value),
            text,
            file,
            help,
        );
        None
    }

    /// `allow` or `deny`.
    pub(super) fn permission(&mut self, text: &Text, file: u32) -> Option<Permission> {
        self.word(
            text,
            file,
            &[("allow", Permission::Allow), ("deny", Permission::Deny)],
        )
    }

    /// `sensitive` or `standard`.
    pub(super) fn sensitivity(&mut self, text: &Text, file: u32) -> Option<Sensitivity> {
        self.word(
            text,
            file,
            &[
                ("sensitive", Sensitivity::Sensitive),
                ("standard", Sensitivity::Standard),
            ],
        )
    }

    /// `allow`, `observe` or `deny`.
    pub(super) fn action(&mut self, text: &Text, file: u32) -> Option<Action> {
        self.word(
            text,
            file,
            &[
                ("allow", Action::Allow),
                ("observe", Action::Observe),
                ("deny", Action::Deny),
            ],
        )
    }

    /// `platform` or `front`; where nothing is written, the provider's own.
    pub(super) fn role(&mut self, text: Option<&Text>, file: u32) -> Role {
        let words = [("platform", Role::Platform), ("front", Role::Front)];
        text.and_then(|text| self.word(text, file, &words))
            .unwrap_or(Role::Own)
    }

    /// A country code.
    pub(super) fn country(&mut self, text: &Text, file: u32) -> Option<Country> {
        let country = Country::parse(&text.value);
        if country.is_none() {
            let message = format!("`{}` is not a country code", text.value);
            self.wrong(
                Code::InvalidCountry,
                message,
                text,
                file,
                "write two capital letters: `FR`, `US`",
            );
        }
        country
    }

    /// A day or an instant.
    pub(super) fn date(&mut self, text: &Text, file: u32) -> Option<Moment> {
        let moment = Moment::parse(&text.value).ok();
        if moment.is_none() {
            let message = format!("`{}` is not a date", text.value);
            self.wrong(
                Code::InvalidDate,
                message,
                text,
                file,
                "write `2026-09-01`, or `2026-09-01T08:00:00Z`",
            );
        }
        moment
    }

    /// When something holds; what ends before it begins is reported.
    pub(super) fn validity(
        &mut self,
        from: Option<&Text>,
        until: Option<&Text>,
        file: u32,
    ) -> Validity {
        let start = from
            .and_then(|text| self.date(text, file))
            .map(Moment::start);
        let end = until
            .and_then(|text| self.date(text, file))
            .map(Moment::end);
        if let (Some(start), Some(end), Some(text)) = (start, end, until)
            && end <= start
        {
            let message = "it ends before it begins, so it never holds".to_owned();
            self.wrong(
                Code::EmptyPeriod,
                message,
                text,
                file,
                "check which of the two dates is meant",
            );
        }
        Validity {
            from: start,
            until: end,
        }
    }

    /// `12 months`, `90 days`, `1 year`.
    pub(super) fn length(&mut self, text: &Text, file: u32) -> Option<Length> {
        let mut words = text.value.split_whitespace();
        let count = words
            .next()
            .and_then(|count| count.parse().ok())
            .filter(|count| (1..=1_200).contains(count));
        let unit = match words.next() {
            Some("day" | "days") => Some(Unit::Days),
            Some("month" | "months") => Some(Unit::Months),
            Some("year" | "years") => Some(Unit::Years),
            _ => None,
        };
        let length = words.next().is_none().then_some(()).and_then(|()| {
            Some(Length {
                count: count?,
                unit: unit?,
            })
        });
        if length.is_none() {
            let message = format!("`{}` is not a length of time", text.value);
            self.wrong(
                Code::InvalidPeriod,
                message,
                text,
                file,
                "write a number of days, months or years: `12 months`",
            );
        }
        length
    }

    /// A set of ports.
    pub(super) fn ports(&mut self, values: &Values, file: u32) -> PortSet {
        let mut ranges = Vec::new();
        for text in &values.items {
            if text.value == "any" {
                ranges.push((1, u16::MAX));
            } else if let Some(range) = port_range(&text.value) {
                ranges.push(range);
            } else {
                let message = format!("`{}` is not a port or a range of ports", text.value);
                self.wrong(
                    Code::InvalidPort,
                    message,
                    text,
                    file,
                    "write `any`, `443` or \"1024-65535\"",
                );
            }
        }
        PortSet::new(ranges)
    }

    /// The instant at which a test or warning looks; used where something has ended by today.
    pub(super) fn is_past(&self, validity: Validity) -> bool {
        self.today
            .is_some_and(|today: Timestamp| validity.is_past(today))
    }
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|&port| port > 0);
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((low, high)) => {
            let range = (port(low)?, port(high)?);
            (range.0 <= range.1).then_some(range)
        }
    }
}

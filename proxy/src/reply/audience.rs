//! Who reads a reply: a person with a language, or a program.

use octroi_policy::catalogue::Language;

/// The form of a reply's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// HTML for people.
    #[default]
    Page,
    /// Problem details for programs (RFC 9457).
    Problem,
}

impl Format {
    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Page => "text/html; charset=utf-8",
            Self::Problem => "application/problem+json",
        }
    }
}

/// Who reads a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// In which form.
    pub format: Format,
    /// In which language.
    pub language: Language,
}

impl Audience {
    /// From the `Accept` and `Accept-Language` fields: JSON where it is asked for and HTML is not
    /// liked better, English where it is liked better than French.
    #[must_use]
    pub fn new(accept: Option<&str>, accept_language: Option<&str>) -> Self {
        let json = weight(accept, |range| {
            matches!(range, "application/json" | "application/problem+json")
        });
        let html = weight(accept, |range| {
            matches!(range, "text/html" | "application/xhtml+xml")
        });
        let french = weight(accept_language, |range| primary(range) == "fr");
        let english = weight(accept_language, |range| primary(range) == "en");
        Self {
            format: if json > 0 && json >= html {
                Format::Problem
            } else {
                Format::Page
            },
            language: if english > french {
                Language::English
            } else {
                Language::French
            },
        }
    }

    /// The language as a tag (RFC 5646).
    #[must_use]
    pub fn language_tag(self) -> &'static str {
        match self.language {
            Language::French => "fr",
            Language::English => "en",
        }
    }
}

fn primary(range: &str) -> &str {
    range.split('-').next().unwrap_or(range)
}

/// The highest weight, in thousandths, of the ranges that `wanted` picks (RFC 9110 section 12.4.2).
fn weight(field: Option<&str>, wanted: impl Fn(&str) -> bool) -> u16 {
    let ranges = field.unwrap_or_default().split(',');
    ranges
        .filter_map(|range| weighed(range, &wanted))
        .max()
        .unwrap_or(0)
}

fn weighed(range: &str, wanted: impl Fn(&str) -> bool) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    wanted(&name).then(|| q.map_or(1000, thousandths))
}

fn thousandths(q: &str) -> u16 {
    let value: f32 = q.trim().parse().unwrap_or(0.0);
    // In range after the clamp; NaN becomes 0.
    (value.clamp(0.0, 1.0) * 1000.0) as u16
}

//! Patterns over names: one set of rules for every list, suffix and condition of a policy.
//!
//! | written | matches |
//! | --- | --- |
//! | `example.org` | that name alone |
//! | `.example.org` | it and everything below |
//! | `*.example.org` | only what is below, at any depth |
//! | `autodiscover.*.example.org` | exactly one label in the place of `*` |
//! | `*-files.example.org` | any label that ends in `-files` |
//!
//! Inside a label `*` stands for any number of characters and never crosses a dot.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::name::{DomainName, MAX_NAME, NameError, check_label};

/// How far below its written labels a pattern reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// `.example.org`: the name and everything below. The least specific.
    WithBelow,
    /// `*.example.org`: only what is below.
    Below,
    /// `example.org`: the name alone. The most specific.
    Exact,
}

/// One entry of a list of names, in canonical form; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// The labels without the leading `.` or `*.`; empty for `*`, which is below the root.
    text: Arc<str>,
    depth: Depth,
}

/// One label of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label<'a> {
    /// `*`: exactly one label, whatever it is. The least specific.
    Any,
    /// A label with `*` inside it.
    Glob(&'a str),
    /// A label without `*`. The most specific.
    Literal(&'a str),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A label, or the whole, is no host name; the reason says why.
    #[error(transparent)]
    Name(#[from] NameError),
    /// `*é.example`: a wildcard cannot be matched against the A-label of a Unicode label.
    #[error("a label has both `*` and letters that are not ASCII")]
    UnicodeGlob,
    /// `**`, which other lists read in different ways.
    #[error("`**` has no meaning in a pattern")]
    DoubleStar,
}

/// How specific a pattern is; the greater one wins where two match the same name.
///
/// Labels are compared from the right, literal before partial wildcard before `*`; then more
/// labels win; then exact before only-below before with-below.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    /// One rank a label from the right; slices compare so that of two the longer wins.
    ranks: Box<[Rank]>,
    depth: Depth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rank {
    Any,
    Glob,
    Literal,
}

impl Pattern {
    /// Reads an entry of a plain list or of `domains`.
    ///
    /// # Errors
    /// [`PatternError`] if a label is none. A pattern that matches too much is still a pattern:
    /// see [`Pattern::is_too_wide`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if let Some(rest) = text.strip_prefix("*.") {
            Self::with_depth(rest, Depth::Below)
        } else if let Some(rest) = text.strip_prefix('.') {
            Self::with_depth(rest, Depth::WithBelow)
        } else if text == "*" {
            Ok(Self {
                text: "".into(),
                depth: Depth::Below,
            })
        } else {
            Self::with_depth(text, Depth::Exact)
        }
    }

    /// Reads an entry of a list of suffixes: a plain name means it and everything below.
    ///
    /// # Errors
    /// As [`Pattern::parse`].
    pub fn suffix(text: &str) -> Result<Self, PatternError> {
        let mut pattern = Self::parse(text)?;
        if pattern.depth == Depth::Exact {
            pattern.depth = Depth::WithBelow;
        }
        Ok(pattern)
    }

    fn with_depth(text: &str, depth: Depth) -> Result<Self, PatternError> {
        let text = if text.contains('*') {
            read_globs(text)?.into()
        } else {
            DomainName::from_unicode(text)?.into()
        };
        Ok(Self { text, depth })
    }

    /// Does it match `name`? Linear in the length of both; a policy with many patterns asks the
    /// compiled [`crate::matcher`] instead.
    #[must_use]
    pub fn matches(&self, name: &DomainName) -> bool {
        let mut below = name.labels().rev();
        let fits = self
            .labels()
            .rev()
            .all(|label| below.next().is_some_and(|found| label.matches(found)));
        let rest = below.next();
        fits && match self.depth {
            Depth::Exact => rest.is_none(),
            Depth::Below => rest.is_some(),
            Depth::WithBelow => true,
        }
    }

    /// Does it match so much that it can only be a mistake: everything, a whole top-level
    /// domain (`*.fr`, `.com`), or a `*` where the domain or its top level should stand
    /// (`*.*.fr`, `example.*`)?
    ///
    /// A single label alone (`intranet`) is a name like any other.
    #[must_use]
    pub fn is_too_wide(&self) -> bool {
        let mut labels = self.labels().rev();
        let Some(Label::Literal(_)) = labels.next() else {
            return true;
        };
        match labels.next() {
            None => self.depth != Depth::Exact,
            Some(domain) => domain == Label::Any,
        }
    }

    /// Its place among the patterns that match the same name.
    #[must_use]
    pub fn specificity(&self) -> Specificity {
        let ranks = self.labels().rev().map(Label::rank).collect();
        Specificity {
            ranks,
            depth: self.depth,
        }
    }

    /// The written labels, from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = Label<'_>> + Clone {
        self.text
            .split('.')
            .filter(|label| !label.is_empty())
            .map(Label::of)
    }

    /// How far below the written labels it reaches.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The written labels if none has a wildcard: `example.org` for `*.example.org`.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        (!self.text.is_empty() && !self.text.contains('*')).then_some(&*self.text)
    }
}

impl From<DomainName> for Pattern {
    /// The pattern that matches `name` alone.
    fn from(name: DomainName) -> Self {
        Self {
            text: name.into(),
            depth: Depth::Exact,
        }
    }
}

fn read_globs(text: &str) -> Result<String, PatternError> {
    let text = text.trim_end_matches('.');
    let labels = text
        .split('.')
        .map(read_label)
        .collect::<Result<Vec<_>, _>>()?;
    // A name does not end like a number, so `10.*.0x7f` could match none.
    if let Some(last) = labels.last().filter(|last| !last.contains('*')) {
        DomainName::parse(last)?;
    }
    let text = labels.join(".");
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong.into());
    }
    Ok(text)
}

fn read_label(text: &str) -> Result<String, PatternError> {
    if !text.contains('*') {
        return read_literal(text);
    }
    if text.contains("**") {
        return Err(PatternError::DoubleStar);
    }
    if !text.is_ascii() {
        return Err(PatternError::UnicodeGlob);
    }
    check_glob(text)?;
    Ok(text.to_ascii_lowercase())
}

/// A literal label beside a wildcard one. It may be all digits, as `10.*.example.org` is fine;
/// a Unicode label must map to a single A-label.
fn read_literal(text: &str) -> Result<String, PatternError> {
    let label = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        DomainName::from_unicode(text)?.as_str().to_owned()
    };
    check_label(&label)?;
    Ok(label)
}

/// A label with `*` must be a label once letters stand in the place of `*`.
fn check_glob(text: &str) -> Result<(), NameError> {
    check_label(&text.replace('*', "a"))
}

impl<'a> Label<'a> {
    fn of(text: &'a str) -> Self {
        if text == "*" {
            Self::Any
        } else if text.contains('*') {
            Self::Glob(text)
        } else {
            Self::Literal(text)
        }
    }

    /// Does it match this one label of a name?
    #[must_use]
    pub fn matches(self, label: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == label,
            Self::Glob(glob) => glob_matches(glob.as_bytes(), label.as_bytes()),
        }
    }

    /// Its text, `*` included.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Any => "*",
            Self::Glob(text) | Self::Literal(text) => text,
        }
    }

    fn rank(self) -> Rank {
        match self {
            Self::Any => Rank::Any,
            Self::Glob(_) => Rank::Glob,
            Self::Literal(_) => Rank::Literal,
        }
    }
}

/// `*` stands for any number of bytes, none included. On a mismatch only the last `*` is
/// widened, so the cost is at most the product of the lengths.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                last_star = Some((g, t));
                g += 1;
            }
            Some(byte) if *byte == text[t] => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else {
                    return false;
                };
                last_star = Some((star, taken + 1));
                g = star + 1;
                t = taken + 1;
            }
        }
    }
    glob[g..].iter().all(|&byte| byte == b'*')
}

impl Specificity {
    /// Compared with a pattern of `literals` labels without wildcards that matches the same
    /// name: all that a table of literal suffixes needs to know.
    #[must_use]
    pub(crate) fn cmp_literal(&self, literals: usize, depth: Depth) -> Ordering {
        for position in 0..literals {
            match self.ranks.get(position) {
                None | Some(Rank::Any | Rank::Glob) => return Ordering::Less,
                Some(Rank::Literal) => {}
            }
        }
        if self.ranks.len() > literals {
            Ordering::Greater
        } else {
            self.depth.cmp(&depth)
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.depth {
            Depth::Below if self.text.is_empty() => "*",
            Depth::Below => "*.",
            Depth::WithBelow => ".",
            Depth::Exact => "",
        };
        write!(f, "{prefix}{}", self.text)
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

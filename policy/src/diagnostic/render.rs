//! Findings as text for people and JSON for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Diagnostic, Findings, Severity};
use crate::catalogue::Place;

/// The files that findings point into.
pub trait Sources {
    /// The path of a file, as people know it.
    fn path(&self, file: u32) -> &str;
    /// The text of a file; empty where it has none.
    fn text(&self, file: u32) -> &str;
}

/// Whether the text carries terminal colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    #[default]
    Never,
    /// ANSI escapes.
    Always,
}

/// Columns of a source line that are shown around the caret.
const LINE_WIDTH: usize = 100;
/// Columns before the caret that a cut line keeps.
const BEFORE_CARET: usize = 40;
/// A tab is shown as this many blanks.
const TAB: &str = "    ";

impl Findings {
    /// All findings as text, with a summary line; empty if there is none.
    #[must_use]
    pub fn render(&self, sources: &dyn Sources, colour: Colour) -> String {
        if self.is_empty() {
            return String::new();
        }
        let lines = Lines::of(self, sources);
        let mut text = String::new();
        for finding in self.iter() {
            render_one(&mut text, finding, sources, &lines, colour);
            text.push('\n');
        }
        for (severity, code, count) in self.left_out() {
            let _ = writeln!(
                text,
                "{}[{}]: and {count} more of these\n",
                severity.as_str(),
                code.as_str()
            );
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// How many there are: `2 errors, 1 warning`.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .map(|severity| (severity, self.count(severity)))
            .filter(|&(_, count)| count > 0)
            .map(|(severity, count)| {
                format!(
                    "{count} {}{}",
                    severity.as_str(),
                    if count == 1 { "" } else { "s" }
                )
            })
            .collect();
        if parts.is_empty() {
            "no findings".to_owned()
        } else {
            parts.join(", ")
        }
    }

    /// All findings as JSON, an object each; those left out as a `count`.
    #[must_use]
    pub fn to_json(&self, sources: &dyn Sources) -> Value {
        let kept = self.iter().map(|finding| finding.to_json(sources));
        let left_out = self.left_out().map(|(severity, code, count)| {
            json!({ "code": code.as_str(), "severity": severity.as_str(), "left_out": count })
        });
        Value::Array(kept.chain(left_out).collect())
    }
}

impl Diagnostic {
    /// The finding as a JSON object.
    #[must_use]
    pub fn to_json(&self, sources: &dyn Sources) -> Value {
        let labels: Vec<Value> = self
            .labels
            .iter()
            .map(|(place, text)| {
                json!({
                    "file": sources.path(place.file), "line": place.line,
                    "column": place.column, "text": text,
                })
            })
            .collect();
        json!({
            "code": self.code.as_str(), "severity": self.severity.as_str(),
            "message": self.message, "labels": labels, "help": self.help,
        })
    }
}

/// The source lines that the findings need, gathered in one pass over each file.
struct Lines<'a>(BTreeMap<(u32, u32), &'a str>);

impl<'a> Lines<'a> {
    fn of(findings: &Findings, sources: &'a dyn Sources) -> Self {
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (place, _) in findings.iter().flat_map(|finding| &finding.labels) {
            if place.line > 0 {
                wanted.entry(place.file).or_default().insert(place.line);
            }
        }
        let mut lines = BTreeMap::new();
        for (file, numbers) in wanted {
            let last = numbers.last().copied().unwrap_or_default() as usize;
            let text = sources.text(file).trim_start_matches('\u{feff}');
            for (number, line) in (1..).zip(text.lines().take(last)) {
                if numbers.contains(&number) {
                    lines.insert((file, number), line);
                }
            }
        }
        Self(lines)
    }

    fn at(&self, place: Place) -> Option<&'a str> {
        self.0.get(&(place.file, place.line)).copied()
    }
}

fn render_one(
    out: &mut String,
    finding: &Diagnostic,
    sources: &dyn Sources,
    lines: &Lines<'_>,
    colour: Colour,
) {
    let severity = finding.severity;
    let head = format!("{}[{}]", severity.as_str(), finding.code.as_str());
    let _ = writeln!(
        out,
        "{}: {}",
        paint(&head, severity, colour),
        clean(&finding.message)
    );
    let gutter = finding
        .labels
        .iter()
        .map(|(place, _)| place.line.to_string().len())
        .max()
        .unwrap_or(1);
    for (index, (place, text)) in finding.labels.iter().enumerate() {
        let arrow = if index == 0 { "-->" } else { ":::" };
        let _ = writeln!(out, "{:gutter$}{arrow} {}", "", position(*place, sources));
        match lines.at(*place) {
            Some(line) => excerpt(out, line, *place, text, gutter),
            None if text.is_empty() => {}
            None => {
                let _ = writeln!(out, "{:gutter$} = {}", "", clean(text));
            }
        }
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "{:gutter$} = help: {}", "", clean(help));
    }
}

/// `file`, `file:line` or `file:line:column`.
fn position(place: Place, sources: &dyn Sources) -> String {
    let path = clean(sources.path(place.file));
    match (place.line, place.column) {
        (0, _) => path,
        (line, 0) => format!("{path}:{line}"),
        (line, column) => format!("{path}:{line}:{column}"),
    }
}

/// The line with a caret below what is meant.
fn excerpt(out: &mut String, line: &str, place: Place, label: &str, gutter: usize) {
    let start = (place.column as usize).saturating_sub(1);
    let (shown, caret) = window(line, start);
    let _ = writeln!(out, "{:gutter$} |", "");
    let _ = writeln!(out, "{:>gutter$} | {}", place.line, shown.trim_end());
    if place.column == 0 {
        return;
    }
    let carets = "^".repeat(token_width(line, start).clamp(1, LINE_WIDTH - BEFORE_CARET));
    let _ = writeln!(
        out,
        "{:gutter$} | {:caret$}{carets} {}",
        "",
        "",
        clean(label)
    );
    // No blank at the end of a line without a label.
    let trimmed = out.trim_end_matches([' ', '\n']).len();
    out.truncate(trimmed);
    out.push('\n');
}

/// The part of `line` that is shown, and the column in it (in cells) of character `start`.
fn window(line: &str, start: usize) -> (String, usize) {
    let whole: usize = line.chars().map(cells).sum();
    let before: usize = line.chars().take(start).map(cells).sum();
    if whole <= LINE_WIDTH {
        return (line.chars().map(visible).collect(), before);
    }
    let cut = before.saturating_sub(BEFORE_CARET);
    let mut shown = String::from(if cut > 0 { "…" } else { "" });
    let mut caret = shown.width();
    let mut at = 0;
    for (index, c) in line.chars().enumerate() {
        let width = cells(c);
        if at >= cut {
            if at + width > cut + LINE_WIDTH {
                shown.push('…');
                break;
            }
            if index < start {
                caret += width;
            }
            shown.push_str(&visible(c));
        }
        at += width;
    }
    (shown, caret)
}

/// How many cells the word that begins at character `start` takes: up to a blank, or to the
/// closing quote if it is quoted.
fn token_width(line: &str, start: usize) -> usize {
    let rest: Vec<char> = line.chars().skip(start).collect();
    let end = match rest.first() {
        Some(&quote @ ('"' | '\'')) => rest
            .iter()
            .skip(1)
            .position(|&c| c == quote)
            .map_or(1, |at| at + 2),
        Some('{' | '[' | '-') => 1,
        _ => {
            let end = rest
                .iter()
                .position(|c| c.is_whitespace())
                .unwrap_or(rest.len());
            let trailing = rest[..end]
                .iter()
                .rev()
                .take_while(|c| ",]}:".contains(**c))
                .count();
            end - trailing
        }
    };
    rest[..end.min(rest.len())].iter().map(|&c| cells(c)).sum()
}

fn cells(c: char) -> usize {
    match c {
        '\t' => TAB.len(),
        c => c.width().unwrap_or(1),
    }
}

/// What stands for `c` on a terminal: nothing that could move the cursor.
fn visible(c: char) -> String {
    match c {
        '\t' => TAB.to_owned(),
        c if c.width().is_none() || is_bidi(c) => '\u{fffd}'.to_string(),
        c => c.to_string(),
    }
}

/// Marks that turn the direction of text: a file name or line must not reorder what is around it.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn clean(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn paint(text: &str, severity: Severity, colour: Colour) -> String {
    let code = match (colour, severity) {
        (Colour::Never, _) => return text.to_owned(),
        (Colour::Always, Severity::Error) => "1;31",
        (Colour::Always, Severity::Warning) => "1;33",
        (Colour::Always, Severity::Note) => "1;36",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

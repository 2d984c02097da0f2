//! A bogus key in any table of any file of the example bundle is refused.

use super::{Bundle, Severity, check, example};
use crate::bundle::Kind;
use crate::bundle::yaml::{Document, LayerDocument};

const BOGUS: &str = "bogus_key: 1";

#[test]
fn a_bogus_key_in_any_table_is_refused() {
    let bundle = example();
    let mut tables = 0;
    for source in bundle.files() {
        let broken_shape = |text: &str| match source.kind() {
            Kind::National => Document::read(text, 0).is_err(),
            Kind::Layer => LayerDocument::read(text, 0).is_err(),
            Kind::List | Kind::Ignored => false,
        };
        if matches!(source.kind(), Kind::List | Kind::Ignored) {
            continue;
        }
        for (line, text) in mutants(source.text()) {
            tables += 1;
            let refused = broken_shape(&text) || has_errors(&bundle, source.path(), &text);
            assert!(refused, "{}:{line} accepts a bogus key", source.path());
        }
    }
    assert!(tables > 200, "only {tables} tables were found");
}

/// Tables with free keys (`on:`, `references:`) are judged with the whole bundle.
fn has_errors(bundle: &Bundle, path: &str, text: &str) -> bool {
    let files = bundle.files().iter().map(|file| {
        let text = if file.path() == path {
            text
        } else {
            file.text()
        };
        (file.path().to_owned(), text.as_bytes().to_vec())
    });
    check(&Bundle::from_files(files).unwrap(), None)
        .findings
        .count(Severity::Error)
        > 0
}

/// Every way to put a bogus key into one table of the text, with the line it went to.
fn mutants(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let mut indent = None::<usize>;
    let mut scalar = None::<usize>;
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_start_matches([' ', '-']);
        let depth = line.len() - bare.len();
        let is_text = bare.trim().is_empty()
            || bare.starts_with('#')
            || scalar.is_some_and(|outer| depth > outer);
        if !is_text {
            scalar = bare.trim_end().ends_with(['|', '>']).then_some(depth);
            let is_item = line.trim_start().starts_with("- ");
            if is_key(bare) && (is_item || indent.is_none_or(|before| depth > before)) {
                let at = start + depth;
                let bogus = format!("{BOGUS}\n{}", " ".repeat(depth));
                all.push((number + 1, [&text[..at], &bogus, &text[at..]].concat()));
            }
            indent = Some(depth);
            for at in flow_tables(line) {
                let at = start + at + 1;
                all.push((
                    number + 1,
                    [&text[..at], &format!(" {BOGUS},"), &text[at..]].concat(),
                ));
            }
        }
        start += line.len();
    }
    all
}

fn is_key(bare: &str) -> bool {
    let end = bare
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .unwrap_or(bare.len());
    end > 0 && (bare[end..].starts_with(": ") || bare[end..].trim_end() == ":")
}

/// The bytes at which a `{` stands outside quotes and comments.
fn flow_tables(line: &str) -> Vec<usize> {
    let mut quote = None::<char>;
    let mut before = ' ';
    let mut found = Vec::new();
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' && before == ' ' => break,
            None if matches!(c, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',') => {
                quote = Some(c)
            }
            None if c == '{' && matches!(before, ' ' | '[' | '{' | ',') => found.push(at),
            None => {}
        }
        before = c;
    }
    found
}

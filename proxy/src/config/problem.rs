//! What is wrong with `octroi.yaml`, and where: told with the line itself and a remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_saphyr::{Location, SnippetMode, UserMessageFormatter};

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1; 0 = the file as a whole.
    pub line: usize,
    /// Column, counted in characters from 1.
    pub column: usize,
    /// How many characters it concerns, at least 1.
    pub length: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn at(location: Location, message: impl Into<String>) -> Self {
        let whole = |number: u64| usize::try_from(number).unwrap_or(0);
        Self {
            line: whole(location.line()),
            column: whole(location.column()),
            length: whole(location.span().len()).max(1),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What the YAML library found, in the words of this project.
    pub(super) fn from_yaml(error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error as E;
        let location = error.location().unwrap_or(Location::UNKNOWN);
        match error {
            E::SerdeUnknownField {
                field, expected, ..
            } => Self::at(location, format!("unknown key `{field}`"))
                .help(format!("the keys here are {}", ticked(expected))),
            E::SerdeUnknownVariant {
                variant, expected, ..
            } => Self::at(
                location,
                format!("`{variant}` is none of the words known here"),
            )
            .help(format!("write one of {}", ticked(expected))),
            E::SerdeMissingField { field, .. } => {
                Self::at(location, format!("the key `{field}` is missing"))
            }
            E::DuplicateMappingKey { key: Some(key), .. } => {
                Self::at(location, format!("the key `{key}` is written twice"))
            }
            other => Self::at(location, plain(other)),
        }
    }
}

fn ticked(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The library's message alone: the place is shown by [`Report`].
fn plain(error: &serde_saphyr::Error) -> String {
    let formatter = UserMessageFormatter;
    let options = serde_saphyr::render_options! {
        formatter: &formatter,
        snippets: SnippetMode::Off,
    };
    let text = error.render_with_options(options);
    let end = text.find(" at line ").unwrap_or(text.len());
    text[..end].trim_end_matches(['.', '\n', ' ']).to_owned()
}

/// The file could not be used.
#[derive(Debug)]
pub enum ConfigError {
    /// It could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It says something that cannot be.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its text, for the lines shown.
        text: String,
        /// Everything found, in the order of the file; never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The exit code of a command that stops here: sysexits' `EX_IOERR` or `EX_CONFIG`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Unreadable { .. } => 74,
            ConfigError::Invalid { .. } => 78,
        }
    }

    /// Everything found; empty if the file could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            ConfigError::Unreadable { .. } => &[],
            ConfigError::Invalid { problems, .. } => problems,
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, error } => {
                write!(f, "error: cannot read `{}`: {error}", path.display())
            }
            ConfigError::Invalid {
                path,
                text,
                problems,
            } => {
                for (ix, problem) in problems.iter().enumerate() {
                    let gap = if ix == 0 { "" } else { "\n\n" };
                    write!(
                        f,
                        "{gap}{}",
                        Report {
                            head: "error",
                            path,
                            text,
                            problem
                        }
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// A problem with its place, the line and a caret.
pub(crate) struct Report<'a> {
    /// How grave it is: the word before the message.
    pub(crate) head: &'a str,
    pub(crate) path: &'a Path,
    /// The text of the file, for the line that is shown.
    pub(crate) text: &'a str,
    pub(crate) problem: &'a Problem,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            line,
            column,
            length,
            message,
            help,
        } = self.problem;
        let head = self.head;
        write!(f, "{head}: {message}\n  --> {}", self.path.display())?;
        let margin = line.to_string().len();
        if let Some(shown) = self.text.lines().nth(line.wrapping_sub(1)) {
            let room = shown
                .chars()
                .count()
                .saturating_sub(column.saturating_sub(1))
                .max(1);
            write!(f, ":{line}:{column}\n{:margin$} |\n{line} | {shown}\n", "")?;
            let indent = column.saturating_sub(1);
            write!(
                f,
                "{:margin$} | {:indent$}{}",
                "",
                "",
                "^".repeat((*length).min(room))
            )?;
        }
        if let Some(help) = help {
            write!(f, "\n{:margin$} = help: {help}", "")?;
        }
        Ok(())
    }
}

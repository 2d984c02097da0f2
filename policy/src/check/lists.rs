//! Names and ranges, from YAML values and from list files.

use std::collections::BTreeSet;

use super::Check;
use crate::bundle::Kind;
use crate::bundle::list::{self, Entry, EntryError, Reading};
use crate::bundle::yaml::{Text, Values};
use crate::catalogue::{Id, Place};
use crate::diagnostic::{Code, Diagnostic, Sources, suggest};
use crate::model::List;

/// The lists that rules use, which their indices point into, and after them the files that only services and providers use.
pub(super) fn all(check: &Check<'_>, mut lists: Vec<List>) -> Vec<List> {
    let known: BTreeSet<Id> = lists.iter().map(|list| list.id.clone()).collect();
    for (&file, &entries) in &check.used_lists {
        let path = check.bundle.path(file);
        if !known.contains(path) {
            lists.push(List {
                id: path.into(),
                entries,
            });
        }
    }
    lists
}

/// An entry and where it stands.
pub(super) type Placed = (Entry, Place);

impl Check<'_> {
    /// The entries of inline values.
    pub(super) fn inline(
        &mut self,
        values: Option<&Values>,
        file: u32,
        reading: Reading,
    ) -> Vec<Placed> {
        let mut all = Vec::new();
        for text in values.iter().flat_map(|values| &values.items) {
            let place = self.place(text, file);
            match list::entry(&text.value, reading) {
                Ok(entry) => all.push((entry, place)),
                Err(error) => self.broken(&text.value, error, place, Where::Yaml),
            }
        }
        all
    }

    /// The entries of inline values and of every list named beside them.
    pub(super) fn entries(
        &mut self,
        inline: Option<&Values>,
        from: Option<&Values>,
        file: u32,
        reading: Reading,
    ) -> Vec<Placed> {
        let mut all = self.inline(inline, file, reading);
        for path in from.iter().flat_map(|values| &values.items) {
            if let Some(list) = self.list(path, file) {
                self.read_list(list, reading, |placed| all.push(placed));
            }
        }
        all
    }

    /// The file that a `*_from` key names; a finding if it is not in the bundle.
    pub(super) fn list(&mut self, path: &Text, file: u32) -> Option<u32> {
        let bundle = self.bundle;
        let found = bundle.position(&path.value);
        let is_list = |at: u32| {
            bundle
                .files()
                .get(at as usize)
                .is_some_and(|it| it.kind() == Kind::List)
        };
        if let Some(list) = found.filter(|&at| is_list(at)) {
            self.used_lists.entry(list).or_default();
            return Some(list);
        }
        let paths = bundle
            .files()
            .iter()
            .filter(|it| it.kind() == Kind::List)
            .map(|it| it.path());
        let help = match suggest::nearest(&path.value, paths) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "paths are relative to the root of the bundle: `lists/name.txt`".to_owned(),
        };
        let message = format!("the list `{}` is not in the bundle", path.value);
        self.wrong(Code::MissingList, message, path, file, help);
        None
    }

    /// Reads a list file; returns how many entries it has. An empty one is a finding.
    pub(super) fn read_list(
        &mut self,
        file: u32,
        reading: Reading,
        mut sink: impl FnMut(Placed),
    ) -> usize {
        let bundle = self.bundle;
        let Some(source) = bundle.files().get(file as usize) else {
            return 0;
        };
        let text = source.text();
        let (mut entries, mut broken) = (0, 0);
        list::read(text, reading, |item| {
            let place = Place {
                file,
                line: item.line,
                column: item.column,
            };
            match item.entry {
                Ok(entry) => {
                    entries += 1;
                    sink((entry, place));
                }
                Err(error) => {
                    broken += 1;
                    self.broken("", error, place, Where::List);
                }
            }
        });
        if let Some(most) = self.used_lists.get_mut(&file) {
            *most = entries.max(*most);
        }
        if entries == 0 && broken == 0 && source.unreadable().is_none() {
            let finding = Diagnostic::error(Code::EmptyList, "the list has no entry")
                .at(Place { file, line: 0, column: 0 })
                .help("what uses it would hold for nothing: put an entry in it, or take its use out of the YAML");
            self.report(finding);
        }
        entries
    }

    /// Reports a value or line that is no entry.
    fn broken(&mut self, text: &str, error: EntryError, place: Place, stands: Where) {
        let (code, help) = explain(error, stands);
        let message = if text.is_empty() {
            error.to_string()
        } else {
            format!("`{text}`: {error}")
        };
        let finding = Diagnostic::error(code, message).at(place);
        self.report(match help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }
}

/// Where an entry stands: each place has its own code for what is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Yaml,
    List,
}

fn explain(error: EntryError, stands: Where) -> (Code, Option<String>) {
    let general = |code| {
        if stands == Where::List {
            Code::BrokenLine
        } else {
            code
        }
    };
    match error {
        EntryError::TooWide => (
            Code::TooWideName,
            Some(
                "name the domains that are meant, with at least one label before the top level"
                    .into(),
            ),
        ),
        EntryError::Everything => (
            Code::InvalidAddress,
            Some("name the ranges that are meant".into()),
        ),
        EntryError::HostBits(range) => (Code::HostBits, Some(format!("did you mean `{range}`?"))),
        EntryError::AddressAmongNames => (
            general(Code::InvalidName),
            Some("addresses belong under `addresses` or `addresses_from`".into()),
        ),
        EntryError::Url => (
            general(Code::InvalidName),
            Some("write the host name alone".into()),
        ),
        EntryError::Several => (
            general(Code::InvalidName),
            Some("write one entry a line".into()),
        ),
        EntryError::HostsAddress => (
            general(Code::InvalidName),
            Some("the list says what is named, not where it is: write the name alone".into()),
        ),
        EntryError::Format => (
            Code::UnknownFormat,
            Some("one of: plain, hosts, dstdomain, ut1".into()),
        ),
        EntryError::Address => (
            general(Code::InvalidAddress),
            Some("write `192.0.2.1`, `192.0.2.0/24` or `2001:db8::/32`".into()),
        ),
        EntryError::TooLong | EntryError::Name(_) => (general(Code::InvalidName), None),
    }
}

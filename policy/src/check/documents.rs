//! Every file of the bundle, read as far as its shape allows; the sections that stand once.

use jiff::Timestamp;

use super::{Check, Head};
use crate::bundle::Kind;
use crate::bundle::yaml::{At, Document, LayerDocument, Provider, Rule, Service, Test, Text};
use crate::catalogue::{Id, Place};
use crate::diagnostic::{Code, Diagnostic};

/// The version of the format that this crate reads.
const VERSION: u64 = 1;

/// The files of a bundle as they are written.
pub(super) struct Documents {
    /// National files with their position.
    pub(super) national: Vec<(u32, Document)>,
    /// Ministries' own files.
    pub(super) layers: Vec<Layer>,
}

/// A ministry's own file.
pub(super) struct Layer {
    pub(super) file: u32,
    /// The directory it lies in.
    pub(super) ministry: String,
    pub(super) document: LayerDocument,
}

/// Something written, with its file and, below `ministries/<id>/`, whose file that is.
pub(super) struct Written<'a, T> {
    pub(super) file: u32,
    pub(super) layer: Option<&'a str>,
    pub(super) it: &'a T,
    pub(super) place: Place,
}

impl Documents {
    /// Reads every file; what is wrong with its shape is reported.
    pub(super) fn read(check: &mut Check<'_>) -> Self {
        let mut documents = Self {
            national: Vec::new(),
            layers: Vec::new(),
        };
        let bundle = check.bundle;
        for (file, source) in (0..).zip(bundle.files()) {
            check.readable(file);
            let text = source.text();
            match source.kind() {
                Kind::List => {}
                Kind::Ignored => check.ignored(file),
                Kind::National => match Document::read(text, file) {
                    Ok(document) => documents.national.push((file, document)),
                    Err(finding) => check.lost(text, *finding),
                },
                Kind::Layer => match LayerDocument::read(text, file) {
                    Ok(document) => {
                        let ministry = source.ministry().unwrap_or_default().to_owned();
                        documents.layers.push(Layer {
                            file,
                            ministry,
                            document,
                        });
                    }
                    Err(finding) => check.lost(text, *finding),
                },
            }
        }
        documents
    }

    /// The sections that stand once in a bundle.
    pub(super) fn head(&self, check: &mut Check<'_>) -> Option<Head> {
        if let Some((file, version)) = self.once(check, "version", |d| d.version.as_ref())
            && version.value != VERSION
        {
            let text = format!("version {} of the format is not known", version.value);
            let place = check.place(version, file);
            check.report(
                Diagnostic::error(Code::UnsupportedVersion, text)
                    .at(place)
                    .help("write `version: 1`"),
            );
        }
        let name = self.once(check, "name", |d| d.name.as_ref());
        let name = name.and_then(|(file, name)| check.id(name, file));
        let default = self.once(check, "default", |d| d.default.as_ref());
        let default = default.and_then(|(file, word)| check.permission(word, file));
        self.require(check);
        let ceiling = self.once(check, "derogation_ceiling", |d| {
            d.derogation_ceiling.as_ref()
        });
        let ceiling = ceiling.and_then(|(file, text)| check.length(text, file));
        let procedure = self.once(check, "derogation_procedure", |d| {
            d.derogation_procedure.as_ref()
        });
        let contact = self.once(check, "contact", |d| d.contact.as_ref());
        let tested_at = self.tested_at(check);
        Some(Head {
            name: name?,
            default: default?,
            ceiling,
            procedure: procedure.and_then(|(_, it)| super::values::procedure(&it.value)),
            contact: contact.map(|(_, it)| it.value.as_str().into()),
            tested_at,
        })
    }

    fn tested_at(&self, check: &mut Check<'_>) -> Timestamp {
        let day = self.once(check, "tested_at", |d| d.tested_at.as_ref());
        let moment = day.and_then(|(file, text)| check.date(text, file));
        if let (None, Some(test)) = (
            &day,
            self.tests().find(|test| test.it.given.value.at.is_none()),
        ) {
            let finding = Diagnostic::error(
                Code::MissingSection,
                "a test has no `at`, and the bundle no `tested_at`",
            )
            .at(test.place)
            .help("write `tested_at: YYYY-MM-DD` once, so that the tests mean the same every day");
            check.report(finding);
        }
        moment.map_or(Timestamp::UNIX_EPOCH, |moment| moment.start())
    }

    /// `version`, `name` and `default` must be there, unless a broken file may hold them.
    fn require(&self, check: &mut Check<'_>) {
        let some_file_is_lost = check
            .bundle
            .files()
            .iter()
            .filter(|file| file.kind() == Kind::National)
            .count()
            > self.national.len();
        if some_file_is_lost {
            return;
        }
        let file = check.bundle.position("policy.yaml").unwrap_or(0);
        let has =
            |get: fn(&Document) -> bool| self.national.iter().any(|(_, document)| get(document));
        for (there, section, help) in [
            (
                has(|d| d.version.is_some()),
                "version",
                "write `version: 1`",
            ),
            (
                has(|d| d.name.is_some()),
                "name",
                "give the policy a short name: `name: cloud-au-centre`",
            ),
            (
                has(|d| d.default.is_some()),
                "default",
                "say what happens to what no rule mentions: `default: allow` or `default: deny`",
            ),
        ] {
            if !there {
                let text = format!("the bundle has no `{section}`");
                let place = Place {
                    file,
                    line: 0,
                    column: 0,
                };
                check.report(
                    Diagnostic::error(Code::MissingSection, text)
                        .at(place)
                        .help(help),
                );
            }
        }
    }

    /// The one value of a section, and a finding for each further one.
    fn once<'d, T>(
        &'d self,
        check: &mut Check<'_>,
        section: &str,
        get: impl Fn(&'d Document) -> Option<&'d At<T>>,
    ) -> Option<(u32, &'d At<T>)> {
        let mut all = self
            .national
            .iter()
            .filter_map(|(file, document)| Some((*file, get(document)?)));
        let first = all.next()?;
        for (file, again) in all {
            let text = format!("`{section}` stands more than once in the bundle");
            let finding = Diagnostic::error(Code::DuplicateSection, text)
                .at(check.place(again, file))
                .label(check.place(first.1, first.0), "first here");
            check.report(finding);
        }
        Some(first)
    }

    /// Services: the nation's, then those of ministries.
    pub(super) fn services(&self) -> impl Iterator<Item = Written<'_, Service>> {
        self.with_layers(|d| d.services.as_deref(), |d| d.services.as_deref())
    }

    /// Rules: the nation's, then those of ministries.
    pub(super) fn rules(&self) -> impl Iterator<Item = Written<'_, Rule>> {
        self.with_layers(|d| d.rules.as_deref(), |d| d.rules.as_deref())
    }

    /// Tests: the nation's, then those of ministries.
    pub(super) fn tests(&self) -> impl Iterator<Item = Written<'_, Test>> {
        self.with_layers(|d| d.tests.as_deref(), |d| d.tests.as_deref())
    }

    /// Providers.
    pub(super) fn providers(&self) -> impl Iterator<Item = Written<'_, Provider>> {
        self.section(|d| d.providers.as_deref())
    }

    /// A section of national files.
    pub(super) fn section<'d, T: 'd>(
        &'d self,
        get: impl Fn(&'d Document) -> Option<&'d [At<T>]>,
    ) -> impl Iterator<Item = Written<'d, T>> {
        self.national.iter().flat_map(move |(file, document)| {
            get(document)
                .unwrap_or_default()
                .iter()
                .map(|it| written(it, *file, None))
        })
    }

    fn with_layers<'d, T: 'd>(
        &'d self,
        nation: impl Fn(&'d Document) -> Option<&'d [At<T>]>,
        layer: impl Fn(&'d LayerDocument) -> Option<&'d [At<T>]>,
    ) -> impl Iterator<Item = Written<'d, T>> {
        let layers = self.layers.iter().flat_map(move |it| {
            let items = layer(&it.document).unwrap_or_default();
            items
                .iter()
                .map(|item| written(item, it.file, Some(it.ministry.as_str())))
        });
        self.section(nation).chain(layers)
    }
}

fn written<'a, T>(it: &'a At<T>, file: u32, layer: Option<&'a str>) -> Written<'a, T> {
    Written {
        file,
        layer,
        it: &it.value,
        place: super::values::place(it, file),
    }
}

impl Check<'_> {
    fn readable(&mut self, file: u32) {
        let bundle = self.bundle;
        let Some(source) = bundle.files().get(file as usize) else {
            return;
        };
        let whole = Place {
            file,
            line: 0,
            column: 0,
        };
        if let Some(why) = source.unreadable() {
            self.report(
                Diagnostic::error(
                    Code::UnreadableFile,
                    format!("the file cannot be read: {why}"),
                )
                .at(whole),
            );
        }
        if let Some((line, column)) = source.not_utf8() {
            let finding = Diagnostic::error(Code::NotUtf8, "the file is not UTF-8 from here on")
                .at(Place { file, line, column })
                .help("save it as UTF-8");
            self.report(finding);
        }
    }

    fn ignored(&mut self, file: u32) {
        let finding = Diagnostic::warning(
            Code::IgnoredFile,
            "the file is not read: a bundle is made of `.yaml` files",
        )
        .at(Place {
            file,
            line: 0,
            column: 0,
        })
        .help("rename it to end in `.yaml`, or move it out of the bundle");
        self.report(finding);
    }

    /// Reports what broke a file and remembers the ids in it.
    fn lost(&mut self, text: &str, finding: Diagnostic) {
        self.report(finding);
        let ids = text.match_indices("id:").filter_map(|(at, key)| {
            let rest = text[at + key.len()..].trim_start_matches([' ', '"', '\'']);
            let end = rest
                .find(|c: char| !super::ids::is_id_char(c))
                .unwrap_or(rest.len());
            (end > 0).then(|| rest[..end].to_owned())
        });
        self.lost_ids.extend(ids);
    }

    /// The id that is a policy's name.
    fn id(&mut self, text: &Text, file: u32) -> Option<Id> {
        super::ids::read_id(self, text, file)
    }
}

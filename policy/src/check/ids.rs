//! Ids: who has which, and who is meant by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Check;
use super::documents::{Documents, Written};
use crate::bundle::yaml::{Text, Values};
use crate::catalogue::{
    CategoryIx, Id, MinistryIx, Place, ProviderIx, ReferenceIx, ServiceIx, WorkloadIx,
};
use crate::diagnostic::{Code, Diagnostic, suggest};

/// Letters of an id, which is a metric label and a word in a header.
const MAX_ID: usize = 64;

/// Whether `c` may stand in an id.
pub(super) fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Reads an id.
pub(super) fn read_id(check: &mut Check<'_>, text: &Text, file: u32) -> Option<Id> {
    let id = text.value.as_str();
    if (1..=MAX_ID).contains(&id.len()) && id.chars().all(is_id_char) {
        return Some(id.into());
    }
    let message = format!("`{id}` is not an id");
    let help = format!("1 to {MAX_ID} letters, digits, `-`, `_` or `.`");
    check.wrong(Code::InvalidId, message, text, file, help);
    None
}

/// The ids of one kind, in the order of the model's table.
pub(super) struct Table {
    /// `service`, `rule`, …
    noun: &'static str,
    /// The finding for an id that nobody has.
    unknown: Code,
    by_id: HashMap<Id, (u32, Place)>,
    next: u32,
}

impl Table {
    fn new(noun: &'static str, unknown: Code) -> Self {
        Self {
            noun,
            unknown,
            by_id: HashMap::new(),
            next: 0,
        }
    }

    /// Takes an id in; every call counts one place in the model's table, also for a bad id.
    fn insert(&mut self, check: &mut Check<'_>, text: &Text, file: u32) {
        let position = self.next;
        self.next += 1;
        let Some(id) = read_id(check, text, file) else {
            return;
        };
        let place = check.place(text, file);
        if let Some((_, first)) = self.by_id.get(&id) {
            let message = format!("the {} id `{id}` is given twice", self.noun);
            let finding = Diagnostic::error(Code::DuplicateId, message)
                .at(place)
                .label(*first, "first here");
            check.report(finding);
            return;
        }
        self.by_id.insert(id, (position, place));
    }

    /// The position of the one with this id, if there is one.
    pub(super) fn get(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).map(|(position, _)| *position)
    }

    /// The position of the one meant; a finding if there is none.
    pub(super) fn find(&self, check: &mut Check<'_>, text: &Text, file: u32) -> Option<u32> {
        let found = self.get(&text.value);
        if found.is_none() && !check.lost_ids.contains(&text.value) {
            let message = format!("there is no {} `{}`", self.noun, text.value);
            let finding = Diagnostic::error(self.unknown, message).at(check.place(text, file));
            let finding = match suggest::nearest(&text.value, self.by_id.keys().map(|id| &**id)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding,
            };
            check.report(finding);
        }
        found
    }

    /// The positions of all that are meant, sorted, each once.
    pub(super) fn find_all(&self, check: &mut Check<'_>, values: &Values, file: u32) -> Vec<u32> {
        let mut all: Vec<u32> = values
            .items
            .iter()
            .filter_map(|text| self.find(check, text, file))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// All ids of a bundle.
pub(super) struct Ids {
    pub(super) services: Table,
    pub(super) providers: Table,
    pub(super) references: Table,
    pub(super) ministries: Table,
    pub(super) rules: Table,
    pub(super) derogations: Table,
    /// Sorted, as in the model.
    pub(super) categories: Vec<Id>,
    /// Workloads by id, each with its ministry's position and its own.
    pub(super) workloads: BTreeMap<Id, Vec<(MinistryIx, WorkloadIx)>>,
    /// The workload of nobody's sources.
    pub(super) unassigned: WorkloadIx,
    /// Services of ministries' own files: whose they are.
    pub(super) local_services: BTreeMap<ServiceIx, MinistryIx>,
}

impl Ids {
    /// Collects every id; what is written twice or is no id is reported.
    pub(super) fn collect(check: &mut Check<'_>, documents: &Documents) -> Self {
        let mut ids = Self {
            services: Table::new("service", Code::UnknownService),
            providers: Table::new("provider", Code::UnknownProvider),
            references: Table::new("reference", Code::UnknownReference),
            ministries: Table::new("ministry", Code::UnknownMinistry),
            rules: Table::new("rule", Code::UnknownRule),
            derogations: Table::new("derogation", Code::UnknownDerogation),
            categories: Vec::new(),
            workloads: BTreeMap::new(),
            unassigned: WorkloadIx(0),
            local_services: BTreeMap::new(),
        };
        for (file, document) in &documents.national {
            for (id, _) in document
                .references
                .iter()
                .flat_map(|entries| &entries.items)
            {
                ids.references.insert(check, id, *file);
            }
        }
        for provider in documents.providers() {
            ids.providers.insert(check, &provider.it.id, provider.file);
        }
        for derogation in documents.section(|d| d.derogations.as_deref()) {
            ids.derogations
                .insert(check, &derogation.it.id, derogation.file);
        }
        for rule in documents.rules() {
            ids.rules.insert(check, &rule.it.id, rule.file);
        }
        ids.collect_people(check, documents);
        ids.collect_services(check, documents);
        ids
    }

    fn collect_people(&mut self, check: &mut Check<'_>, documents: &Documents) {
        let mut next = 0;
        for (position, ministry) in (0..).zip(documents.section(|d| d.ministries.as_deref())) {
            self.ministries
                .insert(check, &ministry.it.id, ministry.file);
            let mut table = Table::new("workload", Code::UnknownWorkload);
            for workload in ministry.it.workloads.iter().flatten() {
                table.insert(check, &workload.value.id, ministry.file);
                let id = Id::from(workload.value.id.value.as_str());
                self.workloads
                    .entry(id)
                    .or_default()
                    .push((MinistryIx(position), WorkloadIx(next)));
                next += 1;
            }
        }
        self.unassigned = WorkloadIx(next);
    }

    fn collect_services(&mut self, check: &mut Check<'_>, documents: &Documents) {
        let mut categories = BTreeSet::new();
        for (position, service) in (0..).zip(documents.services()) {
            self.services.insert(check, &service.it.id, service.file);
            if let Some(ministry) = self.layer_of(&service) {
                self.local_services.insert(ServiceIx(position), ministry);
            }
            let named = service.it.category.iter().flat_map(|values| &values.items);
            for category in named {
                categories.extend(read_id(check, category, service.file));
            }
        }
        // What a rule names stays a category, also where no service has it.
        for rule in documents.rules() {
            let unless = rule
                .it
                .unless
                .iter()
                .flatten()
                .map(|condition| &condition.value);
            for condition in std::iter::once(&rule.it.when.value).chain(unless) {
                let named = condition.category.iter().flat_map(|values| &values.items);
                categories.extend(named.map(|category| Id::from(category.value.as_str())));
            }
        }
        self.categories = categories.into_iter().collect();
    }

    /// The ministry whose own file something stands in.
    pub(super) fn layer_of<T>(&self, written: &Written<'_, T>) -> Option<MinistryIx> {
        written
            .layer
            .and_then(|ministry| self.ministries.get(ministry))
            .map(MinistryIx)
    }

    /// The category with this id; every one written has a position.
    pub(super) fn category(&self, id: &str) -> Option<CategoryIx> {
        let at = self
            .categories
            .binary_search_by(|category| (**category).cmp(id))
            .ok()?;
        u32::try_from(at).ok().map(CategoryIx)
    }

    /// The provider meant.
    pub(super) fn provider(
        &self,
        check: &mut Check<'_>,
        text: &Text,
        file: u32,
    ) -> Option<ProviderIx> {
        self.providers.find(check, text, file).map(ProviderIx)
    }

    /// The services meant, as seen from `layer`: another ministry's own names are not there.
    pub(super) fn services(
        &self,
        check: &mut Check<'_>,
        values: &Values,
        file: u32,
        layer: Option<MinistryIx>,
    ) -> Vec<ServiceIx> {
        let mut all = Vec::new();
        for text in &values.items {
            let Some(service) = self.services.find(check, text, file).map(ServiceIx) else {
                continue;
            };
            match self.local_services.get(&service) {
                Some(owner) if Some(*owner) != layer => {
                    let message =
                        format!("the service `{}` is known to one ministry only", text.value);
                    let help = "move it to a file that is not below `ministries/<id>/`";
                    check.wrong(Code::UnknownService, message, text, file, help);
                }
                _ => all.push(service),
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The workloads meant: `paie` in any of `ministries` (all if `None`), `interieur/paie`, `unassigned`.
    pub(super) fn workloads(
        &self,
        check: &mut Check<'_>,
        values: &Values,
        file: u32,
        ministries: Option<&[MinistryIx]>,
    ) -> Vec<WorkloadIx> {
        let mut all = Vec::new();
        for text in &values.items {
            let found = self.workloads_called(&text.value, ministries);
            if found.is_empty() && !check.lost_ids.contains(&text.value) {
                self.unknown_workload(check, text, file);
            }
            all.extend(found);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn workloads_called(&self, id: &str, ministries: Option<&[MinistryIx]>) -> Vec<WorkloadIx> {
        if id == "unassigned" {
            return vec![self.unassigned];
        }
        let (owner, id) = match id.split_once('/') {
            Some((ministry, id)) => match self.ministries.get(ministry) {
                Some(ministry) => (Some(MinistryIx(ministry)), id),
                None => return Vec::new(),
            },
            None => (None, id),
        };
        let named = self.workloads.get(id).into_iter().flatten();
        named
            .filter(|(ministry, _)| owner.is_none_or(|owner| owner == *ministry))
            .filter(|(ministry, _)| ministries.is_none_or(|all| all.contains(ministry)))
            .map(|(_, workload)| *workload)
            .collect()
    }

    fn unknown_workload(&self, check: &mut Check<'_>, text: &Text, file: u32) {
        let message = format!("there is no workload `{}`", text.value);
        let finding = Diagnostic::error(Code::UnknownWorkload, message).at(check.place(text, file));
        let near = suggest::nearest(&text.value, self.workloads.keys().map(|id| &**id));
        let finding = match near {
            Some(near) if near == text.value => {
                finding.help("the ministry named here has none of that name")
            }
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding,
        };
        check.report(finding);
    }

    /// The references meant.
    pub(super) fn references(
        &self,
        check: &mut Check<'_>,
        values: &Values,
        file: u32,
    ) -> Vec<ReferenceIx> {
        self.references
            .find_all(check, values, file)
            .into_iter()
            .map(ReferenceIx)
            .collect()
    }

    /// The ministries meant.
    pub(super) fn ministries(
        &self,
        check: &mut Check<'_>,
        values: &Values,
        file: u32,
    ) -> Vec<MinistryIx> {
        self.ministries
            .find_all(check, values, file)
            .into_iter()
            .map(MinistryIx)
            .collect()
    }
}

/// The rule or derogation that a test names.
pub(super) fn named(
    check: &mut Check<'_>,
    table: &Table,
    text: Option<&Text>,
    file: u32,
) -> Option<Id> {
    let text = text?;
    table.find(check, text, file);
    Some(text.value.as_str().into())
}

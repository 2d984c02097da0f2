//! What a bundle means once every name in it has been resolved: tables that point at each other.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::catalogue::{
    Id, ListIx, Localised, MinistryIx, Place, Provider, ProviderIx, Role, Service, ServiceIx,
};
use crate::ministry::{Ministry, Permission, Workload};
use crate::pattern::Pattern;
use crate::rule::{Derogation, Reference, Rule};
use crate::suite::Case;

/// A checked bundle. Every index points into the table of its kind; made by [`check`](crate::check::check).
#[derive(Clone, Debug)]
pub struct Model {
    /// The policy's name.
    pub name: Id,
    /// SHA-256 over the bundle's files, in lower-case hexadecimal.
    pub digest: Arc<str>,
    /// Paths of the bundle's files below its root: what [`crate::catalogue::Place::file`] points at.
    pub files: Vec<Arc<str>>,
    /// What happens to what no rule mentions, where neither workload nor ministry says.
    pub default: Permission,
    /// How to ask for a derogation.
    pub procedure: Option<Localised>,
    /// Whom to ask where a ministry names nobody.
    pub contact: Option<Arc<str>>,
    /// Category ids, sorted.
    pub categories: Vec<Id>,
    /// The catalogue's services; ministries' extra names at the end.
    pub services: Vec<Service>,
    /// The catalogue's providers.
    pub providers: Vec<Provider>,
    /// Legal texts.
    pub references: Vec<Reference>,
    /// Rules of every layer.
    pub rules: Vec<Rule>,
    /// Ministries.
    pub ministries: Vec<Ministry>,
    /// Their workloads, and last the one for nobody's sources ([`Model::unassigned`]).
    pub workloads: Vec<Workload>,
    /// Derogations.
    pub derogations: Vec<Derogation>,
    /// Lists: first those that rules use, their inline names and addresses included, then the files that only services and
    /// providers use.
    pub lists: Vec<List>,
    /// Names that classify, each with its owner.
    pub names: Vec<(Pattern, NameOwner)>,
    /// Address ranges that classify, each with its owner.
    pub addresses: Vec<(IpNet, AddressOwner)>,
    /// Names in lists that rules use.
    pub listed_names: Vec<(Pattern, ListIx)>,
    /// Address ranges in lists that rules use.
    pub listed_addresses: Vec<(IpNet, ListIx)>,
    /// Names that only one ministry has classified.
    pub local_names: Vec<(Pattern, MinistryIx, ServiceIx)>,
    /// The instant at which tests without `at` run.
    pub tested_at: Timestamp,
    /// The bundle's own tests.
    pub tests: Vec<Case>,
}

impl Model {
    /// The workload of nobody's sources: always the last one.
    #[must_use]
    pub fn unassigned(&self) -> &Workload {
        &self.workloads[self.workloads.len() - 1]
    }

    /// `path:line` of a place, as people read it.
    #[must_use]
    pub fn place(&self, place: Place) -> String {
        let file = self
            .files
            .get(place.file as usize)
            .map_or("?", |path| &**path);
        match place.line {
            0 => file.to_owned(),
            line => format!("{file}:{line}"),
        }
    }
}

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameOwner {
    /// A listed service's own name.
    Service(ServiceIx),
    /// A provider's suffix.
    Provider(ProviderIx, Role),
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressOwner {
    /// A listed service's own range.
    Service(ServiceIx),
    /// A provider's range.
    Provider(ProviderIx, Role),
}

/// A list of names or addresses that came from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its path below the bundle, or `RULE#domains` for what a rule holds itself.
    pub id: Id,
    /// How many entries it has.
    pub entries: usize,
}

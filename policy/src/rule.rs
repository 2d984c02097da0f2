//! What the policy says: rules, derogations and the texts they rest on.

use std::sync::Arc;

use crate::catalogue::{
    CategoryIx, Country, Id, ListIx, Localised, MinistryIx, Operator, Place, ProviderIx,
    ReferenceIx, ServiceIx, WorkloadIx,
};
use crate::ministry::{PortSet, Sensitivity};
use crate::validity::Validity;

/// A rule: when its condition matches a piece of evidence, its effect applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id, a metric label.
    pub id: Id,
    /// What it does.
    pub effect: Effect,
    /// Whether traffic follows it.
    pub mode: Mode,
    /// When it matches.
    pub when: Condition,
    /// What exempts: any one condition that matches.
    pub unless: Vec<Condition>,
    /// The texts it rests on.
    pub references: Vec<ReferenceIx>,
    /// Why, told to people.
    pub reason: Option<Localised>,
    /// The ministry whose own rule it is; `None` = national.
    pub layer: Option<MinistryIx>,
    /// Where it is written.
    pub place: Place,
}

/// What a rule does to evidence that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Denies the whole flow; nothing lifts it.
    Block,
    /// Forbids; a derogation may lift it.
    Deny,
    /// Permits what is asked for, where nothing forbids.
    Allow,
}

impl Effect {
    /// As written in a bundle.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Block => "block",
            Effect::Deny => "deny",
            Effect::Allow => "allow",
        }
    }
}

/// Whether traffic follows a rule, or it is only looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Traffic follows it.
    #[default]
    Enforce,
    /// Traffic ignores it; what it would have denied is recorded.
    Observe,
}

/// Keys that must all match (a key with several values matches any of them). An absent key matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Whose flow it is.
    pub ministries: Option<Vec<MinistryIx>>,
    /// Which workload's flow it is.
    pub workloads: Option<Vec<WorkloadIx>>,
    /// How sensitive the workload is.
    pub sensitivities: Option<Vec<Sensitivity>>,
    /// Which service the evidence belongs to.
    pub services: Option<Vec<ServiceIx>>,
    /// What kind of service it is.
    pub categories: Option<Vec<CategoryIx>>,
    /// Which provider stands behind.
    pub providers: Option<Vec<ProviderIx>>,
    /// Which law the provider answers to.
    pub jurisdictions: Option<Vec<Country>>,
    /// Under which scheme the service is qualified.
    pub qualifications: Option<Vec<Id>>,
    /// Who runs the service.
    pub operators: Option<Vec<Operator>>,
    /// Lists that hold the name or address (`domains`, `domains_from`, `addresses`, `addresses_from` together).
    pub lists: Option<Vec<ListIx>>,
    /// Ports of the flow.
    pub ports: Option<PortSet>,
    /// Provider keys reach CDNs found behind a name.
    pub fronts: bool,
}

/// A legal text or note that a rule rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its id.
    pub id: Id,
    /// Its title.
    pub title: Localised,
    /// Where it can be read.
    pub url: Option<Arc<str>>,
    /// When it is in force.
    pub validity: Validity,
    /// Where it is written.
    pub place: Place,
}

/// A dated permission for one ministry, with the approver's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derogation {
    /// Its id, a metric label.
    pub id: Id,
    /// Whose it is.
    pub ministry: MinistryIx,
    /// For which of its workloads; never empty.
    pub workloads: Vec<WorkloadIx>,
    /// The services it lifts.
    pub services: Vec<ServiceIx>,
    /// Everything those services require, transitively, themselves included; sorted.
    pub closure: Vec<ServiceIx>,
    /// Ports it opens beyond the workload's `connect_ports`.
    pub ports: Option<PortSet>,
    /// When it is in force.
    pub validity: Validity,
    /// Who approved it.
    pub approved_by: Arc<str>,
    /// The decision's reference.
    pub reference: Option<Arc<str>>,
    /// The ticket.
    pub ticket: Option<Arc<str>>,
    /// Where it is written.
    pub place: Place,
}

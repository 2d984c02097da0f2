//! A policy: a model compiled for judging, immutable once made.

use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::{
    CategoryIx, Country, DerogationIx, Id, ListIx, MinistryIx, Provider, RuleIx, Service,
    ServiceIx, WorkloadIx,
};
use crate::decision::Class;
use crate::matcher::{AddressMatcher, NameMatcher};
use crate::ministry::Workload;
use crate::model::{AddressOwner, Model, NameOwner};
use crate::rule::{Derogation, Rule};

/// A compiled bundle that answers questions; share it behind an `Arc` and swap it whole.
///
/// Judging reads no clock, takes no lock and looks nothing up elsewhere: the same question at the same
/// instant has the same answer for ever.
#[derive(Debug)]
pub struct Policy {
    model: Model,
    pub(crate) names: NameMatcher<NameOwner>,
    pub(crate) addresses: AddressMatcher<AddressOwner>,
    pub(crate) listed_names: NameMatcher<ListIx>,
    pub(crate) listed_addresses: AddressMatcher<ListIx>,
    pub(crate) local_names: NameMatcher<(MinistryIx, ServiceIx)>,
    pub(crate) sources: AddressMatcher<(WorkloadIx, u8)>,
    /// Workloads told by their certificate without a source network.
    pub(crate) certified: Vec<WorkloadIx>,
    /// Workloads told by their listener alone.
    pub(crate) listening: Vec<WorkloadIx>,
    /// All that a service requires, transitively, itself included; sorted.
    pub(crate) closures: Vec<Vec<ServiceIx>>,
    /// Whether a ministry has files of its own.
    pub(crate) layered: Vec<bool>,
    /// The categories with a meaning of their own, where the bundle uses them.
    pub(crate) infrastructure: Option<CategoryIx>,
    pub(crate) platform_categories: Vec<CategoryIx>,
}

/// Names of services that keep machines alive: judged only by rules that name them.
pub const INFRASTRUCTURE: &str = "infrastructure";
/// Categories that platform suffixes and ranges count as; they match asked-for evidence only.
pub const PLATFORM_CATEGORIES: [&str; 2] = ["iaas", "paas"];

impl Policy {
    /// Compiles a model. The model's lists move into the matchers.
    #[must_use]
    pub fn compile(mut model: Model) -> Self {
        let sources = sources(&model);
        let alone = |workload: &Workload| workload.sources.is_empty();
        let certified = select(&model, |w| alone(w) && !w.certificates.is_empty());
        let listening = select(&model, |w| {
            alone(w) && w.certificates.is_empty() && !w.listeners.is_empty()
        });
        let local_names = std::mem::take(&mut model.local_names)
            .into_iter()
            .map(|(pattern, ministry, service)| (pattern, (ministry, service)));
        let category = |name: &str| {
            let at = model.categories.iter().position(|id| &**id == name)?;
            Some(CategoryIx(u32::try_from(at).ok()?))
        };
        Self {
            infrastructure: category(INFRASTRUCTURE),
            platform_categories: PLATFORM_CATEGORIES
                .into_iter()
                .filter_map(category)
                .collect(),
            names: NameMatcher::new(std::mem::take(&mut model.names)),
            addresses: AddressMatcher::new(std::mem::take(&mut model.addresses)),
            listed_names: NameMatcher::new(std::mem::take(&mut model.listed_names)),
            listed_addresses: AddressMatcher::new(std::mem::take(&mut model.listed_addresses)),
            local_names: NameMatcher::new(local_names),
            sources: AddressMatcher::new(sources),
            certified,
            listening,
            closures: closures(&model.services),
            layered: layered(&model),
            model,
        }
    }

    /// The model it was compiled from, without the lists.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Id {
        &self.model.name
    }

    /// SHA-256 of the bundle it was made from, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.model.digest
    }

    /// The first instant after `after` at which an answer may change because a date passes: a
    /// derogation, a qualification or a `hosted_on` begins or ends. Until then the same question
    /// has the same verdict. (References have dates too, but no verdict rests on them.)
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let derogations = self.model.derogations.iter().map(|d| d.validity);
        let services = self.model.services.iter().flat_map(|service| {
            let qualifications = service.qualifications.iter().map(|q| q.validity);
            qualifications.chain(service.hosted_on.iter().map(|host| host.validity))
        });
        derogations
            .chain(services)
            .filter_map(|validity| validity.next_change(after))
            .min()
    }

    /// The service at an index that this policy gave out.
    #[must_use]
    pub fn service(&self, service: ServiceIx) -> &Service {
        &self.model.services[service.at()]
    }

    /// The provider at an index that this policy gave out.
    #[must_use]
    pub fn provider(&self, provider: crate::catalogue::ProviderIx) -> &Provider {
        &self.model.providers[provider.at()]
    }

    /// The rule at an index that this policy gave out.
    #[must_use]
    pub fn rule(&self, rule: RuleIx) -> &Rule {
        &self.model.rules[rule.at()]
    }

    /// The workload at an index that this policy gave out.
    #[must_use]
    pub fn workload(&self, workload: WorkloadIx) -> &Workload {
        &self.model.workloads[workload.at()]
    }

    /// The workload called so by its ministry; `unassigned` is the workload of nobody's sources.
    #[must_use]
    pub fn workload_called(&self, ministry: &str, workload: &str) -> Option<WorkloadIx> {
        let called =
            |it: &Workload| *it.id == *workload && self.ministry_id(it.ministry) == ministry;
        let found = self.model.workloads.iter().position(called)?;
        u32::try_from(found).ok().map(WorkloadIx)
    }

    /// The derogation at an index that this policy gave out.
    #[must_use]
    pub fn derogation(&self, derogation: DerogationIx) -> &Derogation {
        &self.model.derogations[derogation.at()]
    }

    /// The id of a ministry for labels and logs: `unassigned` for nobody's.
    #[must_use]
    pub fn ministry_id(&self, ministry: Option<MinistryIx>) -> &str {
        ministry.map_or("unassigned", |m| &self.model.ministries[m.at()].id)
    }

    /// The law that a class of evidence answers to: its provider's, else its service's country.
    #[must_use]
    pub fn jurisdiction(&self, class: &Class) -> Option<Country> {
        let provider = class.provider.and_then(|p| self.provider(p).jurisdiction);
        provider.or_else(|| self.service(class.service?).country)
    }

    pub(crate) fn unassigned(&self) -> WorkloadIx {
        WorkloadIx(u32::try_from(self.model.workloads.len() - 1).unwrap_or(u32::MAX))
    }
}

fn sources(model: &Model) -> Vec<(ipnet::IpNet, (WorkloadIx, u8))> {
    indexed(&model.workloads)
        .flat_map(|(ix, workload)| {
            let own = workload.sources.iter();
            own.map(move |&net| (net, (WorkloadIx(ix), net.prefix_len())))
        })
        .collect()
}

fn select(model: &Model, told: impl Fn(&Workload) -> bool) -> Vec<WorkloadIx> {
    indexed(&model.workloads)
        .filter(|(_, workload)| told(workload))
        .map(|(ix, _)| WorkloadIx(ix))
        .collect()
}

fn closures(services: &[Service]) -> Vec<Vec<ServiceIx>> {
    indexed(services)
        .map(|(ix, _)| requirements(services, &[ServiceIx(ix)]))
        .collect()
}

/// Everything that `services` require, transitively, themselves included; sorted. Cycles are fine.
#[must_use]
pub fn requirements(all: &[Service], services: &[ServiceIx]) -> Vec<ServiceIx> {
    let mut found = services.to_vec();
    let mut next = 0;
    while let Some(&service) = found.get(next) {
        next += 1;
        for &required in &all[service.at()].requires {
            if !found.contains(&required) {
                found.push(required);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn layered(model: &Model) -> Vec<bool> {
    indexed(&model.ministries)
        .map(|(ix, ministry)| {
            let own = Some(MinistryIx(ix));
            ministry.layer != crate::ministry::Layer::default()
                || model.rules.iter().any(|rule| rule.layer == own)
                || model.services.iter().any(|service| service.layer == own)
        })
        .collect()
}

fn indexed<T>(items: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (0u32..).zip(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use crate::check::check;

    /// Every kind of date that a verdict rests on, and a reference, on which none does.
    const DATED: &str = "
version: 1
name: dated
default: allow
references:
  r9: { title: { fr: R9, en: R9 }, from: 2026-01-15 }
rules:
  - { id: no-mail, effect: deny, when: { category: messaging }, unless: [ { qualification: secnumcloud } ], references: [r9] }
services:
  - id: mail
    name: Mail
    category: [messaging]
    domains: [.mail.example]
    hosted_on: [ { provider: cloud, since: 2026-02-01, until: 2026-11-30, accepted_by: A, reference: B } ]
  - id: post
    name: Post
    category: [messaging]
    domains: [.post.example]
    qualification: [ { scheme: secnumcloud, since: 2026-03-01, until: 2026-10-31, checked: 2026-03-01, source: 'https://list.example' } ]
providers:
  - { id: cloud, name: Cloud, suffixes: [ { names: [cloud.example] } ] }
ministries:
  - id: culture
    name: Culture
    workloads: [ { id: office, sensitivity: standard, sources: [192.0.2.0/26] } ]
derogations:
  - { id: D-1, ministry: culture, services: [mail], from: 2026-04-01, until: '2026-09-30T10:00:00Z', approved_by: A, reference: B }
tested_at: 2026-05-01
";

    #[test]
    fn every_date_that_a_verdict_rests_on_is_a_change() {
        let bundle = Bundle::from_files([("policy.yaml".to_owned(), DATED.into())]).unwrap();
        let checked = check(&bundle, None);
        let policy = Policy::compile(checked.model.unwrap());
        let mut changes = Vec::new();
        let mut after: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        while let Some(change) = policy.next_change(after) {
            changes.push(change.to_string());
            after = change;
        }
        let expected = [
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
            "2026-04-01T00:00:00Z",
            "2026-09-30T10:00:00Z",
            "2026-11-01T00:00:00Z",
            "2026-12-01T00:00:00Z",
        ];
        assert_eq!(changes, expected);
    }
}

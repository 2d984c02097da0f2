//! The policy in force for the console: what `/-/policy` tells, with names, services and texts beside the ids.

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::WorkloadIx;
use octroi_policy::ministry::Ministry;
use octroi_policy::model::Model;
use octroi_policy::rule::{Derogation, Reference, Rule};
use serde::Serialize;

use super::names::{Both, Named};
use crate::admin::answer::Answer;
use crate::admin::policy::{Told, ToldDerogation, ToldRule, apart, derogation, rows, rule, told};
use crate::reload::{Handle, Status};

#[derive(Serialize)]
struct More<'a> {
    #[serde(flatten)]
    told: Told<'a, MoreOfRule<'a>, MoreOfDerogation<'a>>,
    references: Vec<ToldReference<'a>>,
    ministries: Vec<ToldMinistry<'a>>,
    /// All that the catalogue lists.
    services: Vec<ToldService<'a>>,
}

#[derive(Serialize)]
struct MoreOfRule<'a> {
    #[serde(flatten)]
    told: ToldRule<'a>,
    ministry_name: Option<Both<'a>>,
    reason: Option<Both<'a>>,
    /// Ids of the texts that it rests on.
    references: Vec<&'a str>,
}

#[derive(Serialize)]
struct MoreOfDerogation<'a> {
    #[serde(flatten)]
    told: ToldDerogation<'a>,
    ministry_name: Both<'a>,
    workloads: Vec<&'a str>,
    services: Vec<Named<'a, &'a str>>,
    approved_by: &'a str,
    reference: Option<&'a str>,
    ticket: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldReference<'a> {
    id: &'a str,
    title: Both<'a>,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldMinistry<'a> {
    id: &'a str,
    name: Both<'a>,
    contact: Option<&'a str>,
    workloads: Vec<ToldWorkload<'a>>,
}

#[derive(Serialize)]
struct ToldWorkload<'a> {
    id: &'a str,
    name: Option<Both<'a>>,
    sensitivity: &'static str,
}

#[derive(Serialize)]
struct ToldService<'a> {
    id: &'a str,
    name: &'a str,
    provider: Option<&'a str>,
}

/// Everything, on a thread of its own.
pub(in crate::admin) async fn tell(handle: &Handle) -> Answer {
    apart(handle, json).await
}

fn json(handle: &Handle, policy: &Policy, status: &Status, now: Timestamp) -> Vec<u8> {
    let model = policy.model();
    let of_rule = |it| more_of_rule(it, model);
    let of_derogation = |it| more_of_derogation(it, model, now);
    let provider = |ix: octroi_policy::catalogue::ProviderIx| &*model.providers[ix.at()].id;
    let more = More {
        told: told(handle, (policy, status), now, of_rule, of_derogation),
        references: rows(&model.references, reference),
        ministries: ministries(model),
        services: rows(&model.services, |it| ToldService {
            id: &it.id,
            name: &it.name,
            provider: it.provider.map(provider),
        }),
    };
    serde_json::to_vec(&more).unwrap_or_default()
}

fn more_of_rule<'a>(it: &'a Rule, model: &'a Model) -> MoreOfRule<'a> {
    let references = it.references.iter();
    MoreOfRule {
        told: rule(it, model),
        ministry_name: it
            .layer
            .map(|ix| Both::from(&model.ministries[ix.at()].name)),
        reason: it.reason.as_ref().map(Both::from),
        references: references
            .map(|ix| &*model.references[ix.at()].id)
            .collect(),
    }
}

fn more_of_derogation<'a>(
    it: &'a Derogation,
    model: &'a Model,
    now: Timestamp,
) -> MoreOfDerogation<'a> {
    let workload = |ix: &WorkloadIx| &*model.workloads[ix.at()].id;
    let services = it.services.iter().map(|ix| &model.services[ix.at()]);
    MoreOfDerogation {
        told: derogation(it, model, now),
        ministry_name: Both::from(&model.ministries[it.ministry.at()].name),
        workloads: it.workloads.iter().map(workload).collect(),
        services: services
            .map(|service| Named {
                id: &service.id,
                name: Some(&*service.name),
            })
            .collect(),
        approved_by: &it.approved_by,
        reference: it.reference.as_deref(),
        ticket: it.ticket.as_deref(),
    }
}

fn reference(it: &Reference) -> ToldReference<'_> {
    ToldReference {
        id: &it.id,
        title: Both::from(&it.title),
        url: it.url.as_deref(),
    }
}

fn ministries(model: &Model) -> Vec<ToldMinistry<'_>> {
    let mut ministries = rows(&model.ministries, |it: &Ministry| ToldMinistry {
        id: &it.id,
        name: Both::from(&it.name),
        contact: it.contact.as_deref(),
        workloads: Vec::new(),
    });
    for workload in &model.workloads {
        let own = workload.ministry.and_then(|ix| ministries.get_mut(ix.at()));
        if let Some(own) = own {
            own.workloads.push(ToldWorkload {
                id: &workload.id,
                name: workload.name.as_ref().map(Both::from),
                sensitivity: workload.sensitivity.as_str(),
            });
        }
    }
    ministries
}

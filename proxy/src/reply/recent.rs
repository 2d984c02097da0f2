//! What the self-service page says: the refusals of one source, in the terms of the policy in force.

use std::net::IpAddr;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::{Language, Localised};
use octroi_policy::decision::Who;

use super::Refusal;
use super::refusal::{Told, contact};
use crate::refusals::Kept;

/// The refusals of one source.
#[derive(Debug)]
pub struct Recent<'a> {
    /// The source, as the gate sees it.
    pub source: IpAddr,
    /// When it is read.
    pub now: Timestamp,
    /// The last one first.
    pub refusals: Vec<Recalled<'a>>,
    /// The ministry of the source; `None` = nobody's machine.
    pub ministry: Option<&'a Localised>,
    /// How to ask for a derogation.
    pub procedure: Option<&'a Localised>,
    /// Whom to ask.
    pub contact: Option<&'a str>,
}

/// One of them.
#[derive(Debug)]
pub struct Recalled<'a> {
    /// When it was, the last time.
    pub at: Timestamp,
    /// How often it was.
    pub times: u32,
    /// What it says.
    pub refusal: Refusal<'a>,
}

impl<'a> Recent<'a> {
    /// Tells `kept` in the terms of `policy` to `who` asks from `source`; `told` are their texts.
    #[must_use]
    pub fn new(
        policy: &'a Policy,
        source: IpAddr,
        who: &Who,
        kept: &'a [(Kept, Told)],
        now: Timestamp,
        language: Language,
    ) -> Self {
        let model = policy.model();
        let ministry = who.ministry.map(|m| &model.ministries[m.at()]);
        let refusals = kept.iter().map(|(kept, told)| Recalled {
            at: kept.at,
            times: kept.times,
            refusal: Refusal::recalled(policy, kept, told, who, now, language),
        });
        Self {
            source,
            now,
            refusals: refusals.collect(),
            ministry: ministry.map(|m| &m.name),
            procedure: model.procedure.as_ref(),
            contact: contact(policy, who),
        }
    }
}

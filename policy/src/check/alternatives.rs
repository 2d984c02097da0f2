//! Alternatives that nobody may use: what only the compiled policy can tell.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::catalogue::{ServiceIx, WorkloadIx};
use crate::decision::Verdict;
use crate::diagnostic::{Code, Diagnostic, Findings};
use crate::policy::Policy;

/// Adds a warning for each alternative that is refused to every workload of a ministry at `at`: it is
/// recommended, and shown to nobody.
pub(super) fn denied_alternatives(policy: &Policy, at: Timestamp, findings: &mut Findings) {
    let model = policy.model();
    let workloads: Vec<WorkloadIx> = (0..)
        .map(WorkloadIx)
        .zip(&model.workloads)
        .filter(|(_, workload)| workload.ministry.is_some())
        .map(|(position, _)| position)
        .collect();
    if workloads.is_empty() {
        return;
    }
    let mut known: BTreeMap<ServiceIx, bool> = BTreeMap::new();
    for service in &model.services {
        for &alternative in &service.alternatives {
            let denied = *known.entry(alternative).or_insert_with(|| {
                workloads
                    .iter()
                    .all(|&workload| policy.permits(workload, alternative, at) == Verdict::Deny)
            });
            if denied {
                let id = &policy.service(alternative).id;
                let message = format!(
                    "the alternative `{id}` of `{}` is refused to every workload",
                    service.id
                );
                let finding = Diagnostic::warning(Code::AlternativeDenied, message)
                    .at(service.place)
                    .help("nobody is shown it: name one that may be used");
                findings.push(finding);
            }
        }
    }
    findings.sort();
}

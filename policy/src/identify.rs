//! The first question, *who*: source address, client certificate and listener to workloads.

use std::net::IpAddr;

use crate::catalogue::WorkloadIx;
use crate::decision::Who;
use crate::flow::Source;
use crate::ministry::Workload;
use crate::policy::Policy;

impl Policy {
    /// Whose flow it is.
    ///
    /// Among the workloads whose every declared kind of selector matches, the longest source prefix
    /// wins, and at equal length the one that declares more kinds. A workload told by its certificate alone stands beside the one told by the address: where
    /// they differ, both are judged and the strictest wins. Workloads told by their listener alone serve
    /// those whom neither address nor certificate tells. Everybody else is unassigned.
    #[must_use]
    pub fn identify(&self, source: &Source) -> Who {
        let mut workloads = self.by_address(source);
        for workload in self.by_certificate(source) {
            if !workloads.contains(&workload) {
                workloads.push(workload);
            }
        }
        if workloads.is_empty() {
            workloads.extend(self.by_listener(source));
        }
        if workloads.is_empty() {
            workloads.push(self.unassigned());
        }
        let ministry = self.workload(workloads[0]).ministry;
        Who {
            workloads,
            ministry,
        }
    }

    /// Whether all of `who` leave a captured connection to go where it was on its way to, whatever we find behind the
    /// name that it presents.
    #[must_use]
    pub fn trusts_original(&self, who: &Who, original: IpAddr) -> bool {
        let original = original.to_canonical();
        let trusts = |workload: &Workload| {
            let mut ranges = workload.trust_original.iter();
            ranges.any(|range| range.contains(&original))
        };
        who.workloads.iter().all(|&it| trusts(self.workload(it)))
    }

    fn by_address(&self, source: &Source) -> Vec<WorkloadIx> {
        let mut best = None;
        let mut found = Vec::new();
        self.sources.all(source.address, &mut |(workload, length): (
            WorkloadIx,
            u8,
        )| {
            let candidate = self.workload(workload);
            let rank = (length, kinds_beside_sources(candidate));
            if best.is_some_and(|best| rank < best) || !told_by_rest(candidate, source) {
                return;
            }
            if best != Some(rank) {
                best = Some(rank);
                found.clear();
            }
            if !found.contains(&workload) {
                found.push(workload);
            }
        });
        found.sort_unstable();
        found
    }

    fn by_certificate(&self, source: &Source) -> impl Iterator<Item = WorkloadIx> {
        self.certified.iter().copied().filter(|&workload| {
            !source.certificate.is_empty() && told_by_rest(self.workload(workload), source)
        })
    }

    fn by_listener(&self, source: &Source) -> impl Iterator<Item = WorkloadIx> {
        self.listening
            .iter()
            .copied()
            .filter(|&workload| told_by_rest(self.workload(workload), source))
    }
}

fn kinds_beside_sources(workload: &Workload) -> usize {
    usize::from(!workload.certificates.is_empty()) + usize::from(!workload.listeners.is_empty())
}

/// Whether every selector but the source networks matches.
fn told_by_rest(workload: &Workload, source: &Source) -> bool {
    let certificate = workload.certificates.is_empty()
        || workload
            .certificates
            .iter()
            .any(|pattern| source.certificate.iter().any(|name| pattern.matches(name)));
    let listener = workload.listeners.is_empty()
        || source
            .listener
            .as_ref()
            .is_some_and(|listener| workload.listeners.contains(listener));
    certificate && listener
}

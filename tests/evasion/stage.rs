//! A world for one group of cases, which are played in it one after the other.

use std::time::Duration;

use tempfile::TempDir;

use super::case::{Case, Record};
use super::comes_true;
use super::internet::{Came, Internet, network};
use super::judge::Left;
use super::octroi::{Counts, DNS, GATE, Octroi};
use super::play::play;
use crate::harness::dns::Dns;
use crate::harness::scrape::Line;
use crate::harness::turn::Together;

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Namespace, resolver, origins and gate. Every counter that moves, every line of the log and every
/// connection to an origin belongs to one of its cases, or is a fault.
struct Stage {
    gate: Octroi,
    internet: Internet,
    dns: Dns,
    counts: Counts,
    /// Every connection to an origin, as it was judged.
    came: Vec<Came>,
    _dir: TempDir,
    _turn: Together,
}

/// Plays a group; the names of those cases that failed, and why.
pub(super) fn play_all(cases: &[Case]) -> Vec<String> {
    network().inside(|| Stage::start().play_all(cases))
}

impl Stage {
    fn start() -> Self {
        let turn = Together::take();
        let dir = tempfile::tempdir().unwrap();
        let (internet, dns) = (Internet::start(), Dns::start(DNS));
        let gate = Octroi::start(dir.path());
        Self {
            counts: gate.counts(),
            gate,
            internet,
            dns,
            came: Vec::new(),
            _dir: dir,
            _turn: turn,
        }
    }

    fn play_all(mut self, cases: &[Case]) -> Vec<String> {
        let mut failed = Vec::new();
        for case in cases {
            let left = self.play(case);
            let faults = case.faults(&left);
            if !faults.is_empty() {
                failed.push(format!("{}\n    {}", case.name, faults.join("\n    ")));
            }
        }
        failed.extend(self.end());
        failed
    }

    fn play(&mut self, case: &Case) -> Left {
        publish(&self.dns, case);
        for (address, behaviour) in &case.origins {
            self.internet.behave(*address, behaviour.clone());
        }
        let heard = play(case, case.cast.source(case.who), GATE);
        let lines = self.lines(case.lines());
        let came = self.came(case.expect.origins.len());
        let before = std::mem::replace(&mut self.counts, self.gate.counts());
        let asked = case
            .expect
            .unasked
            .iter()
            .filter(|name| self.dns.asked(name) > 0);
        let asked = asked.cloned().collect();
        Left {
            heard,
            came,
            before,
            after: self.counts.clone(),
            lines,
            asked,
        }
    }

    /// The lines since the last case, once there are so many.
    fn lines(&mut self, count: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        comes_true(PATIENCE, || {
            lines.extend(self.gate.lines());
            lines.len() >= count
        });
        lines
    }

    /// What came to origins since the last case, once so many connections came and are over.
    fn came(&mut self, count: usize) -> Vec<Came> {
        let so_far = self.came.len();
        comes_true(PATIENCE, || self.internet.count() >= so_far + count);
        comes_true(PATIENCE, || self.internet.is_quiet(so_far));
        let came = self.internet.since(so_far);
        self.came.extend(came.iter().cloned());
        came
    }

    /// Ends the gate: nothing is left to write, and nobody came since.
    fn end(mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.gate.is_running() {
            faults.push("the gate did not live to the end".to_owned());
        }
        let lines = self.gate.stop();
        if !lines.is_empty() {
            faults.push(format!("lines that no case accounts for: {lines:?}"));
        }
        let came = self.internet.since(0);
        let bytes =
            |all: &[Came]| -> Vec<Vec<u8>> { all.iter().map(|came| came.bytes.clone()).collect() };
        if bytes(&came) != bytes(&self.came) {
            faults.push("origins saw more than was accounted for, later".to_owned());
        }
        faults
    }
}

/// Makes the names of a case known.
pub(super) fn publish(dns: &Dns, case: &Case) {
    case.cast.publish(dns);
    for (name, record) in &case.zone {
        match record {
            Record::At(addresses) => dns.name(name, addresses),
            Record::Alias(of) => dns.alias(name, of),
            Record::Wrong(fault) => dns.fault(name, *fault),
            Record::Forged(forgery) => dns.forge(name, forgery.clone()),
        };
    }
}

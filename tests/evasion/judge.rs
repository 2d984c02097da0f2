//! Whether a case came out as it must: origins, client, counters, log.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::case::Case;
use super::flow::Flow;
use super::internet::Came;
use super::octroi::{Counts, series};
use super::play::Heard;
use crate::harness::scrape::Line;

/// What a case left behind.
pub(super) struct Left {
    pub(super) heard: Heard,
    pub(super) came: Vec<Came>,
    pub(super) before: Counts,
    pub(super) after: Counts,
    pub(super) lines: Vec<Line>,
    /// Names that nobody should have been asked about, and somebody was.
    pub(super) asked: Vec<String>,
}

impl Case {
    /// How many lines it leaves in the log: a decision and an end for each flow.
    pub(super) fn lines(&self) -> usize {
        2 * self.expect.flows.len() + self.expect.rejects.len()
    }

    /// Everything that is not as it must be.
    pub(super) fn faults(&self, left: &Left) -> Vec<String> {
        let mut faults = Vec::new();
        self.judge_origins(&left.came, &mut faults);
        self.judge_client(&left.heard, &mut faults);
        self.judge_counts(&left.before, &left.after, &mut faults);
        self.judge_lines(&left.lines, &mut faults);
        differ("names asked about", &left.asked, &Vec::new(), &mut faults);
        faults
    }

    fn judge_origins(&self, came: &[Came], faults: &mut Vec<String>) {
        let by_place = |mut all: Vec<(SocketAddr, String)>| {
            all.sort();
            all
        };
        let came = came
            .iter()
            .filter_map(|came| Some((came.to?, anonymous(&came.bytes))));
        let came = by_place(came.collect());
        let expected = self.expect.origins.iter();
        let expected = by_place(expected.map(|(to, bytes)| (*to, shown(bytes))).collect());
        differ("origins saw", &came, &expected, faults);
    }

    fn judge_client(&self, heard: &Heard, faults: &mut Vec<String>) {
        differ(
            "the client was answered",
            &heard.answers,
            &self.expect.answers,
            faults,
        );
        let (tail, expected) = (shown(&heard.tail), shown(&self.expect.tail));
        differ("and then heard", &tail, &expected, faults);
        differ(
            "the connection ended",
            &heard.is_over,
            &!self.expect.stays,
            faults,
        );
        if let Some(deviation) = &heard.deviation {
            faults.push(format!("the client could not go on: {deviation}"));
        }
    }

    fn judge_counts(&self, before: &Counts, after: &Counts, faults: &mut Vec<String>) {
        let rise = |(series, count): (&String, &u64)| {
            let rise = count - before.get(series).copied().unwrap_or(0);
            (rise > 0).then(|| (series.clone(), rise))
        };
        let moved: Counts = after.iter().filter_map(rise).collect();
        differ("counters moved", &moved, &self.counts(), faults);
    }

    /// The counters that must move, and no others.
    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        let mut add = |name: &str, labels: &[(&str, &str)]| {
            let labels: BTreeMap<_, _> = labels
                .iter()
                .map(|(label, value)| (label.to_string(), value.to_string()))
                .collect();
            *counts.entry(series(name, &labels)).or_default() += 1;
        };
        let (ministry, workload) = self.who.labels();
        for flow in &self.expect.flows {
            let (verdict, mode) = flow.verdict.labels();
            let who = [("ministry", ministry), ("workload", workload)];
            let what = [
                ("service", flow.service),
                ("verdict", verdict),
                ("mode", mode),
            ];
            add("octroi_attempts_total", &[&who[..], &what].concat());
            for rule in &flow.rules {
                let labels = [("rule", *rule), ("ministry", ministry), ("mode", "enforce")];
                add("octroi_rule_hits_total", &labels);
            }
            if let Some(outcome) = flow.outcome {
                add(
                    "octroi_evidence_total",
                    &[("ministry", ministry), ("outcome", outcome)],
                );
            }
            if let Some(sni) = flow.sni {
                add("octroi_sni_total", &[("outcome", sni)]);
            }
            if flow.has_ech {
                add("octroi_ech_total", &[("ministry", ministry)]);
            }
            if let Some(family) = flow.counted_in {
                add(family, &[("ministry", ministry)]);
            }
            if let Some(reason) = flow.failed {
                add("octroi_upstream_errors_total", &[("reason", reason)]);
            }
        }
        for reason in &self.expect.rejects {
            add("octroi_client_errors_total", &[("reason", reason)]);
        }
        counts
    }

    fn judge_lines(&self, lines: &[Line], faults: &mut Vec<String>) {
        let source = self.cast.source(self.who).to_string();
        for line in lines {
            differ(
                "a line names the source",
                &line.text("source.ip"),
                &source,
                faults,
            );
        }
        let of = |action: &str| -> Vec<&Line> {
            lines
                .iter()
                .filter(|line| line.text("event.action") == action)
                .collect()
        };
        let rejects: Vec<_> = of("reject")
            .iter()
            .map(|line| line.text("event.reason"))
            .collect();
        differ(
            "rejections written",
            &rejects.iter().map(String::as_str).collect(),
            &self.expect.rejects,
            faults,
        );
        let decisions = of("decision");
        let written: Vec<_> = decisions.iter().map(|line| said(line)).collect();
        let expected: Vec<_> = self
            .expect
            .flows
            .iter()
            .map(|flow| self.says(flow))
            .collect();
        differ("decisions written", &written, &expected, faults);
        self.judge_ends(&decisions, &of("close"), faults);
    }

    /// Each flow ends once, under the id of its decision.
    fn judge_ends(&self, decisions: &[&Line], closes: &[&Line], faults: &mut Vec<String>) {
        differ(
            "ends written",
            &closes.len(),
            &self.expect.flows.len(),
            faults,
        );
        for (decision, flow) in decisions.iter().zip(&self.expect.flows) {
            let id = decision.text("event.id");
            let close = closes.iter().find(|close| close.text("event.id") == id);
            let end = close.map(|close| (close.text("octroi.reason"), close.text("octroi.detail")));
            let Some((reason, detail)) = end else {
                faults.push(format!("no end of the flow to {}", flow.host));
                continue;
            };
            differ("how it ended", &reason.as_str(), &flow.end(), faults);
            let why = flow.failed.or(flow.broken).unwrap_or_default();
            differ("why it failed", &detail.as_str(), &why, faults);
        }
    }

    /// What the decision line of a flow must say.
    fn says(&self, flow: &Flow) -> String {
        let (ministry, workload) = self.who.labels();
        let (verdict, mode) = flow.verdict.labels();
        let service = if flow.service == "unlisted" {
            ""
        } else {
            flow.service
        };
        let rule = if matches!(flow.reason, "deny" | "block") {
            flow.rules[0]
        } else {
            ""
        };
        let (outcome, sni) = (
            flow.outcome.unwrap_or_default(),
            flow.sni.unwrap_or_default(),
        );
        let Flow {
            host, reason, what, ..
        } = flow;
        format!(
            "{ministry}/{workload} {host} {verdict}/{mode} reason={reason} what={what} rule={rule} service={service} outcome={outcome} sni={sni}"
        )
    }
}

/// What a decision line says, in the same words.
fn said(line: &Line) -> String {
    let text = |field: &str| line.text(field);
    let words = [
        "organization.id",
        "octroi.workload",
        "url.domain",
        "octroi.verdict",
        "octroi.mode",
    ]
    .map(text);
    let [ministry, workload, host, verdict, mode] = words;
    let more = [
        "event.reason",
        "rule.id",
        "service.id",
        "octroi.outcome",
        "octroi.sni",
    ]
    .map(text);
    let [reason, rule, service, outcome, sni] = more;
    let grounds = line.get("octroi.grounds");
    let what = grounds
        .and_then(|all| all[0]["what"].as_str())
        .unwrap_or_default();
    format!(
        "{ministry}/{workload} {host} {verdict}/{mode} reason={reason} what={what} rule={rule} service={service} outcome={outcome} sni={sni}"
    )
}

fn differ<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: &T,
    expected: &T,
    faults: &mut Vec<String>,
) {
    if got != expected {
        faults.push(format!("{what}: {got:?}\n      not {expected:?}"));
    }
}

/// What came to an origin, with `octroi` for the name that this run of the gate has in Via.
fn anonymous(bytes: &[u8]) -> String {
    const GATE: &str = " octroi-";
    let text = shown(bytes);
    let mut parts = text.split(GATE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        all + GATE.trim_end_matches('-') + rest
    })
}

/// Bytes so that they can be read and compared.
pub(super) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

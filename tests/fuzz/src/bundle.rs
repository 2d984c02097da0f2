//! The files of a bundle, from bytes to a policy that answers, or to findings.
//!
//! The input is text: `=== path` begins a file.

use std::net::IpAddr;

use jiff::Timestamp;
use octroi_policy::bundle::Bundle;
use octroi_policy::check::{Compiled, compile};
use octroi_policy::decision::Verdict;
use octroi_policy::diagnostic::{Colour, Severity};
use octroi_policy::explain::{because, explain};
use octroi_policy::flow::{Flow, Hello, Protocol, Source};
use octroi_policy::{DomainName, Forbid, Host, Policy};

/// More files than this show nothing new.
const MAX_FILES: usize = 12;

/// Checks and compiles the files, and asks what comes of it.
pub fn run(data: &[u8]) {
    let mut files = files(data);
    let compiled = compiled(files.clone());
    if let Some(policy) = &compiled.policy {
        answers(policy);
    }
    files.reverse();
    let again = self::compiled(files);
    assert_eq!(compiled.policy.is_some(), again.policy.is_some());
    assert_eq!(
        compiled.findings.count(Severity::Error),
        again.findings.count(Severity::Error)
    );
    if let (Some(one), Some(two)) = (compiled.policy, again.policy) {
        assert_eq!(one.digest(), two.digest());
    }
}

/// Cuts the input at `=== path` lines; what stands before the first is `policy.yaml`.
#[must_use]
pub fn files(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = vec![("policy.yaml".to_owned(), Vec::new())];
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        if let Some(path) = line.strip_prefix(b"=== ") {
            let path = String::from_utf8_lossy(path.trim_ascii()).into_owned();
            if files.len() < MAX_FILES && files.iter().all(|(known, _)| *known != path) {
                files.push((path, Vec::new()));
                continue;
            }
        }
        if let Some((_, bytes)) = files.last_mut() {
            bytes.extend(line);
        }
    }
    files
}

fn compiled(files: Vec<(String, Vec<u8>)>) -> Compiled {
    let bundle = match Bundle::from_files(files) {
        Ok(bundle) => bundle,
        Err(error) => panic!("{error}"),
    };
    let today = "2026-11-24T12:00:00Z".parse().ok();
    let compiled = compile(&bundle, today);
    for finding in compiled.findings.iter() {
        let place = finding.place();
        let text = bundle
            .files()
            .get(place.file as usize)
            .map(|file| file.text());
        // A place may be the whole file (line 0), else it is in it; an empty file ends on line 1.
        let lines = text.map_or(0, |text| text.split('\n').count().max(1));
        assert!(place.line as usize <= lines, "{place:?} of {lines} lines");
    }
    let shown = compiled.findings.render(&bundle, Colour::Never);
    assert!(
        !shown.contains('\u{1b}'),
        "an escape sequence reaches the terminal"
    );
    let _ = compiled.findings.to_json(&bundle);
    assert_eq!(compiled.policy.is_none(), compiled.findings.has_errors());
    compiled
}

fn answers(policy: &Policy) {
    let mut sources: Vec<IpAddr> = vec![[192, 0, 2, 4].into()];
    let workloads = policy.model().workloads.iter();
    sources.extend(
        workloads
            .filter_map(|w| w.sources.first())
            .map(|net| net.addr()),
    );
    let names = ["www.mail.example", "example.org"].map(|name| name.parse::<DomainName>());
    for source in sources.into_iter().take(4).map(Source::from_address) {
        for name in names.iter().flatten() {
            answer(policy, &source, name);
        }
    }
}

fn answer(policy: &Policy, source: &Source, name: &DomainName) {
    let at: Timestamp = policy.model().tested_at;
    let flow = Flow {
        source,
        protocol: Protocol::Connect,
        target: Host::Name(name.clone()),
        port: 443,
        original: None,
        host: None,
        hello: Some(Hello::Name {
            name: name.clone(),
            ech: false,
        }),
        chain: std::slice::from_ref(name),
        addresses: &[[203, 0, 113, 9].into()],
        resolved: true,
        forbid: &Forbid::default(),
        ours: &[],
    };
    let decision = policy.judge(&flow, at);
    assert_eq!(decision, policy.judge(&flow, at));
    assert!(!explain(policy, &flow, &decision, None).is_empty());
    for ground in decision.grounds() {
        assert!(!because(policy, &decision, ground).is_empty());
    }
    assert_eq!(
        decision.verdict() == Verdict::Deny,
        !decision.enforced.grounds.is_empty()
    );
    if let Some(change) = policy.next_change(at) {
        assert!(change > at);
    }
}

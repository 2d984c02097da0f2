//! The figures that alerts are made of, and how many series there can be.

use octroi_policy::rule::Derogation;
use octroi_policy::validity::Validity;

use super::*;
use crate::ledger::metrics::Labels;

const EXCHANGE: &str = "outlook.office.com";

fn provider(name: &str) -> Provider {
    Provider {
        id: id(name),
        name: name.into(),
        jurisdiction: None,
        place: Place::default(),
    }
}

/// [`model`] with what DNS leads to named: edge.example.net belongs to a provider.
fn with_provider() -> Model {
    let mut model = model();
    model.providers = vec![provider("edge")];
    model.names.push((
        "*.example.net".parse().unwrap(),
        NameOwner::Provider(ProviderIx(0), Role::Own),
    ));
    model
}

/// Exchange is open to payroll for a year.
fn derogation() -> Derogation {
    Derogation {
        id: id("D-1"),
        ministry: MinistryIx(0),
        workloads: vec![WorkloadIx(0)],
        services: vec![ServiceIx(0)],
        closure: vec![ServiceIx(0)],
        ports: None,
        validity: Validity {
            from: None,
            until: Some("2099-12-31T00:00:00Z".parse().unwrap()),
        },
        approved_by: "A".into(),
        reference: None,
        ticket: None,
        place: Place::default(),
    }
}

fn try_out(ledger: &Ledger, policy: &Policy, client: &str, target: &str) {
    let opened = opened(client, target);
    let mut entry = ledger.open(opened.clone());
    judged(policy, &opened, None, |decision, flow| {
        entry.decide(policy, decision, flow)
    });
    entry.close(FINISHED);
}

#[test]
fn machines_that_are_denied_are_counted_by_sensitivity() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = books(&dir.path().join("audit.jsonl"), ClientAddress::None);
    let policy = policy();
    for (client, target) in [
        ("192.0.2.4", EXCHANGE),
        ("192.0.2.5", EXCHANGE),
        ("192.0.2.5", EXCHANGE),
        ("192.0.2.70", EXCHANGE),
        ("192.0.2.6", "www.example.org"),
    ] {
        try_out(&ledger, &policy, client, target);
    }
    let of = samples(ledger.metrics(), "octroi_distinct_sources_denied");
    let refused = "ministry=\"interieur\",sensitivity=\"sensitive\",service=\"exchange-online\"";
    let watched = "ministry=\"culture\",sensitivity=\"standard\",service=\"exchange-online\"";
    assert_eq!((of[refused], of[watched]), (2, 1), "{of:?}");
    assert_eq!(of.len(), 2, "what is allowed is none: {of:?}");
}

#[test]
fn the_providers_that_dns_leads_to_are_counted_behind_the_service_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = books(&dir.path().join("audit.jsonl"), ClientAddress::None);
    let policy = Policy::compile(with_provider());
    try_out(&ledger, &policy, "192.0.2.70", EXCHANGE);
    try_out(&ledger, &policy, "192.0.2.70", "www.example.org");
    let found = samples(ledger.metrics(), "octroi_found_behind_total");
    let edge = "provider=\"edge\",service=\"exchange-online\"";
    assert!(found.len() == 1 && found.contains_key(edge), "{found:?}");
}

/// A captured client picks the address that it goes to: that says nothing about the service.
#[test]
fn where_a_captured_client_was_on_its_way_to_is_not_behind_the_service() {
    let mut model = with_provider();
    model.names.pop();
    model.addresses = vec![(
        "203.0.113.0/24".parse().unwrap(),
        octroi_policy::model::AddressOwner::Provider(ProviderIx(0), Role::Own),
    )];
    let (metrics, policy) = (Metrics::new(10_000).unwrap(), Policy::compile(model));
    let opened = opened("192.0.2.70", EXCHANGE);
    judged(&policy, &opened, None, |_, flow| {
        let captured = Flow {
            protocol: Protocol::Captured,
            original: Some("203.0.113.5".parse().unwrap()),
            ..flow.clone()
        };
        let decision = policy.judge(&captured, Timestamp::now());
        assert!(decision.pieces.iter().any(|p| p.class.provider.is_some()));
        let labels = Labels::of(&policy, &decision);
        metrics.decided(&policy, &decision, &labels, false);
    });
    assert!(samples(&metrics, "octroi_found_behind_total").is_empty());
}

#[test]
fn a_source_refused_and_then_let_through_by_a_derogation_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = books(&dir.path().join("audit.jsonl"), ClientAddress::None);
    let (before, mut model) = (policy(), model());
    model.derogations = vec![derogation()];
    let after = Policy::compile(model);
    try_out(&ledger, &before, "192.0.2.4", EXCHANGE);
    try_out(&ledger, &before, "192.0.2.4", EXCHANGE);
    // Let through twice; another machine was never refused.
    for client in ["192.0.2.4", "192.0.2.4", "192.0.2.5"] {
        try_out(&ledger, &after, client, EXCHANGE);
    }
    let metrics = ledger.metrics();
    let derogation = "derogation=\"D-1\",ministry=\"interieur\"";
    let uses = samples(metrics, "octroi_derogation_uses_total");
    assert_eq!(uses.get(derogation), Some(&3), "{uses:?}");
    let soon = samples(metrics, "octroi_derogation_after_refusal_total");
    assert_eq!(soon.get(derogation), Some(&1), "{soon:?}");
}

#[test]
fn rules_workloads_and_derogations_in_force_are_shown_and_replaced() {
    let metrics = Metrics::new(10_000).unwrap();
    let at = "2026-11-23T00:00:00Z".parse().unwrap();
    let mut last = model();
    last.derogations = vec![derogation()];
    last.rules
        .push(rule("gone", Mode::Enforce, Sensitivity::Standard));
    metrics.policy_loaded(&Policy::compile(last), at);
    let text = metrics.text();
    for sample in [
        "octroi_rule_info{effect=\"deny\",mode=\"enforce\",rule=\"gone\"} 1",
        "octroi_rule_info{effect=\"deny\",mode=\"observe\",rule=\"office-watch\"} 1",
        "octroi_workload_info{ministry=\"interieur\",sensitivity=\"sensitive\",workload=\"paie\"} 1",
        "octroi_workload_info{ministry=\"unassigned\",sensitivity=\"sensitive\",workload=\"unassigned\"} 1",
        "octroi_derogation_expires_timestamp_seconds{derogation=\"D-1\",ministry=\"interieur\"} 4102358400",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
    metrics.policy_loaded(&policy(), at);
    let text = metrics.text();
    assert!(
        !text.contains("rule=\"gone\"") && !text.contains("D-1"),
        "{text}"
    );
}

const MINISTRIES: u32 = 50;
const SERVICES: u32 = 1000;
const PROVIDERS: u32 = 40;

/// 50 ministries, 1,000 services of 40 providers, 30 rules.
fn national() -> Policy {
    let mut model = model();
    let service = model.services[0].clone();
    model.services = (0..SERVICES)
        .map(|n| octroi_policy::catalogue::Service {
            id: id(&format!("service-{n}")),
            provider: Some(ProviderIx(n % PROVIDERS)),
            ..service.clone()
        })
        .collect();
    model.providers = (0..PROVIDERS)
        .map(|n| provider(&format!("provider-{n}")))
        .collect();
    model.names = (0..SERVICES)
        .map(|n| {
            let name = format!("s{n}.example").parse::<Pattern>().unwrap();
            (name, NameOwner::Service(ServiceIx(n)))
        })
        .collect();
    model.rules = (0..30)
        .map(|n| {
            let (mode, sensitivity) = match n % 2 {
                0 => (Mode::Enforce, Sensitivity::Sensitive),
                _ => (Mode::Observe, Sensitivity::Standard),
            };
            let mut rule = rule(&format!("rule-{n}"), mode, sensitivity);
            rule.when.services = Some(
                (0..SERVICES)
                    .filter(|s| s % 7 != n)
                    .map(ServiceIx)
                    .collect(),
            );
            rule
        })
        .collect();
    model.ministries = (0..MINISTRIES)
        .map(|n| ministry(&format!("ministry-{n}")))
        .collect();
    model.workloads = (0..MINISTRIES)
        .map(|n| {
            let sensitivity = [Sensitivity::Sensitive, Sensitivity::Standard][n as usize % 2];
            workload("w", Some(n), sensitivity, &[&format!("10.{n}.0.0/16")])
        })
        .chain([workload("unassigned", None, Sensitivity::Sensitive, &[])])
        .collect();
    Policy::compile(model)
}

/// Every ministry tries every service, and in between names drawn at random, as a hostile client
/// would: none of them becomes a label, and what is too much is counted as `other`.
#[test]
fn fifty_ministries_and_a_thousand_services_stay_under_the_cap() {
    let most = crate::config::limits::DEFAULT_METRIC_SERIES;
    let (metrics, policy) = (Metrics::new(most).unwrap(), national());
    metrics.policy_loaded(&policy, Timestamp::now());
    let mut hostile = std::hash::DefaultHasher::new();
    for ministry in 0..MINISTRIES {
        for service in 0..SERVICES {
            let client = format!("10.{ministry}.{}.{}", service / 250, service % 250);
            let listed = format!("s{service}.example");
            std::hash::Hasher::write_u32(&mut hostile, service);
            let random = format!("x{:x}.example", std::hash::Hasher::finish(&hostile));
            let targets = if service % 10 == 0 {
                vec![listed, random]
            } else {
                vec![listed]
            };
            for target in targets {
                let opened = opened(&client, &target);
                judged(&policy, &opened, None, |decision, _| {
                    let labels = Labels::of(&policy, decision);
                    let (address, at) = (opened.source.address, Timestamp::now());
                    metrics.decided(&policy, decision, &labels, true);
                    metrics.asked(&labels, address, at);
                    metrics.answered(&policy, decision, &labels, address, at);
                    metrics.relayed(&labels, 1, 1);
                });
            }
        }
    }
    let text = metrics.text();
    let live = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(live <= most, "{live} of {most}");
    assert!(live > most / 2, "{live}: the cap was never near");
    assert!(!text.contains("=\"x"), "a name of a client is a label");
    let attempts: u64 = samples(&metrics, "octroi_attempts_total").values().sum();
    assert_eq!(attempts, u64::from(MINISTRIES * (SERVICES + SERVICES / 10)));
    for ministry in 0..MINISTRIES {
        let label = format!("octroi_attempts_total{{ministry=\"ministry-{ministry}\"");
        assert!(text.contains(&label), "ministries stay told apart");
    }
}

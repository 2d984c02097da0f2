use std::net::IpAddr;
use std::path::Path;

use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::flow::Source;

use super::*;
use crate::config::Config;

const BUNDLE: &str = "
version: 1
name: shared
default: allow
ministries:
  - id: culture
    name: Culture
    workloads:
      - { id: office, sensitivity: standard, sources: [192.0.2.0/28] }
      - { id: studio, sensitivity: standard, sources: [192.0.2.16/28] }
      - { id: mobile, sensitivity: standard, certificates: [mobile.example] }
  - id: finances
    name: Finances
    workloads: [ { id: office, sensitivity: standard, sources: [192.0.2.32/28] } ]
tested_at: 2026-05-01
";

fn policy(text: &str) -> Policy {
    let bundle = Bundle::from_files([("policy.yaml".to_owned(), text.into())]).unwrap();
    Policy::compile(check(&bundle, None).model.unwrap())
}

fn configured(limits: &str) -> config::Shares {
    let text = format!("limits: {{ {limits} }}");
    let config = Config::parse(Path::new("octroi.yaml"), &text).unwrap();
    config.limits.shares
}

/// Shares under a policy, at an instant that the test sets.
struct Desk {
    shares: Arc<Shares>,
    policy: Policy,
    now: Now,
}

impl Desk {
    fn new(limits: &str) -> Self {
        Self {
            shares: Shares::new(configured(limits)),
            policy: policy(BUNDLE),
            now: Now(0),
        }
    }

    fn take(&self, source: &str) -> Result<Place, Box<Limited>> {
        self.take_with(source, None)
    }

    fn take_with(&self, source: &str, certificate: Option<&str>) -> Result<Place, Box<Limited>> {
        let address: IpAddr = source.parse().unwrap();
        let names = certificate.into_iter();
        let names = names.map(|name| octroi_policy::flow::CertificateName::parse(name).unwrap());
        let source = Source {
            address,
            certificate: names.collect(),
            listener: None,
        };
        let who = self.policy.identify(&source);
        self.shares.take_at(&self.policy, &who, address, self.now)
    }

    /// How many get a place, and hold it.
    fn hold(&self, source: &str) -> Vec<Place> {
        (0..1000).map_while(|_| self.take(source).ok()).collect()
    }

    fn refusal(&self, source: &str) -> String {
        let limited = self.take(source).unwrap_err();
        let of = limited.holder.as_ref().map(ToString::to_string);
        format!(
            "{} {} {}",
            limited.reason(),
            of.unwrap_or_default(),
            limited.most
        )
    }
}

#[test]
fn nothing_is_counted_where_nothing_is_limited() {
    let desk = Desk::new("");
    assert!(desk.shares.is_unlimited());
    assert_eq!(desk.hold("192.0.2.1").len(), 1000);
    assert_eq!(desk.shares.usage(), []);
}

#[test]
fn each_source_workload_and_ministry_has_its_own_share() {
    let desk = Desk::new("flows: { per_source: 2, per_workload: 3, per_ministry: 4 }");
    let first = desk.hold("192.0.2.1");
    assert_eq!(
        (first.len(), desk.refusal("192.0.2.1")),
        (2, "source-flows  2".to_owned())
    );
    let second = desk.hold("192.0.2.2");
    assert_eq!(second.len(), 1);
    assert_eq!(desk.refusal("192.0.2.2"), "workload-flows culture/office 3");
    let studio = desk.hold("192.0.2.17");
    assert_eq!(studio.len(), 1);
    assert_eq!(desk.refusal("192.0.2.17"), "ministry-flows culture 4");
    assert_eq!(
        desk.hold("192.0.2.33").len(),
        2,
        "the other ministry's office"
    );
    assert_eq!(desk.hold("198.51.100.1").len(), 2, "nobody's machines");
    drop(first);
    assert_eq!(
        desk.hold("192.0.2.17").len(),
        1,
        "up to its source's figure"
    );
}

#[test]
fn other_figures_go_before_the_general_ones() {
    let desk = Desk::new(
        "flows: { per_workload: 3, per_ministry: 9, ministries: { finances: 2, unassigned: 1 }, \
         workloads: { office: 5, culture/studio: none } }",
    );
    assert_eq!(desk.hold("192.0.2.17").len(), 9, "its ministry's");
    assert_eq!(desk.hold("192.0.2.1").len(), 5);
    assert_eq!(desk.hold("192.0.2.33").len(), 2);
    assert_eq!(desk.hold("198.51.100.1").len(), 1);
    let both = Desk::new("flows: { workloads: { office: 5, culture/office: 4 } }");
    assert_eq!(both.hold("192.0.2.1").len(), 4);
    assert_eq!(both.hold("192.0.2.33").len(), 5);
}

/// Address and certificate say different things: both workloads carry the flow, the ministry once.
#[test]
fn a_flow_in_two_workloads_counts_for_both() {
    let desk = Desk::new("flows: { per_ministry: 3, workloads: { office: 2, mobile: 1 } }");
    let both = desk.take_with("192.0.2.1", Some("mobile.example")).unwrap();
    let refused = desk.take_with("198.51.100.1", Some("mobile.example"));
    assert_eq!(refused.unwrap_err().reason(), "workload-flows");
    let office = desk.hold("192.0.2.2");
    assert_eq!(office.len(), 1, "the first has a place in it too");
    let studio = desk.hold("192.0.2.17");
    assert_eq!(studio.len(), 1, "and one only among the ministry's");
    drop(both);
    assert!(
        desk.take_with("198.51.100.1", Some("mobile.example"))
            .is_ok()
    );
}

#[test]
fn a_rate_lets_a_burst_through_and_tells_when_to_come_back() {
    let mut desk = Desk::new("new_flows: { per_source: 4, per_ministry: 6, burst: 2s }");
    assert_eq!(desk.hold("192.0.2.1").len(), 8);
    let limited = desk.take("192.0.2.1").unwrap_err();
    assert_eq!((limited.reason(), limited.most), ("source-new-flows", 4));
    let ministry = desk.hold("192.0.2.2").len();
    assert_eq!(ministry, 4, "what the first left of twelve");
    let wait = desk.take("192.0.2.3").unwrap_err().wait.unwrap();
    desk.now = Now(u64::try_from(wait.as_nanos()).unwrap() - 1);
    assert!(desk.take("192.0.2.3").is_err());
    desk.now.0 += 1;
    assert!(desk.take("192.0.2.3").is_ok());
}

/// One machine at its own limit does not use up what its ministry has, nor the other way round.
#[test]
fn who_is_refused_has_used_nothing() {
    let desk = Desk::new(
        "new_flows: { per_source: 2, per_ministry: 5, burst: 1s }, flows: { per_source: 100 }",
    );
    drop(desk.hold("192.0.2.1"));
    (0..100).for_each(|_| assert!(desk.take("192.0.2.1").is_err()));
    drop([desk.hold("192.0.2.2"), desk.hold("192.0.2.3")]);
    assert_eq!(desk.refusal("192.0.2.3"), "ministry-new-flows culture 5");
    assert_eq!(desk.refusal("192.0.2.2"), "source-new-flows  2");
    let usage = desk.shares.usage();
    let of = |reason| {
        usage
            .iter()
            .find(|usage| usage.reason() == reason && usage.ratio > 0.0)
    };
    assert!(of("source-flows").is_none(), "{usage:?}");
    assert!(of("ministry-new-flows").unwrap().ratio > 0.9, "{usage:?}");
}

#[test]
fn figures_follow_the_ids_of_the_policy_in_force() {
    let mut desk = Desk::new("flows: { ministries: { finances: 2, culture: 3 } }");
    assert_eq!(desk.shares.follow(&desk.policy), Vec::<String>::new());
    let held = desk.hold("192.0.2.33");
    let names = |shares: &Shares| {
        let usage = shares.usage().into_iter();
        let mut names: Vec<_> = usage.map(|it| it.holder.unwrap().to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&desk.shares), ["culture", "finances"]);
    let before = desk.policy;
    desk.policy = policy(&BUNDLE.replace("id: finances", "id: economie"));
    let missing = desk.shares.follow(&desk.policy);
    assert_eq!(missing, ["the policy has no ministry `finances`"]);
    assert_eq!(
        desk.hold("192.0.2.33").len(),
        1000,
        "nothing names economie"
    );
    assert_eq!(
        names(&desk.shares),
        ["culture", "finances"],
        "two are under way"
    );
    drop(held);
    let _ = desk.shares.follow(&desk.policy);
    assert_eq!(names(&desk.shares), ["culture"]);
    desk.policy = before;
    let _ = desk.shares.follow(&desk.policy);
    assert_eq!(desk.hold("192.0.2.33").len(), 2);
}

#[test]
fn what_the_policy_does_not_have_is_told_with_what_it_has() {
    let config = configured(
        "flows: { ministries: { cultur: 1 }, workloads: { finances/office: 1, finances/studio: 1 } }, \
         new_flows: { workloads: { zzzzzzzz: none } }",
    );
    let problems = unknown(&config, &policy(BUNDLE));
    let told: Vec<_> = problems
        .iter()
        .map(|it| {
            format!(
                "{}:{} {}; {}",
                it.line,
                it.column,
                it.message,
                it.help.as_deref().unwrap()
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

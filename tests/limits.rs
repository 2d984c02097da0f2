//! How much of the gate one source, workload or ministry may use, and how much the metrics may say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::client::{Head, Wire, client_hello};
use crate::harness::eventually;
use crate::harness::ledger::field;
use crate::harness::origin::{Behaviour, echo};
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{Plan, World, repository};

/// Not a port on which a ClientHello is awaited: a tunnel to it stands as long as it is held.
const TARGET: &str = "news.example:8443";

fn with_news(world: &World) {
    world.origin("news.example", 10, 8443, echo());
}

/// A tunnel that carries bytes.
fn tunnel(mut wire: Wire) -> Wire {
    assert_eq!(wire.connect(TARGET).status, 200);
    wire.send("ping");
    assert_eq!(wire.exactly(4), "ping");
    wire
}

/// The answer to one more flow, which is one too many.
fn refused(mut wire: Wire, limit: &str) -> Head {
    let head = wire.connect("other.example:8443");
    assert_eq!(head.status, 503, "{}", head.text);
    let status = head.field("proxy-status").unwrap();
    assert!(status.contains(&format!("details=\"{limit}\"")), "{status}");
    head
}

fn limited(world: &World, limit: &str) -> u64 {
    let metrics = world.gate.metrics();
    metrics.total("octroi_limited_total", &[("limit", limit)])
}

#[test]
fn a_ministry_has_so_many_flows_and_no_more() {
    let plan = Plan::new().set("limits", "flows: { ministries: { culture: 2 } }");
    let world = plan.start();
    with_news(&world);
    world.dns.v4("other.example", world.block.ip(10));
    let mut held = vec![
        tunnel(world.ordinary()),
        tunnel(world.wire(world.block.ip(203))),
    ];
    let head = refused(world.ordinary(), "ministry-flows");
    assert_eq!(head.field("retry-after"), Some("5"));
    assert_eq!(
        world.dns.asked("other.example"),
        0,
        "refused before anything is resolved"
    );

    // What the policy denies is denied and counted as ever, and others are not hindered.
    assert_eq!(world.ordinary().connect("www.drop.example:443").status, 403);
    let elsewhere = world
        .wire([127, 0, 0, 1].into())
        .connect("nowhere.example:443");
    assert_eq!(elsewhere.status, 502);

    assert_eq!(limited(&world, "ministry-flows"), 1);
    let usage = [
        ("limit", "ministry-flows"),
        ("ministry", "culture"),
        ("workload", ""),
    ];
    assert_eq!(
        world
            .gate
            .metrics()
            .total("octroi_limit_usage_ratio", &usage),
        1
    );
    let line = world.gate.decision("other.example");
    assert_eq!(line.text(field::VERDICT), "allow", "the policy permits it");
    let close = world.gate.close_of(&line);
    assert_eq!(close.text("octroi.reason"), "limited");
    assert_eq!(close.text("octroi.detail"), "ministry-flows");
    assert_eq!(close.text("octroi.limit.name"), "ministry-flows");
    assert_eq!(close.text("octroi.limit.of"), "culture");
    assert_eq!(close.text("octroi.limit.most"), "2");

    held.pop();
    eventually("a flow that ends gives its place back", || {
        let status = world.ordinary().connect("nowhere.example:443").status;
        (status == 502).then_some(())
    });
    // And so does one that ends before it was dialled: there is one place, again and again.
    for _ in 0..5 {
        eventually("the place is free", || {
            let status = world.ordinary().connect("nowhere.example:443").status;
            (status == 502).then_some(())
        });
    }
    assert_eq!(tunnel_lives(&mut held[0]), "still");
}

fn tunnel_lives(wire: &mut Wire) -> String {
    wire.send("still");
    wire.exactly(5)
}

#[test]
fn a_workload_begins_so_many_flows_a_second_and_is_told_when_to_come_back() {
    let limit = "new_flows: { workloads: { culture/bureautique: 1 }, burst: 2s }";
    let world = Plan::new().set("limits", limit).start();
    let ask = || world.ordinary().connect("nowhere.example:443");
    let mut begun = 0;
    let head = eventually("the rate is reached", || {
        let head = ask();
        begun += u32::from(head.status == 502);
        (head.status == 503).then_some(head)
    });
    assert!(begun >= 2, "the burst was {begun}");
    let told = Instant::now();
    let wait: u64 = head.field("retry-after").unwrap().parse().unwrap();
    assert_eq!(wait, 1, "at one a second");
    eventually("the time has come", || {
        (told.elapsed() >= Duration::from_secs(wait)).then_some(())
    });
    assert_eq!(ask().status, 502, "what was told is true");
    assert!(limited(&world, "workload-new-flows") >= 1);
    // Another workload has a rate of its own, here none.
    let elsewhere = world
        .wire([127, 0, 0, 1].into())
        .connect("nowhere.example:443");
    assert_eq!(elsewhere.status, 502);
}

/// People get a page in their language, programs the name of the limit.
#[test]
fn a_limit_is_told_to_people_and_to_programs() {
    let limit = "new_flows: { per_workload: 1, burst: 1s }";
    let world = Plan::new().set("limits", limit).start();
    let ask = |arguments: &[&str]| {
        let arguments = [arguments, &["http://nowhere.example/"]].concat();
        eventually("refused by the limit", || {
            let answer = world.curl(world.block.ordinary(), &arguments);
            (answer.status == 503).then_some(answer)
        })
    };
    let page = ask(&["-H", "Accept: text/html"]);
    assert!(
        page.body.contains("Les postes de votre groupe ouvrent"),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("503 workload-new-flows</code>"),
        "{}",
        page.body
    );
    let json = ask(&[
        "-H",
        "Accept: application/problem+json",
        "-H",
        "Accept-Language: en",
    ]);
    let problem: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(problem["reason"], "workload-new-flows");
    assert_eq!(problem["status"], 503);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("The machines of your group")
    );
    assert!(
        json.heads
            .to_ascii_lowercase()
            .contains("\nretry-after: 1\r"),
        "{}",
        json.heads
    );
}

/// Answers once it is told to.
fn on_command() -> (Behaviour, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let behaviour: Behaviour = Arc::new(move |conn| {
        let _ = conn.read(&mut [0; 4096]);
        if told.lock().unwrap().recv().is_ok() {
            let _ = conn.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
            let _ = conn.flush();
        }
    });
    (behaviour, go)
}

#[test]
fn a_plain_request_is_a_flow_of_its_source_until_it_is_answered() {
    let world = Plan::new()
        .set("limits", "flows: { per_source: 1 }")
        .start();
    let (behaviour, go) = on_command();
    let origin = world.origin("slow.example", 10, 80, behaviour);
    let mut first = world.ordinary();
    first.send("GET http://slow.example/ HTTP/1.1\r\nHost: slow.example\r\n\r\n");
    eventually("the request is under way", || {
        (origin.connections() == 1).then_some(())
    });
    let request = "GET http://nowhere.example/ HTTP/1.1\r\nHost: nowhere.example\r\n\r\n";
    let mut second = world.ordinary();
    second.send(request);
    let head = second.head();
    assert_eq!(head.status, 503, "{}", head.text);
    assert!(head.field("proxy-status").unwrap().contains("source-flows"));
    second.body(&head);
    go.send(()).unwrap();
    let answer = first.head();
    assert_eq!((answer.status, first.body(&answer).as_str()), (200, "late"));
    // Both connections stay open: what counts are flows.
    eventually("the place is free", || {
        second.send(request);
        let head = second.head();
        second.body(&head);
        (head.status == 502).then_some(())
    });
}

/// The policy is replaced: figures go by the ids, and what names nobody is said.
#[test]
fn figures_follow_the_ids_of_the_policy() {
    let limit = "flows: { ministries: { culture: 5, tourisme: 1 } }";
    let world = Plan::new().set("limits", limit).start();
    with_news(&world);
    let says = |missing: &str| {
        eventually(missing, || world.gate.log().contains(missing).then_some(()));
    };
    says("the policy has no ministry `tourisme`");
    let mut before = [tunnel(world.ordinary()), tunnel(world.ordinary())];
    let file = world.policy.join("ministries/ministries.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("id: culture", "id: tourisme")).unwrap();
    assert_eq!(world.gate.ask("POST", "/-/reload").status, 200);
    says("the policy has no ministry `culture`");
    let _held = tunnel(world.ordinary());
    refused(world.ordinary(), "ministry-flows");
    for wire in &mut before {
        assert_eq!(tunnel_lives(wire), "still", "who has a place keeps it");
    }
}

#[test]
fn check_finds_figures_for_whom_the_policy_does_not_have() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("octroi.yaml");
    let policy = repository().join("examples/policy");
    let yaml = |ministry: &str| {
        let policy = policy.display();
        format!(
            "policy: {{ path: {policy} }}\nlimits:\n  flows:\n    ministries: {{ {ministry}: 100 }}\n    workloads: {{ essai/essai-sensible: 9, essai-ordinaire: none }}\n"
        )
    };
    let check = |ministry: &str, more: &[&str]| {
        std::fs::write(&file, yaml(ministry)).unwrap();
        finish(octroi().arg("check").arg(&file).args(more))
    };
    let (code, said) = check("essai", &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check("esai", &[]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "error[octroi-yaml]: the policy has no ministry `esai`",
        "octroi.yaml:4:19",
        "ministries: { esai: 100 }",
        "help: did you mean `essai`?",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    let (code, said) = check("esai", &["--format", "json"]);
    assert_eq!(code, Some(1), "{said}");
    let findings: serde_json::Value = serde_json::from_str(&said).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    assert!(findings.any(|it| it["message"] == "the policy has no ministry `esai`"));
}

const MINISTRIES: u8 = 40;
const SERVICES: u8 = 40;

/// Forty ministries that may reach none of forty services.
fn write_prohibitions(world_block: crate::harness::Block, root: &std::path::Path) {
    let mut services = String::from("services:\n");
    let mut rules = String::from("version: 1\nname: flood\ndefault: allow\nrules:\n");
    for n in 0..SERVICES {
        let _ = writeln!(
            services,
            "  - {{ id: s{n}, name: S{n}, country: FR, category: [storage], domains: [.s{n}.example] }}"
        );
        let _ = writeln!(
            rules,
            "  - {{ id: no-s{n}, effect: deny, when: {{ service: s{n} }}, reason: {{ fr: Non., en: No. }} }}"
        );
    }
    let mut ministries = String::from("ministries:\n");
    for n in 0..MINISTRIES {
        let source = world_block.ip(100 + n);
        let _ = writeln!(
            ministries,
            "  - {{ id: m{n}, name: M{n}, workloads: [ {{ id: w{n}, sensitivity: standard, sources: [\"{source}/32\"] }} ] }}"
        );
    }
    rules.push_str("unassigned: { sensitivity: sensitive, default: deny }\n");
    std::fs::remove_dir_all(root).unwrap();
    std::fs::create_dir_all(root).unwrap();
    for (file, text) in [
        ("policy.yaml", rules),
        ("services.yaml", services),
        ("ministries.yaml", ministries),
    ] {
        std::fs::write(root.join(file), text).unwrap();
    }
}

/// 1,600 pairs of ministry and service where 1,000 series may live: none is lost, none too many.
#[test]
fn a_flood_of_ids_never_makes_more_series_than_allowed() {
    let plan = Plan::new().set("limits", "metric_series: 1000").set(
        "limits",
        "flows: { per_ministry: 100000, per_workload: 100000 }",
    );
    let plan = plan.prepare(write_prohibitions);
    let world = plan.start();
    let mut most = 0;
    for ministry in 0..MINISTRIES {
        let from = world.block.ip(100 + ministry);
        for service in 0..SERVICES {
            let target = format!("www.s{service}.example:443");
            assert_eq!(world.wire(from).connect(&target).status, 403);
        }
        let live = world.gate.metrics().samples.len();
        assert!(
            live <= 1000,
            "{live} series after {} ministries",
            ministry + 1
        );
        most = most.max(live);
    }
    assert!(most > 800, "{most} series: the cap was never near");
    let tries = u64::from(MINISTRIES) * u64::from(SERVICES);
    let lines = eventually("every decision is written", || {
        let lines = world.gate.decisions();
        (lines.len() as u64 >= tries).then_some(lines)
    });
    let metrics = world.gate.metrics();
    assert_eq!(metrics.total("octroi_attempts_total", &[]), tries);
    assert_eq!(lines.len() as u64, tries);
    let by_ministry = metrics.by("octroi_attempts_total", "ministry");
    assert_eq!(
        by_ministry.len(),
        usize::from(MINISTRIES),
        "ministries stay told apart"
    );
    assert!(
        by_ministry
            .values()
            .all(|&count| count == u64::from(SERVICES)),
        "{by_ministry:?}"
    );
    let other = metrics.total("octroi_attempts_total", &[("service", "other")]);
    assert!(other > 0);
    let hits = metrics.total("octroi_rule_hits_total", &[]);
    assert_eq!(hits, tries, "the same of every family");
    let folded = metrics.total("octroi_metric_series_limited_total", &[]);
    assert!(folded >= other, "{folded} of which {other} attempts");
}

/// Series by name and labels, values left out.
fn series(world: &World) -> BTreeSet<(String, Vec<(String, String)>)> {
    let samples = world.gate.metrics().samples.into_iter();
    let named = samples.map(|sample| (sample.name, sample.labels.into_iter().collect()));
    named.collect()
}

/// One that asks for a name, and shows another inside a tunnel to an origin that there is.
fn hostile(world: &World, name: &str) {
    world.ordinary().connect(&format!("{name}:443"));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("steady.example:443").status, 200);
    wire.send(client_hello(Some(name)));
    wire.rest();
}

#[test]
fn names_that_clients_make_up_are_no_series() {
    let world = World::new();
    world.origin("steady.example", 10, 443, echo());
    // Everything once, the cache included.
    hostile(&world, "first.example");
    hostile(&world, "first.example");
    let flows = |count| {
        eventually("every flow is decided", || {
            let metrics = world.gate.metrics();
            (metrics.total("octroi_attempts_total", &[]) >= count).then_some(())
        });
    };
    flows(4);
    let before = series(&world);
    for number in 0..200_u64 {
        let drawn = RandomState::new().hash_one(number);
        hostile(&world, &format!("x{drawn:x}.s{number}.example"));
    }
    flows(404);
    let after = series(&world);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
}

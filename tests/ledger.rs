//! Counter and log agree, whoever the clients are.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::client::{chromium, client_hello};
use crate::harness::eventually;
use crate::harness::ledger::field;
use crate::harness::proxy::FLOW_ID;
use crate::harness::scrape::{Line, Scrape};
use crate::harness::servers::{Nginx, SServer, bare_repository};
use crate::harness::tools::{finish, python, tool};
use crate::harness::world::World;

const PYTHON: &str = r#"
import sys, requests
proxy, authority = sys.argv[1:3]
session = requests.Session()
session.trust_env = False
session.proxies = {"http": proxy, "https": proxy}
session.verify = authority
print(session.get("https://site.example/").text.strip())
print(session.get("http://site.example/").text.strip())
print(session.post("http://site.example/", data=(b"x" for _ in range(3))).status_code)
try:
    session.get("https://www.drop.example/")
except requests.exceptions.ProxyError as error:
    print("refused" if "403" in str(error) else error)
print(session.get("http://www.drop.example/").status_code)
"#;

fn by_ministry(lines: &[Line]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.text(field::MINISTRY)).or_insert(0) += 1;
    }
    counts
}

fn attempts(world: &World) -> BTreeMap<String, u64> {
    world.gate.metrics().by("octroi_attempts_total", "ministry")
}

/// curl, Python, openssl, git, Chromium and a bare socket, over nginx, s_server and nothing at all.
fn mixed_run(world: &World) -> Nginx {
    let identity = world.pki.issue(&["site.example"]);
    let nginx = Nginx::start(world.dir.path(), world.block.ip(10), &identity);
    world.dns.v4("site.example", world.block.ip(10));
    run_curl(world);
    run_python(world);
    run_openssl(world);
    run_git(world, &nginx);
    let page = chromium(&world.gate.url(), "https://site.example/index.html");
    assert!(page.contains("nginx is here"), "{page}");
    // Nobody's source, a mismatch, a dead name.
    assert_eq!(
        world
            .wire(world.block.stranger())
            .connect("site.example:443")
            .status,
        403
    );
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("site.example:443").status, 200);
    wire.send(client_hello(Some("www.drop.example")));
    wire.rest();
    assert_eq!(world.ordinary().connect("nowhere.example:443").status, 502);
    nginx
}

fn run_curl(world: &World) {
    for url in [
        "https://site.example/",
        "http://site.example/",
        "http://site.example/none",
    ] {
        let answer = world.curl(world.block.ordinary(), &[url]);
        assert!(
            [200, 404].contains(&answer.status),
            "{url}: {}",
            answer.said
        );
    }
    for url in ["https://outlook.office.com/", "http://outlook.office.com/"] {
        world.curl(world.block.sensitive(), &[url]);
    }
}

fn run_python(world: &World) {
    let mut command = python();
    command
        .args(["-c", PYTHON, &world.gate.url()])
        .arg(world.pki.authority());
    let (code, said) = finish(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let here = "<p>nginx is here</p>";
    assert_eq!(said, format!("{here}\n{here}\n405\nrefused\n403\n"));
}

fn run_openssl(world: &World) {
    let identity = world.pki.issue(&["server.example"]);
    let _server = SServer::start(world.block.ip(11), &identity);
    world.dns.v4("server.example", world.block.ip(11));
    let mut command = tool("openssl");
    let (gate, from) = (
        world.gate.address().to_string(),
        world.block.ordinary().to_string(),
    );
    command.args([
        "s_client",
        "-proxy",
        &gate,
        "-bind",
        &from,
        "-connect",
        "server.example:443",
    ]);
    command.args([
        "-servername",
        "server.example",
        "-verify_return_error",
        "-CAfile",
    ]);
    command.arg(world.pki.authority());
    let (_, said) = finish(&mut command);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
}

fn run_git(world: &World, nginx: &Nginx) {
    bare_repository(&nginx.site().join("project.git"));
    let clone = world.dir.path().join("clone");
    let mut command = tool("git");
    let authority = format!("http.sslCAInfo={}", world.pki.authority().display());
    let proxy = format!("http.proxy={}", world.gate.url());
    command.args([
        "-c",
        &authority,
        "-c",
        &proxy,
        "clone",
        "-q",
        "https://site.example/project.git",
    ]);
    command.arg(&clone).env("HOME", world.dir.path());
    let (code, said) = finish(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let read = std::fs::read_to_string(clone.join("README")).unwrap();
    assert_eq!(read, "through the gate\n");
}

#[test]
fn attempts_equal_decision_lines_after_a_mixed_run_of_real_clients() {
    let mut world = World::new();
    let nginx = mixed_run(&world);
    assert!(
        nginx.served().contains("GET /index.html"),
        "{}",
        nginx.served()
    );
    let agreed = eventually("counter and log agree, ministry by ministry", || {
        let counted = attempts(&world);
        (counted == by_ministry(&world.gate.decisions())).then_some(counted)
    });
    for ministry in ["culture", "interieur", "finances", "unassigned"] {
        assert!(
            agreed[ministry] > 0,
            "nobody came from {ministry}: {agreed:?}"
        );
    }
    let metrics = world.gate.metrics();
    assert_verdicts_agree(&metrics, &world.gate.decisions());
    promtool_is_content(&metrics.text);

    world.gate.signal(Signal::TERM);
    assert_eq!(world.gate.exit(), Some(0));
    assert_each_decision_is_closed(&world);
}

fn assert_verdicts_agree(metrics: &Scrape, lines: &[Line]) {
    for (verdict, mode) in [
        ("allow", "enforced"),
        ("deny", "enforced"),
        ("deny", "observed"),
    ] {
        let counted = metrics.total(
            "octroi_attempts_total",
            &[("verdict", verdict), ("mode", mode)],
        );
        let is = |l: &&Line| l.text(field::VERDICT) == verdict && l.text(field::MODE) == mode;
        let written = lines.iter().filter(is).count() as u64;
        assert_eq!(counted, written, "{verdict} {mode}");
    }
}

fn promtool_is_content(text: &str) {
    let mut command = tool("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.is_empty(),
        "promtool: {said}"
    );
}

fn assert_each_decision_is_closed(world: &World) {
    let lines = world.gate.audit();
    for line in lines
        .iter()
        .filter(|l| l.text("event.action") == "decision")
    {
        let flow = line.text(FLOW_ID);
        let closes = |l: &&Line| l.text("event.action") == "close" && l.text(FLOW_ID) == flow;
        assert_eq!(lines.iter().filter(closes).count(), 1, "{line:?}");
    }
}

/// What the security team's tools rely on in each line.
#[test]
fn every_line_is_ecs() {
    let world = World::new();
    world
        .wire(world.block.sensitive())
        .connect("outlook.office.com:443");
    let line = world.gate.decision("outlook.office.com");
    for name in [
        "@timestamp",
        "ecs.version",
        "event.kind",
        "event.action",
        "source.ip",
    ] {
        assert!(!line.text(name).is_empty(), "no {name} in {line:?}");
    }
    let time = line.text("@timestamp");
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert_eq!(line.text("source.ip"), world.block.sensitive().to_string());
    assert_eq!(line.text("destination.port"), "443");
}

#[test]
fn client_addresses_can_be_left_out() {
    let plan = crate::harness::world::Plan::new().set("audit", "client_address: none");
    let world = plan.start();
    let from = world.block.sensitive();
    world.wire(from).connect("outlook.office.com:443");
    world.gate.decision("outlook.office.com");
    let text = std::fs::read_to_string(world.gate.audit_path()).unwrap();
    assert!(!text.contains(&from.to_string()), "{text}");
}

#[test]
fn no_client_text_becomes_a_label() {
    let world = World::new();
    for number in 0..20 {
        world
            .ordinary()
            .connect(&format!("random-{number}.example:443"));
    }
    world
        .gate
        .counted("octroi_attempts_total", &[("ministry", "culture")], 20);
    let metrics = world.gate.metrics();
    assert!(!metrics.text.contains("random-"), "{}", metrics.text);
    let series = metrics
        .samples
        .iter()
        .filter(|s| s.name == "octroi_attempts_total");
    assert!(series.count() <= 3, "{}", metrics.text);
}

/// One machine that retries all day, and many that ask once.
#[test]
fn machines_are_counted_and_not_their_tries() {
    let world = World::new();
    for _ in 0..30 {
        world.ordinary().connect("nowhere.example:443");
    }
    for host in 100..120 {
        world
            .wire(world.block.ip(host))
            .connect("nowhere.example:443");
    }
    let distinct = |ministry: &str| {
        let labels = [("ministry", ministry), ("service", "unlisted")];
        world
            .gate
            .metrics()
            .total("octroi_distinct_sources", &labels)
    };
    eventually("every machine is counted", || {
        (distinct("culture") == 1 && distinct("unassigned") == 20).then_some(())
    });
    assert!(
        !world
            .gate
            .metrics()
            .text
            .contains(&world.block.ip(100).to_string())
    );
}

//! Counter and log agree, whoever the clients are.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::client::{chromium, client_hello};
use crate::harness::disk::Disk;
use crate::harness::eventually;
use crate::harness::ledger::field;
use crate::harness::proxy::FLOW_ID;
use crate::harness::scrape::{Line, Scrape};
use crate::harness::servers::{Nginx, SServer, bare_repository};
use crate::harness::tools::{finish, python, tool};
use crate::harness::world::{Plan, World};

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
    let plan = Plan::new().set("audit", "client_address: none");
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
    // Of twenty, two share a register of the sketch one time in a hundred.
    eventually("every machine is counted", || {
        let unassigned = distinct("unassigned");
        (distinct("culture") == 1 && (19..=20).contains(&unassigned)).then_some(())
    });
    assert!(
        !world
            .gate
            .metrics()
            .text
            .contains(&world.block.ip(100).to_string())
    );
}

#[test]
fn a_keyed_hash_stands_for_the_address() {
    let plan = Plan::new();
    let key = plan.path("audit.key");
    std::fs::write(&key, [7; 32]).unwrap();
    let world = plan
        .set("audit", "client_address: keyed-hash")
        .set("audit", format!("key: {}", key.display()))
        .start();
    for from in [world.block.sensitive(), world.block.ordinary()] {
        world.wire(from).connect("outlook.office.com:443");
        world.wire(from).connect("www.drop.example:443");
    }
    let lines = eventually("four decisions", || {
        let lines = world.gate.decisions();
        (lines.len() == 4).then_some(lines)
    });
    let mut hashes: Vec<String> = lines.iter().map(|line| line.text("client.hash")).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 2, "{lines:?}");
    let text = std::fs::read_to_string(world.gate.audit_path()).unwrap();
    for hidden in [world.block.sensitive(), world.block.ordinary()] {
        assert!(!text.contains(&hidden.to_string()), "{text}");
    }
}

#[test]
fn a_key_that_is_missing_or_too_short_stops_the_start() {
    for key in [None, Some([7; 31])] {
        let plan = Plan::new();
        let path = plan.path("audit.key");
        if let Some(bytes) = key {
            std::fs::write(&path, bytes).unwrap();
        }
        let plan = plan.set("audit", "client_address: keyed-hash");
        let (code, said) = plan
            .set("audit", format!("key: {}", path.display()))
            .fails();
        assert_eq!(code, Some(74), "{said}");
        assert!(
            said.contains("error: cannot use the key of the audit log: "),
            "{said}"
        );
        assert!(said.contains("audit.key"), "{said}");
    }
}

/// More than a file holds: no line is lost, and no more files stay than are kept.
#[test]
fn the_log_is_rotated_and_its_oldest_files_removed() {
    let plan = Plan::new();
    let world = plan
        .set("audit", "rotate: 64KiB")
        .set("audit", "keep: 2")
        .start();
    let path = world.gate.audit_path();
    let aside = || -> Vec<std::path::PathBuf> {
        let directory = std::fs::read_dir(path.parent().unwrap()).unwrap();
        let mut files: Vec<_> = directory
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.to_string_lossy().contains("audit.jsonl."))
            .collect();
        files.sort();
        files
    };
    let mut first = None;
    eventually("the first file set aside is gone again", || {
        world.ordinary().connect("www.drop.example:443");
        first = first.take().or_else(|| aside().into_iter().next());
        first
            .as_ref()
            .is_some_and(|file| !file.exists())
            .then_some(())
    });
    assert!(aside().len() <= 2, "{:?}", aside());
    for file in aside() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.len() <= 64 << 10 && text.len() > 60 << 10,
            "{}",
            text.len()
        );
        text.lines().for_each(|line| drop(Line::parse(line)));
    }
    let metrics = world.gate.metrics();
    assert_eq!(metrics.total("octroi_audit_errors_total", &[]), 0);
}

/// Nothing passes unrecorded, and the gate comes back by itself.
#[test]
fn flows_are_refused_while_the_logs_directory_is_gone() {
    let plan = Plan::new();
    let logs = plan.path("logs");
    std::fs::create_dir(&logs).unwrap();
    std::os::unix::fs::symlink(logs.join("audit.jsonl"), plan.path("audit.jsonl")).unwrap();
    let world = plan.start();
    assert_eq!(world.ordinary().connect("nowhere.example:443").status, 502);
    std::fs::remove_dir_all(&logs).unwrap();
    eventually("refused", || {
        (world.ordinary().connect("nowhere.example:443").status == 503).then_some(())
    });
    let errors = world.gate.metrics().total("octroi_audit_errors_total", &[]);
    assert!(errors > 0);
    assert!(
        world
            .gate
            .log()
            .contains("the audit log cannot be written: new flows are refused")
    );
    std::fs::create_dir(&logs).unwrap();
    eventually("served again", || {
        (world.ordinary().connect("nowhere.example:443").status == 502).then_some(())
    });
    assert!(
        world
            .gate
            .log()
            .contains("the audit log can be written again")
    );
}

/// The log's disk fills up and is emptied again: nothing passes unrecorded, no line is cut or lost.
#[test]
fn flows_are_refused_while_the_logs_disk_is_full() {
    let plan = Plan::new();
    let disk = Disk::mount("256k");
    let place = disk.0.path();
    let (log, filler) = (place.join("audit.jsonl"), place.join("filler"));
    std::os::unix::fs::symlink(log, plan.path("audit.jsonl")).unwrap();
    let world = plan.start();
    std::fs::write(&filler, vec![0; 200 << 10]).unwrap();
    let ask = || world.ordinary().connect("www.drop.example:443").status;
    let mut decided = 0;
    eventually("refused", || {
        let status = ask();
        decided += u64::from(status == 403);
        (status == 503).then_some(())
    });
    std::fs::remove_file(&filler).unwrap();
    eventually("served again", || (ask() == 403).then_some(()));
    decided += 1;
    eventually("counter and log agree", || {
        let agreed = attempts(&world) == by_ministry(&world.gate.decisions());
        agreed.then_some(())
    });
    assert_eq!(attempts(&world)["culture"], decided);
    let metrics = world.gate.metrics();
    assert!(metrics.total("octroi_audit_errors_total", &[]) > 0);
    assert_eq!(metrics.total("octroi_audit_lost_lines_total", &[]), 0);
    // The gate ends before its disk does.
    drop(world);
}

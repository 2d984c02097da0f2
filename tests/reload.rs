//! A policy that changes while the gate works.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use crate::harness::client::{Wire, client_hello};
use crate::harness::eventually;
use crate::harness::ledger::{Became, field};
use crate::harness::load::{Errand, Load};
use crate::harness::origin::{Origin, echo};
use crate::harness::scrape::Line;
use crate::harness::world::{Plan, World, copy, repository};

const INDICATORS: &str = "lists/indicators.txt";

/// Writes beside and renames over, as editors and deployment tools do.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

/// Whether a CONNECT to the host is refused now.
fn is_refused(world: &World, host: &str) -> bool {
    world.ordinary().connect(&format!("{host}:443")).status == 403
}

fn until_refused(world: &World, host: &str) {
    eventually(&format!("{host} is refused"), || {
        is_refused(world, host).then_some(())
    });
}

fn reloads(world: &World, result: &str) -> u64 {
    world
        .gate
        .metrics()
        .total("octroi_policy_reloads_total", &[("result", result)])
}

/// Bundles that were not put in force.
fn failed_reloads(world: &World) -> u64 {
    reloads(world, "rejected")
}

fn digest(world: &World) -> Vec<String> {
    let metrics = world.gate.metrics();
    let info = metrics
        .samples
        .iter()
        .filter(|s| s.name == "octroi_policy_info");
    info.map(|s| s.labels["digest"].clone()).collect()
}

fn open_tunnels(world: &World, host: &str, count: usize, hello: &[u8]) -> Vec<Wire> {
    let open = |_| {
        let mut wire = world.ordinary();
        assert_eq!(wire.connect(&format!("{host}:443")).status, 200);
        wire.send(hello);
        wire.exactly(hello.len());
        wire
    };
    (0..count).map(open).collect()
}

/// 200 tunnels stand open, 500 come each second, one list gets a line more.
#[test]
fn a_list_line_is_in_force_within_a_second_under_load() {
    let world = Plan::new().alone().start();
    world.origin("steady.example", 10, 443, echo());
    let soon = world.origin("soon.example", 11, 443, echo());
    let hello = client_hello(Some("steady.example"));
    let mut tunnels = open_tunnels(&world, "steady.example", 200, &hello);
    let errand = Errand {
        gate: world.gate.address(),
        from: world.block.ip(203),
        target: "steady.example:443".to_owned(),
        hello: Arc::new(hello),
    };
    let load = Load::start(errand, 500);
    eventually("the load is under way", || {
        (load.good() > 500).then_some(())
    });
    assert!(!is_refused(&world, "soon.example"));

    replace(
        &world.policy.join(INDICATORS),
        ".malware.example\n.soon.example\n",
    );
    let edited = Instant::now();
    until_refused(&world, "soon.example");
    let took = edited.elapsed();

    let so_far = load.good();
    eventually("the load goes on", || {
        (load.good() > so_far + 1000).then_some(())
    });
    let (good, failed, rate) = load.stop();
    eprintln!("in force after {took:?}; {good} tunnels good, {failed} failed, {rate:.0} a second");
    assert!(took < Duration::from_secs(1), "in force after {took:?}");
    assert_eq!(failed, 0, "of {good} allowed tunnels");
    assert!(rate > 400.0, "the load was {rate:.0} a second, not 500");
    for tunnel in &mut tunnels {
        tunnel.send("alive");
        assert_eq!(tunnel.exactly(5), "alive");
    }
    let active = world
        .gate
        .metrics()
        .total("octroi_tunnels_active", &[("ministry", "culture")]);
    assert_eq!(active, 200);
    assert!(soon.bytes().is_empty());
}

#[test]
fn a_broken_edit_changes_nothing_and_says_so() {
    let world = World::new();
    world.origin("news.example", 10, 443, echo());
    let before = digest(&world);
    replace(
        &world.policy.join("policy.yaml"),
        "version: 1\nname: [broken\n",
    );
    eventually("the failure is counted", || {
        (failed_reloads(&world) > 0).then_some(())
    });
    assert!(!is_refused(&world, "news.example"));
    assert!(
        is_refused(&world, "www.drop.example"),
        "the last good policy is in force"
    );
    assert_eq!(digest(&world), before);
    let ready = world.gate.ask("GET", "/-/ready");
    assert_eq!(ready.status, 200);
    assert!(
        ready.body.contains("policy.yaml"),
        "ready says what is wrong: {}",
        ready.body
    );
    assert!(world.gate.log().contains("policy.yaml"), "so does the log");
}

#[test]
fn a_repaired_edit_is_in_force() {
    let world = World::new();
    let file = world.policy.join("policy.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    replace(&file, "nonsense: true\n");
    eventually("the failure is counted", || {
        (failed_reloads(&world) > 0).then_some(())
    });
    replace(
        &file,
        &good.replace("service: drop", "domains: [.shop.example]"),
    );
    until_refused(&world, "www.shop.example");
}

#[test]
fn an_emptied_list_is_never_silence() {
    let world = World::new();
    replace(&world.policy.join(INDICATORS), "# nothing here\n");
    eventually("the failure is counted", || {
        (failed_reloads(&world) > 0).then_some(())
    });
    assert!(is_refused(&world, "c2.malware.example"));
}

#[test]
fn a_failing_test_of_the_bundle_keeps_it_out() {
    let world = World::new();
    let tests = "tested_at: 2026-11-23\ntests:\n  - name: drop is open\n    given: { source: 192.0.2.1, host: www.drop.example }\n    expect: { verdict: allow }\n";
    std::fs::write(world.policy.join("tests.yaml"), tests).unwrap();
    replace(
        &world.policy.join(INDICATORS),
        ".malware.example\n.soon.example\n",
    );
    eventually("the failure is counted", || {
        (failed_reloads(&world) > 0).then_some(())
    });
    assert!(!world.gate.log().is_empty());
    world.origin("soon.example", 10, 443, echo());
    assert!(!is_refused(&world, "soon.example"));
}

/// Kubernetes mounts `..data` as a link to a dated directory, and swaps the link.
#[test]
fn a_swapped_data_link_is_noticed() {
    let world = Plan::new().policy_at(into_dated_directory).start();
    world.origin("soon.example", 10, 443, echo());
    assert!(!is_refused(&world, "soon.example"));
    let mount = world.dir.path().join("mount");
    let next = mount.join("..2026_11_24");
    copy(&mount.join("..2026_11_23"), &next);
    std::fs::write(next.join(INDICATORS), ".malware.example\n.soon.example\n").unwrap();
    std::os::unix::fs::symlink("..2026_11_24", mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    std::fs::remove_dir_all(mount.join("..2026_11_23")).unwrap();
    until_refused(&world, "soon.example");
    assert_eq!(
        failed_reloads(&world),
        0,
        "the swap is one step, never a broken bundle"
    );
}

fn into_dated_directory(dir: &Path, policy: &Path) -> std::path::PathBuf {
    let mount = dir.join("mount");
    std::fs::create_dir(&mount).unwrap();
    std::fs::rename(policy, mount.join("..2026_11_23")).unwrap();
    std::os::unix::fs::symlink("..2026_11_23", mount.join("..data")).unwrap();
    for name in ["policy.yaml", "lists", "ministries", "services"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    mount
}

/// A slow writer: the file is broken in between, and the gate never follows it there.
#[test]
fn a_half_written_file_is_never_in_force() {
    let world = World::new();
    world.origin("soon.example", 10, 443, echo());
    let file = world.policy.join("policy.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let whole = good.replace("service: drop", "domains: [.soon.example, .drop.example]");
    let half = whole.find("  - id: no-drop").unwrap() + 12;
    std::fs::write(&file, &whole[..half]).unwrap();
    eventually("the half was looked at and refused", || {
        (failed_reloads(&world) > 0).then_some(())
    });
    assert!(
        is_refused(&world, "www.drop.example"),
        "the last good policy is in force"
    );
    assert!(!is_refused(&world, "soon.example"));
    std::fs::write(&file, &whole).unwrap();
    until_refused(&world, "soon.example");
    assert!(is_refused(&world, "www.drop.example"));
}

#[test]
fn the_admin_listener_and_sighup_reload() {
    let world = World::new();
    let unchanged = [("result", "unchanged")];
    let before = reloads(&world, "unchanged");
    let answer = world.gate.ask("POST", "/-/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let after = world
        .gate
        .counted("octroi_policy_reloads_total", &unchanged, before + 1);
    world.gate.signal(Signal::HUP);
    world
        .gate
        .counted("octroi_policy_reloads_total", &unchanged, after + 1);
    assert_eq!(
        world.gate.ask("GET", "/-/reload").status,
        405,
        "reading does not reload"
    );
    // Asked for, an edit is in force when the answer comes.
    replace(
        &world.policy.join(INDICATORS),
        ".malware.example\n.soon.example\n",
    );
    let answer = world.gate.ask("POST", "/-/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(is_refused(&world, "soon.example"));
    std::fs::write(world.policy.join("policy.yaml"), "version: [").unwrap();
    let answer = world.gate.ask("POST", "/-/reload");
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("policy.yaml"), "{}", answer.body);
}

#[test]
fn a_bad_bundle_at_the_start_refuses_to_start() {
    let broken = Plan::new();
    let broken = broken.policy_at(|_, policy| {
        std::fs::write(policy.join("policy.yaml"), "version: 1\nname: [broken\n").unwrap();
        policy.to_owned()
    });
    let (code, said) = broken.fails();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("policy.yaml"), "{said}");
}

/// The gate of the example bundle notices an edit of that bundle as well.
#[test]
fn the_example_bundle_reloads() {
    let world = Plan::example().start();
    let first = repository().join("examples/policy").join(INDICATORS);
    let text = std::fs::read_to_string(first).unwrap();
    replace(
        &world.policy.join(INDICATORS),
        &format!("{text}\n.soon.example\n"),
    );
    eventually("soon.example is refused", || {
        let mut wire = world.wire([127, 0, 0, 2].into());
        (wire.connect("soon.example:443").status == 403).then_some(())
    });
    world.recorded("soon.example", "essai", Became::Refused);
}

#[test]
fn tunnels_that_are_open_outlive_a_reload() {
    let world = World::new();
    let origin: Origin = world.origin("steady.example", 10, 443, echo());
    let hello = client_hello(Some("steady.example"));
    let mut tunnels = open_tunnels(&world, "steady.example", 3, &hello);
    replace(
        &world.policy.join(INDICATORS),
        ".malware.example\n.soon.example\n",
    );
    until_refused(&world, "x.soon.example");
    for tunnel in &mut tunnels {
        tunnel.send("alive");
        assert_eq!(tunnel.exactly(5), "alive");
    }
    assert_eq!(origin.open(), 3);
}

/// Within which the gate says that it ends tunnels that are denied from now on.
const REVOKE_WITHIN: Duration = Duration::from_secs(5);

/// A tunnel that has carried bytes both ways.
fn open_tunnel(mut wire: Wire, host: &str) -> Wire {
    let hello = client_hello(Some(host));
    assert_eq!(wire.connect(&format!("{host}:443")).status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    wire
}

fn assert_alive(tunnel: &mut Wire) {
    tunnel.send("alive");
    assert_eq!(tunnel.exactly(5), "alive");
}

/// The close line of the last flow to a host says that it was revoked, and why.
fn assert_revoked(world: &World, host: &str, ministry: &str, rule: &str) -> Line {
    let close = world.gate.close_of(&world.gate.decision(host));
    assert_eq!(close.text(field::REASON), "revoked", "{close:?}");
    assert_eq!(close.text(field::RULE), rule, "{close:?}");
    assert_eq!(close.text("octroi.closed_by"), "gate");
    assert_eq!(close.text(field::MINISTRY), ministry);
    assert_eq!(close.text("octroi.policy.digest"), digest(world)[0]);
    close
}

fn attempts(world: &World) -> u64 {
    world.gate.metrics().total("octroi_attempts_total", &[])
}

#[test]
fn an_open_tunnel_that_lands_on_a_list_is_closed_and_recorded() {
    let world = World::new();
    let gone = world.origin("gone.example", 10, 443, echo());
    world.origin("steady.example", 11, 443, echo());
    world.origin("watched.example", 12, 443, echo());
    let mut denied = [(); 2].map(|()| open_tunnel(world.ordinary(), "gone.example"));
    let mut steady = open_tunnel(world.ordinary(), "steady.example");
    let mut watched = open_tunnel(world.ordinary(), "watched.example");
    assert_eq!(attempts(&world), 4);

    let file = world.policy.join("policy.yaml");
    let policy = std::fs::read_to_string(&file).unwrap();
    let watch = "rules:\n  - { id: watch, effect: deny, mode: observe, when: { domains: [watched.example] } }\n";
    replace(&file, &policy.replace("rules:\n", watch));
    replace(
        &world.policy.join(INDICATORS),
        ".malware.example\n.gone.example\n",
    );
    let edited = Instant::now();
    let answer = world.gate.ask("POST", "/-/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    for tunnel in &mut denied {
        assert!(tunnel.rest().is_empty());
    }
    let took = edited.elapsed();
    eprintln!("closed {took:?} after the edit");
    assert!(took < REVOKE_WITHIN, "closed after {took:?}");
    eventually("the origin is left", || (gone.open() == 0).then_some(()));

    let close = assert_revoked(&world, "gone.example", "culture", "cert-indicators");
    assert_eq!(close.text("octroi.detail"), "block");
    let culture = [("ministry", "culture")];
    let revoked = "octroi_tunnels_revoked_total";
    assert_eq!(world.gate.counted(revoked, &culture, 2), 2);
    assert_eq!(attempts(&world), 4, "nothing is an attempt twice");
    assert_eq!(world.gate.decisions().len(), 4);
    assert_alive(&mut steady);
    assert_alive(&mut watched);
    let active = world
        .gate
        .metrics()
        .total("octroi_tunnels_active", &culture);
    assert_eq!(active, 2);
}

fn derogate(policy: &Path, until: Timestamp) {
    let from = until - SignedDuration::from_hours(48);
    let text = format!(
        "derogations:\n  - {{ id: D-1, ministry: interieur, services: [exchange-online], from: '{from}', until: '{until}', approved_by: A, reference: B }}\n"
    );
    replace(&policy.join("derogations.yaml"), &text);
}

#[test]
fn a_derogation_that_ends_ends_its_open_tunnels() {
    let within_a_day = Timestamp::now() + SignedDuration::from_hours(24);
    let plan = Plan::new().policy_at(|_, policy| {
        derogate(policy, within_a_day);
        policy.to_owned()
    });
    let world = plan.start();
    world.origin("outlook.office.com", 10, 443, echo());
    let sensitive = || world.wire(world.block.sensitive());
    let mut observed = open_tunnel(world.ordinary(), "outlook.office.com");
    let mut lifted = open_tunnel(sensitive(), "outlook.office.com");

    let until = Timestamp::now() + SignedDuration::from_secs(4);
    derogate(&world.policy, until);
    let answer = world.gate.ask("POST", "/-/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_alive(&mut lifted);
    assert!(lifted.rest().is_empty());
    let late = until.duration_until(Timestamp::now());
    eprintln!("closed {late:?} after the derogation's end");
    assert!(late >= SignedDuration::ZERO, "closed {late:?} too early");
    assert!(late.unsigned_abs() < REVOKE_WITHIN, "closed {late:?} late");

    let close = assert_revoked(
        &world,
        "outlook.office.com",
        "interieur",
        "r9-sensitive-data",
    );
    assert_eq!(close.text("octroi.detail"), "deny");
    assert_alive(&mut observed);
    let status = sensitive().connect("outlook.office.com:443").status;
    assert_eq!(status, 403, "a new one is refused as well");
}

//! What goes wrong around a gate, and what stays true meanwhile and afterwards.

mod descriptors;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use crate::harness::client::{Wire, client_hello};
use crate::harness::clock::Clock;
use crate::harness::disk::Disk;
use crate::harness::eventually;
use crate::harness::load::{Errand, Load};
use crate::harness::origin::echo;
use crate::harness::scrape::{Line, request};
use crate::harness::tools::{finish, tool};
use crate::harness::world::{Plan, World};

/// Not a port on which a ClientHello is awaited: a tunnel to it stands as long as it is held.
const TARGET: &str = "steady.example:8443";

/// A tunnel that carries bytes.
fn tunnel(mut wire: Wire) -> Wire {
    assert_eq!(wire.connect(TARGET).status, 200);
    assert_lives(&mut wire);
    wire
}

fn assert_lives(wire: &mut Wire) {
    wire.send("ping");
    assert_eq!(wire.exactly(4), "ping");
}

fn with_steady(world: &World) {
    world.origin("steady.example", 10, 8443, echo());
}

/// The status of a flow that gets as far as the resolver when all is well.
fn ask(world: &World) -> u16 {
    world.ordinary().connect("nowhere.example:443").status
}

/// Every line of the audit log, each of them whole.
fn whole_lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
    text.lines().map(Line::parse).collect()
}

fn attempts(world: &World) -> u64 {
    world.gate.metrics().total("octroi_attempts_total", &[])
}

/// Killed under load, three times, the last time in the middle of a line: the next gate has the
/// ports, serves at once, and the log holds whole lines only.
#[test]
fn a_gate_that_is_killed_leaves_whole_lines_and_free_ports() {
    let mut world = World::new();
    world.origin("steady.example", 10, 443, echo());
    for round in 0..3 {
        let errand = Errand {
            gate: world.gate.address(),
            from: world.block.ip(203),
            target: "steady.example:443".to_owned(),
            hello: Arc::new(client_hello(Some("steady.example"))),
        };
        let load = Load::start(errand, 100);
        eventually("there is load", || (load.good() >= 50).then_some(()));
        let mut open = world.ordinary();
        assert_eq!(open.connect("steady.example:443").status, 200);
        world.gate.signal(Signal::KILL);
        assert_eq!(world.gate.exit(), None, "ended by the signal");
        load.stop();
        if round == 2 {
            let mut log = std::fs::File::options()
                .append(true)
                .open(world.gate.audit_path());
            let torn = br#"{"@timestamp":"2026-11-24T10:15:00.000000Z","ecs":{"ver"#;
            std::io::Write::write_all(log.as_mut().unwrap(), torn).unwrap();
        }
        let began = Instant::now();
        world.start_again();
        assert_eq!(world.ordinary().connect("steady.example:443").status, 200);
        eprintln!("serves {:?} after its start", began.elapsed());
        let lines = whole_lines(&world.gate.audit_path());
        assert!(lines.len() >= 50 * (round + 1), "{} lines", lines.len());
    }
    let said = "the audit log ended in the middle of a line, which is removed";
    assert!(world.gate.log().contains(said));
}

/// With `on_failure: serve` the log's disk fills up: everybody is served, what is lost is counted,
/// and once there is room the rest is written, no line cut or written twice.
#[test]
fn flows_are_served_and_counted_while_the_logs_disk_is_full() {
    let plan = Plan::new().set("audit", "on_failure: serve");
    let disk = Disk::mount("256k");
    let place = disk.0.path();
    let (log, filler) = (place.join("audit.jsonl"), place.join("filler"));
    std::os::unix::fs::symlink(&log, plan.path("audit.jsonl")).unwrap();
    let world = plan.start();
    std::fs::write(&filler, vec![0; 228 << 10]).unwrap();
    let errors = || world.gate.metrics().total("octroi_audit_errors_total", &[]);
    let mut asked = 0;
    let mut one_more = || {
        let status = world.ordinary().connect("www.drop.example:443").status;
        assert_eq!(status, 403, "served as ever");
        asked += 1;
    };
    eventually("the disk is full", || {
        one_more();
        (errors() > 0).then_some(())
    });
    (0..20).for_each(|_| one_more());
    assert_eq!(
        request(world.gate.admin(), "GET", "/-/ready")
            .unwrap()
            .status,
        200
    );
    std::fs::remove_file(&filler).unwrap();
    let said = "the audit log can be written again";
    eventually(said, || world.gate.log().contains(said).then_some(()));
    one_more();
    assert_eq!(attempts(&world), asked);
    let lost = || {
        let metrics = world.gate.metrics();
        metrics.total("octroi_audit_lost_lines_total", &[])
    };
    // A decision and a close each.
    let complete = || whole_lines(&log).len() as u64 + lost() == 2 * asked;
    eventually("every line is written or counted as lost", || {
        complete().then_some(())
    });
    // The gate ends before its disk does.
    drop(world);
}

/// The log's directory is removed and comes back, with `on_failure: serve`.
#[test]
fn flows_are_served_while_the_logs_directory_is_gone() {
    let plan = Plan::new().set("audit", "on_failure: serve");
    let logs = plan.path("logs");
    std::fs::create_dir(&logs).unwrap();
    std::os::unix::fs::symlink(logs.join("audit.jsonl"), plan.path("audit.jsonl")).unwrap();
    let world = plan.start();
    assert_eq!(ask(&world), 502);
    std::fs::remove_dir_all(&logs).unwrap();
    let errors = || world.gate.metrics().total("octroi_audit_errors_total", &[]);
    eventually("it is noticed", || {
        assert_eq!(ask(&world), 502, "served as ever");
        (errors() > 0).then_some(())
    });
    assert!(world.gate.log().contains("flows go on, lines may be lost"));
    std::fs::create_dir(&logs).unwrap();
    let said = "the audit log can be written again";
    eventually(said, || world.gate.log().contains(said).then_some(()));
    assert_eq!(ask(&world), 502);
    eventually("lines are written again", || {
        (!world.gate.audit().is_empty()).then_some(())
    });
    whole_lines(&world.gate.audit_path());
}

/// The bundle's directory is taken away: the policy in force stays, and the one that comes back is
/// read.
#[test]
fn a_policy_that_is_gone_stays_in_force_until_it_is_back() {
    let world = World::new();
    with_steady(&world);
    let mut open = tunnel(world.ordinary());
    let aside = world.dir.path().join("aside");
    std::fs::rename(&world.policy, &aside).unwrap();
    let rejected = [("result", "rejected")];
    world
        .gate
        .counted("octroi_policy_reloads_total", &rejected, 1);
    assert_eq!(world.ordinary().connect("www.drop.example:443").status, 403);
    assert_eq!(ask(&world), 502);
    let ready = request(world.gate.admin(), "GET", "/-/ready").unwrap();
    assert_eq!(ready.status, 200, "{}", ready.body);
    let indicators = aside.join("lists/indicators.txt");
    std::fs::write(indicators, ".malware.example\nnowhere.example\n").unwrap();
    std::fs::rename(&aside, &world.policy).unwrap();
    eventually("the policy that came back is in force", || {
        (ask(&world) == 403).then_some(())
    });
    assert_lives(&mut open);
}

/// Nobody answers questions about names any more: who has a tunnel keeps it, what is known is
/// served, what is not is a 504 in time, and all is well at once when the resolver is back.
#[test]
fn a_resolver_that_is_gone_takes_only_new_names_with_it() {
    let world = Plan::new().set("dns", "timeout: 300ms").start();
    with_steady(&world);
    world.dns.ttl("steady.example", 3600);
    world.origin("later.example", 11, 8443, echo());
    let mut open = tunnel(world.ordinary());
    world.dns.is_gone(true);
    let head = world.ordinary().connect("later.example:8443");
    assert_eq!(head.status, 504, "{}", head.text);
    assert!(
        head.field("proxy-status")
            .unwrap()
            .contains("error=dns_timeout")
    );
    assert_lives(&mut open);
    drop(tunnel(world.ordinary()));
    assert_eq!(world.ordinary().connect("www.drop.example:443").status, 403);
    assert_eq!(world.gate.ask("GET", "/-/healthy").status, 200);
    world.dns.is_gone(false);
    let back = Instant::now();
    eventually("the name resolves again", || {
        let status = world.ordinary().connect("later.example:8443").status;
        (status == 200).then_some(())
    });
    eprintln!("resolved {:?} after the resolver came back", back.elapsed());
    assert_lives(&mut open);
}

/// The wall clock jumps ahead and back by a day and by a year: tunnels live on however long they
/// were quiet, derogations follow the wall clock, and every line of the log has a time.
#[test]
fn derogations_follow_a_clock_that_jumps_and_tunnels_live_on() {
    let (clock, plan) = Clock::of(Plan::new());
    let now = Timestamp::now();
    let (from, until) = (hours(now, -36), hours(now, 12));
    let derogation = format!(
        "derogations:\n  - {{ id: D-1, ministry: interieur, services: [exchange-online], from: '{from}', until: '{until}', approved_by: A, reference: B }}\n"
    );
    let plan = plan.prepare(|_, policy| {
        std::fs::write(policy.join("derogations.yaml"), &derogation).unwrap();
    });
    let world = plan.start();
    with_steady(&world);
    world.origin("outlook.office.com", 11, 443, echo());
    let mut quiet = tunnel(world.ordinary());
    let lifted = || world.wire(world.block.sensitive());
    let hello = client_hello(Some("outlook.office.com"));
    for (offset, is_in_force) in [
        ("+0", true),
        ("+1d", false),
        ("-1d", true),
        ("+1y", false),
        ("-1y", false),
        ("+0", true),
    ] {
        let rounds = rounds_of_judging(&world);
        clock.jump(offset);
        if is_in_force && rounds > 0 {
            // It looks at its clock every few seconds: between two looks, a jump there and back is none.
            eventually("the jump is noticed", || {
                (rounds_of_judging(&world) > rounds).then_some(())
            });
        }
        let mut wire = lifted();
        let status = wire.connect("outlook.office.com:443").status;
        assert_eq!(status, if is_in_force { 200 } else { 403 }, "{offset}");
        assert_lives(&mut quiet);
        assert_eq!(world.gate.ask("GET", "/-/healthy").status, 200);
        if !is_in_force {
            assert_recorded_at(&world, offset);
            continue;
        }
        wire.send(&hello);
        wire.exactly(hello.len());
        // An open one ends within the five seconds that are promised when the end is jumped over.
        clock.jump("+1d");
        let jumped = Instant::now();
        assert!(wire.rest().is_empty());
        eprintln!("closed {:?} after the clock jumped", jumped.elapsed());
        assert!(
            jumped.elapsed() < Duration::from_secs(10),
            "{:?}",
            jumped.elapsed()
        );
    }
    drop(quiet);
    assert_durations_are_true(&world, now);
}

fn rounds_of_judging(world: &World) -> usize {
    world
        .gate
        .log()
        .matches("open tunnels judged again")
        .count()
}

fn hours(from: Timestamp, hours: i64) -> Timestamp {
    from + SignedDuration::from_hours(hours)
}

/// The last decision has the time of the clock as it was set.
fn assert_recorded_at(world: &World, offset: &str) {
    let days = match offset {
        "+1d" => 1,
        "+1y" => 365,
        "-1y" => -365,
        _ => unreachable!(),
    };
    let expected = hours(Timestamp::now(), days * 24);
    eventually("a line of that time", || {
        let line = world.gate.decision("outlook.office.com");
        let at: Timestamp = line.text("@timestamp").parse().unwrap();
        let off = at.duration_until(expected).abs();
        (off < SignedDuration::from_mins(10)).then_some(())
    });
}

/// However the clock went, durations are those of the monotonic clock.
fn assert_durations_are_true(world: &World, began: Timestamp) {
    let line = world.gate.decision("steady.example");
    world.gate.close_of(&line);
    let most = began.duration_until(Timestamp::now()).as_nanos();
    let mut closed = 0;
    for line in whole_lines(&world.gate.audit_path()) {
        let _: Timestamp = line
            .text("@timestamp")
            .parse()
            .expect("every line has a time");
        if line.text("event.action") == "close" {
            closed += 1;
            let duration: i128 = line.text("event.duration").parse().unwrap();
            assert!((0..=most).contains(&duration), "{line:?}");
        }
    }
    assert!(closed >= 7, "{closed} flows are closed");
}

/// What is measured in seconds does not follow the wall clock: idle time-outs, rates, and how long
/// an answer of the resolver is kept.
#[test]
fn time_outs_rates_and_the_dns_cache_do_not_follow_a_clock_that_jumps() {
    let (clock, plan) = Clock::of(Plan::new());
    let plan = plan.set("limits", "idle_timeout: 2s");
    let plan = plan.set(
        "limits",
        "new_flows: { workloads: { finances/postes: 1 }, burst: 10s }",
    );
    let world = plan.start();
    with_steady(&world);
    let mut idle = tunnel(world.ordinary());
    clock.jump("-1y");
    let quiet = Instant::now();
    assert!(
        idle.rest().is_empty(),
        "closed although its clock went back"
    );
    assert!(
        quiet.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        quiet.elapsed()
    );

    // A bucket that is empty fills by the second, neither at once nor in a year.
    let ask = || {
        world
            .wire([127, 0, 0, 1].into())
            .connect("nowhere.example:443")
            .status
    };
    eventually("the bucket is empty", || (ask() == 503).then_some(()));
    let empty = Instant::now();
    for offset in ["+0", "+1d", "+1y", "-1d"] {
        clock.jump(offset);
        let begun = (0..10).filter(|_| ask() == 502).count() as u64;
        let filled = empty.elapsed().as_secs() + 1;
        assert!(begun <= filled, "{offset}: {begun} began within {filled} s");
    }
    eventually("a second has passed", || (ask() == 502).then_some(()));

    // An answer that lives a second is asked for again after it, an answer that lives an hour is not.
    let (first, second) = (world.block.ip(20), world.block.ip(21));
    world.dns.v4("moves.example", first).ttl("moves.example", 1);
    let target = "moves.example:8443";
    assert_eq!(
        world.ordinary().connect(target).status,
        502,
        "nobody is there yet"
    );
    clock.jump("-1y");
    world.origin("moves.example", 21, 8443, echo());
    eventually("the new address is asked for", || {
        (world.ordinary().connect(target).status == 200).then_some(())
    });
    assert_ne!(first, second);
    world.dns.ttl("steady.example", 3600);
    for offset in ["+1y", "-1y", "+0"] {
        clock.jump(offset);
        drop(tunnel(world.ordinary()));
    }
}

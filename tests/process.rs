//! The gate as a service: what its manager hears, how it ends, and the unit that runs it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::client::{Wire, client_hello};
use crate::harness::eventually;
use crate::harness::manager::Manager;
use crate::harness::origin::echo;
use crate::harness::proxy::octroi;
use crate::harness::tools::{finish, tool};
use crate::harness::world::{Plan, World, repository};

/// More exposed than this is a mistake: of 10, by `systemd-analyze security`.
const MOST_EXPOSED: f64 = 1.5;

fn tunnel(world: &World, host: &str) -> Wire {
    let mut wire = world.ordinary();
    assert_eq!(wire.connect(&format!("{host}:443")).status, 200);
    let hello = client_hello(Some(host));
    wire.send(&hello);
    wire.exactly(hello.len());
    wire
}

#[test]
fn the_manager_hears_of_the_whole_life() {
    let manager = Manager::abstractly(&format!("octroi-life-{}", std::process::id()));
    let plan = Plan::new().environment("NOTIFY_SOCKET", &manager.name);
    let mut world = plan.environment("WATCHDOG_USEC", "400000").start();
    manager.waits_for("READY=1");
    let status = manager.waits_for("STATUS=policy e2e ");
    assert!(
        status.ends_with("0 tunnels, 0 connections"),
        "the status: {status}"
    );
    eventually("several signs of life", || {
        (manager.times("WATCHDOG=1") > 5).then_some(())
    });
    let longest = manager.pauses("WATCHDOG=1").into_iter().max().unwrap();
    assert!(longest < Duration::from_millis(2000), "{longest:?}");

    world.gate.signal(Signal::HUP);
    let reloading = manager.waits_for("RELOADING=1\nMONOTONIC_USEC=");
    let usec: u64 = reloading.rsplit('=').next().unwrap().parse().unwrap();
    assert!(usec > 0);
    eventually("it is ready again", || {
        (manager.times("READY=1") == 2).then_some(())
    });

    world.origin("long.example", 10, 443, echo());
    let mut wire = tunnel(&world, "long.example");
    eventually("the status follows", || {
        let heard = manager.heard();
        let tunnels = |said: &String| said.ends_with("1 tunnels, 1 connections");
        heard.iter().any(tunnels).then_some(())
    });
    world.gate.signal(Signal::TERM);
    manager.waits_for("STOPPING=1");
    manager.waits_for("EXTEND_TIMEOUT_USEC=30000000");
    manager.waits_for("STATUS=stopping, policy e2e");
    let alive = manager.times("WATCHDOG=1");
    eventually("a gate that drains is alive", || {
        (manager.times("WATCHDOG=1") > alive + 2).then_some(())
    });
    wire.send("still here");
    assert_eq!(wire.exactly(10), "still here");
    drop(wire);
    assert_eq!(world.gate.exit(), Some(0));
    assert_eq!(manager.times("STOPPING=1"), 1);
}

#[test]
fn a_gate_that_cannot_start_is_never_ready() {
    let plan = Plan::new().set("limits", "metric_series: nonsense");
    let manager = Manager::in_directory(plan.path("").as_path());
    let (exit, said) = plan.environment("NOTIFY_SOCKET", &manager.name).fails();
    assert_eq!(exit, Some(78), "{said}");
    assert_eq!(manager.heard(), Vec::<String>::new());
}

#[test]
fn a_gate_without_a_manager_says_nothing_and_works() {
    let plan = Plan::new().environment("NOTIFY_SOCKET", "/nonexistent/notify");
    let mut world = plan.start();
    world.gate.signal(Signal::TERM);
    assert_eq!(world.gate.exit(), Some(0));
}

#[test]
fn an_idle_gate_stops_at_once() {
    let mut world = World::new();
    world.origin("news.example", 10, 80, crate::harness::origin::http());
    // A connection that is kept alive between two requests does not hold it up.
    let mut kept = world.ordinary();
    kept.send("GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n");
    let head = kept.head();
    assert_eq!(head.status, 200);
    kept.body(&head);
    let told = Instant::now();
    world.gate.signal(Signal::TERM);
    assert_eq!(world.gate.exit(), Some(0));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(3), "stopped after {took:?}");
}

#[test]
fn a_second_sigterm_ends_the_drain_and_every_line_is_written() {
    let mut world = World::new();
    world.origin("long.example", 10, 443, echo());
    let mut wire = tunnel(&world, "long.example");
    world.gate.signal(Signal::TERM);
    eventually("it drains", || {
        world
            .gate
            .log()
            .contains("waiting for tunnels")
            .then_some(())
    });
    wire.send("still here");
    assert_eq!(wire.exactly(10), "still here");
    eventually("it is told again, until it hears", || {
        if world.gate.is_running() {
            world.gate.signal(Signal::TERM);
        }
        world.gate.log().contains("told again").then_some(())
    });
    assert!(wire.rest().is_empty(), "the tunnel is closed");
    assert_eq!(world.gate.exit(), Some(0));
    let decision = world.gate.decision("long.example");
    let close = world.gate.close_of(&decision);
    assert_eq!(close.text("event.reason"), "drained", "{close:?}");
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mut world = Plan::new().set("drain_timeout", "1s").start();
    world.origin("long.example", 10, 443, echo());
    let mut wire = tunnel(&world, "long.example");
    let told = Instant::now();
    world.gate.signal(Signal::TERM);
    assert!(wire.rest().is_empty(), "the tunnel is closed");
    let took = told.elapsed();
    assert!(took >= Duration::from_secs(1), "closed after {took:?}");
    assert_eq!(world.gate.exit(), Some(0));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(6), "stopped after {took:?}");
    let decision = world.gate.decision("long.example");
    world.gate.close_of(&decision);
}

/// The unit as it is installed, but for the program, which is the one under test.
fn unit() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository().join("examples/systemd/octroi.service"));
    let program = octroi().get_program().to_str().unwrap().to_owned();
    let text = text.unwrap().replace("/usr/local/bin/octroi", &program);
    std::fs::write(dir.path().join("octroi.service"), &text).unwrap();
    (dir, text)
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let (dir, text) = unit();
    let mut verify = tool("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    verify.arg(dir.path().join("octroi.service"));
    assert_eq!(finish(&mut verify), (Some(0), String::new()));
    // It is silent about some keys it does not know only if it is not asked.
    let bogus = text.replace("[Install]", "NoSuchKey=yes\n[Install]");
    std::fs::write(dir.path().join("octroi.service"), bogus).unwrap();
    let (_, said) = finish(&mut verify);
    assert!(said.contains("NoSuchKey"), "a mistake is found: {said}");
}

#[test]
fn the_unit_exposes_little() {
    let (dir, _) = unit();
    let mut security = tool("systemd-analyze");
    let most = format!("--threshold={:.0}", MOST_EXPOSED * 10.0);
    security.args(["security", "--offline=yes", "--no-pager", &most]);
    security.arg(dir.path().join("octroi.service"));
    let (exit, said) = finish(&mut security);
    let (_, score) = said
        .split_once("exposure level for octroi.service: ")
        .unwrap();
    let score: f64 = score.split(' ').next().unwrap().parse().unwrap();
    eprintln!("exposure: {score}");
    assert!(score <= MOST_EXPOSED, "{said}");
    assert_eq!(exit, Some(0), "{said}");
}

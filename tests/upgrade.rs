//! Another program in place of the running one: nothing is lost, and what cannot serve changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::client::{Wire, client_hello};
use crate::harness::eventually;
use crate::harness::load::{Errand, Load};
use crate::harness::manager::Manager;
use crate::harness::netns::{Capture, Family};
use crate::harness::origin::echo;
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{Plan, World};

/// A gate with a place to be upgraded in, run from a link that a test can turn to another program.
struct Scene {
    world: World,
    manager: Manager,
    program: PathBuf,
    /// All gates that took over, oldest first.
    successors: Vec<Pid>,
}

fn scene(plan: Plan) -> Scene {
    let program = plan.path("octroi");
    link(&program, Path::new(octroi().get_program()));
    let manager = Manager::in_directory(&plan.path(""));
    let run = plan.path("run");
    let plan = plan
        .environment("NOTIFY_SOCKET", &manager.name)
        .environment("RUNTIME_DIRECTORY", run.to_str().unwrap())
        .program(&program);
    Scene {
        world: plan.start(),
        manager,
        program,
        successors: Vec::new(),
    }
}

/// Points a link elsewhere in one step, as a careful administrator does.
fn link(link: &Path, to: &Path) {
    let beside = link.with_extension("new");
    symlink(to, &beside).unwrap();
    fs::rename(&beside, link).unwrap();
}

impl Scene {
    fn command(&self) -> std::process::Command {
        let config = self.world.dir.path().join("upgrade.yaml");
        let run = self.world.dir.path().join("run");
        fs::write(&config, format!("upgrade: {{ path: {} }}\n", run.display())).unwrap();
        let mut command = octroi();
        command.args(["upgrade", "--config"]).arg(config);
        command
    }

    fn upgrade(&self) -> (Option<i32>, String) {
        finish(&mut self.command())
    }

    /// Upgrades, and gives the process that serves from then on.
    fn upgraded(&mut self) -> Pid {
        let (exit, said) = self.upgrade();
        assert_eq!(exit, Some(0), "{said}");
        let (_, pid) = said.split_once("process ").unwrap();
        let pid = Pid::from_raw(pid.split(',').next().unwrap().parse().unwrap()).unwrap();
        self.successors.push(pid);
        pid
    }

    /// An upgrade that fails, and why.
    fn refused(&self) -> String {
        let (exit, said) = self.upgrade();
        assert_eq!(exit, Some(1), "{said}");
        assert!(self.world.gate.log().contains("this gate goes on"));
        said
    }

    fn tunnel(&self, host: &str) -> Wire {
        tunnel(&self.world, host)
    }

    fn count(&self, result: &str) -> u64 {
        let labels = [("result", result)];
        let metrics = self.world.gate.metrics();
        metrics.total("octroi_upgrades_total", &labels)
    }
}

/// No gate outlives its test.
impl Drop for Scene {
    fn drop(&mut self) {
        for said in self.manager.heard() {
            let pid = said
                .strip_prefix("MAINPID=")
                .and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw).filter(|pid| is_alive(*pid)) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn tunnel(world: &World, host: &str) -> Wire {
    let mut wire = world.ordinary();
    assert_eq!(wire.connect(&format!("{host}:443")).status, 200);
    let hello = client_hello(Some(host));
    wire.send(&hello);
    wire.exactly(hello.len());
    wire
}

fn relays(wire: &mut Wire) {
    wire.send("still here");
    assert_eq!(wire.exactly(10), "still here");
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && !stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn tunnels_live_on_while_another_process_serves() {
    let mut scene = scene(Plan::new());
    scene.world.origin("long.example", 10, 443, echo());
    let mut old = scene.tunnel("long.example");
    let first = scene.upgraded();
    scene
        .manager
        .waits_for(&format!("MAINPID={}", first.as_raw_nonzero()));
    eventually("the new gate is ready", || {
        (scene.manager.times("READY=1") == 2).then_some(())
    });
    assert_eq!(scene.count("done"), 1, "the new gate counts it");
    relays(&mut old);
    let mut new = scene.tunnel("long.example");
    assert!(scene.world.gate.is_running(), "the old gate drains");

    // Another one, while the first still drains.
    let second = scene.upgraded();
    assert_ne!(first, second);
    relays(&mut old);
    relays(&mut new);
    let mut newest = scene.tunnel("long.example");
    drop(old);
    assert_eq!(
        scene.world.gate.exit(),
        Some(0),
        "the first gate has drained"
    );
    assert!(is_alive(first));
    drop(new);
    eventually("the second gate has drained", || {
        (!is_alive(first)).then_some(())
    });
    relays(&mut newest);
    assert_eq!(scene.manager.times("STOPPING=1"), 0, "the service goes on");
    drop(newest);
    let decisions = eventually("three decisions", || {
        let decisions = scene.world.gate.decisions();
        (decisions.len() == 3).then_some(decisions)
    });
    for decision in &decisions {
        scene.world.gate.close_of(decision);
    }
    kill_process(second, Signal::TERM).unwrap();
    scene.manager.waits_for("STOPPING=1");
    eventually("the last gate stops", || (!is_alive(second)).then_some(()));
}

#[test]
fn a_signal_upgrades_as_well() {
    let scene = scene(Plan::new());
    scene.world.gate.signal(Signal::USR2);
    let said = scene.manager.waits_for("MAINPID=");
    let pid: i32 = said["MAINPID=".len()..].parse().unwrap();
    let mut scene = scene;
    scene.successors.push(Pid::from_raw(pid).unwrap());
    assert_eq!(scene.world.gate.exit(), Some(0), "idle, it ends at once");
    scene.world.origin("news.example", 10, 443, echo());
    relays(&mut scene.tunnel("news.example"));
}

#[test]
fn a_gate_without_a_place_says_so_and_lives() {
    let mut world = World::new();
    world.gate.signal(Signal::USR2);
    eventually("it is said", || {
        world
            .gate
            .log()
            .contains("set `upgrade.path`")
            .then_some(())
    });
    assert!(world.gate.is_running());
    let mut command = octroi();
    let config = world.dir.path().join("upgrade.yaml");
    fs::write(&config, "upgrade: { path: /nonexistent/run }\n").unwrap();
    let (exit, said) = finish(command.args(["upgrade", "--config"]).arg(config));
    assert_eq!(exit, Some(74), "{said}");
    assert!(said.contains("/nonexistent/run/control.sock"), "{said}");
}

#[test]
fn a_place_that_others_may_enter_stops_the_start() {
    let plan = Plan::new();
    let run = plan.path("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let (exit, said) = plan
        .set("upgrade", format!("path: {}", run.display()))
        .fails();
    assert_eq!(exit, Some(74), "{said}");
    assert!(said.contains("its mode is 0755, not 0700"), "{said}");
}

fn script(scene: &Scene, name: &str, body: &str) {
    let path = scene.world.dir.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    link(&scene.program, &path);
}

/// The gate of a scene as it was before something went wrong.
fn as_before(scene: &mut Scene, wire: &mut Wire, failed: u64) {
    relays(wire);
    relays(&mut scene.tunnel("long.example"));
    assert!(scene.world.gate.is_running());
    assert_eq!(scene.count("failed"), failed);
    assert_eq!(scene.manager.times("STOPPING=1"), 0);
    assert!(
        !scene
            .manager
            .heard()
            .iter()
            .any(|said| said.starts_with("MAINPID"))
    );
}

#[test]
fn what_cannot_serve_changes_nothing() {
    // With an earlier policy at hand: a start would fall back on it, an upgrade has no reason to.
    let plan = Plan::new().set("upgrade", "timeout: 5s");
    let state = format!("path: {}", plan.path("state").display());
    let mut scene = scene(plan.set("state", state));
    let good = octroi().get_program().to_owned();
    scene.world.origin("long.example", 10, 443, echo());
    let mut wire = scene.tunnel("long.example");

    link(&scene.program, Path::new("/bin/false"));
    let said = scene.refused();
    assert!(
        said.contains("ended before it served (exit status: 1)"),
        "{said}"
    );
    as_before(&mut scene, &mut wire, 1);

    link(&scene.program, Path::new("/nonexistent/octroi"));
    let said = scene.refused();
    assert!(said.contains("cannot start"), "{said}");
    as_before(&mut scene, &mut wire, 2);

    let began = Instant::now();
    script(&scene, "hangs", "exec sleep 600");
    let said = scene.refused();
    assert!(said.contains("does not serve after 5s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15));
    as_before(&mut scene, &mut wire, 3);

    // The upgrade that failed before is no reason against one that does not.
    link(&scene.program, Path::new(&good));
    let config = scene.world.dir.path().join("octroi.yaml");
    let before = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{before}\nnonsense: 1\n")).unwrap();
    let said = scene.refused();
    assert!(said.contains("nonsense"), "it says what is wrong: {said}");
    as_before(&mut scene, &mut wire, 4);

    fs::write(&config, &before).unwrap();
    let file = scene.world.policy.join("policy.yaml");
    let policy = fs::read_to_string(&file).unwrap();
    fs::write(&file, "version: 1\nname: [broken\n").unwrap();
    let said = scene.refused();
    assert!(
        said.contains("policy.yaml") && said.contains("the gate that runs goes on"),
        "it says what is wrong: {said}"
    );
    as_before(&mut scene, &mut wire, 5);

    fs::write(&file, policy).unwrap();
    scene.upgraded();
    relays(&mut wire);
    relays(&mut scene.tunnel("long.example"));
}

/// A program that speaks as a new gate does, and then does what no gate does.
const IMPOSTOR: &str = r#"#!/usr/bin/env python3
import json, os, socket, sys, time
if os.fork(): os._exit(0)
how = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "how")).read()
there = socket.socket(socket.AF_UNIX)
there.connect(sys.argv[sys.argv.index("--take-over") + 1] + "/control.sock")
say = lambda **words: there.sendall((json.dumps(words) + "\n").encode())
if how == "nonsense":
    there.sendall(b"\0\xff\n")
    time.sleep(20)
say(say="hello", protocol=2 if how == "later" else 1, version="99.0")
print("heard:", there.recv(65536), flush=True)
if how == "dies": os._exit(9)
if how == "dies-taking":
    say(say="take")
    os._exit(9)
time.sleep(20)
"#;

#[test]
fn a_new_gate_that_goes_astray_changes_nothing() {
    let mut scene = scene(Plan::new().set("upgrade", "timeout: 4s"));
    scene.world.origin("long.example", 10, 443, echo());
    let mut wire = scene.tunnel("long.example");
    let path = scene.world.dir.path().join("impostor");
    fs::write(&path, IMPOSTOR).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    link(&scene.program, &path);
    let how = scene.world.dir.path().join("how");
    for (number, (way, expect)) in [
        ("later", "speaks version 2 of the hand-over, this one 1"),
        ("dies", "the new gate ended before it served"),
        ("dies-taking", "does not serve after 4s"),
        ("hangs", "does not serve after 4s"),
        ("nonsense", "does not serve after 4s"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&how, way).unwrap();
        let said = scene.refused();
        assert!(said.contains(expect), "{way}: {said}");
        as_before(&mut scene, &mut wire, number as u64 + 1);
    }
}

#[test]
fn two_upgrades_at_once_are_one_too_many() {
    let scene = scene(Plan::new().set("upgrade", "timeout: 3s"));
    let begun = scene.world.dir.path().join("begun");
    script(
        &scene,
        "hangs",
        &format!("touch {}; exec sleep 600", begun.display()),
    );
    let first = scene
        .command()
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the first is under way", || begun.exists().then_some(()));
    let (exit, said) = scene.upgrade();
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("under way already"), "{said}");
    assert!(said.contains("the gate goes on as it was"), "{said}");
    assert!(scene.count("refused") > 0);
    let first = first.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(1));
}

#[test]
fn listeners_follow_the_new_file() {
    let plan = Plan::new();
    let config = plan.path("octroi.yaml");
    let mut scene = scene(plan);
    let (gate, more) = (scene.world.block.gate(), scene.world.block.ip(3));
    let before = fs::read_to_string(&config).unwrap();
    let line = format!("  - {{ name: explicit, mode: explicit, address: \"{gate}:3128\" }}\n");
    assert!(before.contains(&line));
    let renamed = line.replace("name: explicit", "name: main");
    let added = format!("  - {{ name: more, mode: explicit, address: \"{more}:0\" }}\n");
    fs::write(&config, before.replace(&line, &format!("{renamed}{added}"))).unwrap();
    scene.upgraded();
    let port = |log: &str| -> Vec<String> {
        let behind = log.split("listener=more address=").skip(1);
        behind
            .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
            .collect()
    };
    let opened = port(&scene.world.gate.log());
    let address: std::net::SocketAddr = opened[0].parse().unwrap();
    scene.world.origin("news.example", 10, 443, echo());
    let connect = || {
        let mut wire = Wire::open(scene.world.block.ordinary(), address);
        wire.connect("news.example:443").status
    };
    assert_eq!(connect(), 200);
    scene.upgraded();
    assert_eq!(
        port(&scene.world.gate.log()),
        [&*opened[0], &*opened[0]],
        "the port is kept"
    );
    let mut wire = Wire::open(scene.world.block.ordinary(), address);
    assert_eq!(wire.connect("news.example:443").status, 200);
    drop(wire);
    fs::write(&config, before).unwrap();
    scene.upgraded();
    eventually("what the file drops is closed", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
    relays(&mut scene.tunnel("news.example"));
}

/// The show: ten upgrades and ten reloads under 500 new tunnels a second and 500 open ones.
#[test]
fn ten_upgrades_and_ten_reloads_under_load_lose_nothing() {
    let plan = Plan::new().alone().set("limits", "per_source: 20000");
    let mut scene = scene(plan);
    scene.world.origin("steady.example", 10, 443, echo());
    let hello = client_hello(Some("steady.example"));
    let mut open: Vec<Wire> = (0..500).map(|_| scene.tunnel("steady.example")).collect();
    let errand = Errand {
        gate: scene.world.gate.address(),
        from: scene.world.block.ip(203),
        target: "steady.example:443".to_owned(),
        hello: Arc::new(hello),
    };
    let load = Load::start(errand, 500);
    eventually("the load is under way", || {
        (load.good() > 500).then_some(())
    });
    let indicators = scene.world.policy.join("lists/indicators.txt");
    for round in 0..10 {
        fs::write(
            &indicators,
            format!(".malware.example\n.gone-{round}.example\n"),
        )
        .unwrap();
        let answer = scene.world.gate.ask("POST", "/-/reload");
        assert_eq!(answer.status, 200, "{}", answer.body);
        scene.upgraded();
        // Those opened before this upgrade are 500 in an old gate; each relays in each round.
        for wire in &mut open {
            relays(wire);
        }
        let so_far = load.good();
        eventually("the load goes on", || {
            (load.good() > so_far + 300).then_some(())
        });
    }
    let (good, failed, rate) = load.stop();
    eprintln!("{good} tunnels good, {failed} failed, {rate:.0} a second");
    assert_eq!(failed, 0, "of {good} tunnels");
    assert!(rate > 400.0, "the load was {rate:.0} a second, not 500");
    for wire in &mut open {
        relays(wire);
    }
    drop(open);
    assert_eq!(
        scene.world.gate.exit(),
        Some(0),
        "the first gate has drained"
    );
    let (last, drained) = scene.successors.split_last().unwrap();
    for pid in drained {
        eventually("an old gate has drained", || {
            (!is_alive(*pid)).then_some(())
        });
    }
    assert!(is_alive(*last));
    every_flow_is_decided_and_closed_once(&scene.world, good + 500);
}

/// All processes wrote one audit log: whole lines, each flow once.
fn every_flow_is_decided_and_closed_once(world: &World, flows: u64) {
    let ids = |lines: &[crate::harness::scrape::Line], action: &str| {
        let of = lines
            .iter()
            .filter(|line| line.text("event.action") == action);
        let mut ids: Vec<String> = of.map(|line| line.text("event.id")).collect();
        ids.sort_unstable();
        ids
    };
    let (decided, closed) = eventually("every flow is closed", || {
        let lines = world.gate.audit();
        let (decided, closed) = (ids(&lines, "decision"), ids(&lines, "close"));
        (closed.len() as u64 >= flows).then_some((decided, closed))
    });
    assert_eq!(decided.len() as u64, flows);
    assert_eq!(decided, closed);
}

/// Sockets that take connections to any address stay what they are in the hands of the next gate.
#[test]
fn a_capturing_gate_is_replaced_under_its_clients() {
    for by in Capture::BOTH {
        let mut scene = scene(Plan::on_gateway().captured(by));
        scene.world.origin("long.example", 10, 8443, echo());
        let hello = client_hello(Some("long.example"));
        let tunnel = |world: &World, family: Family| {
            let to = (family.origin(10), 8443).into();
            let mut wire = world.straight(family.client(201), to);
            wire.send(&hello);
            wire.exactly(hello.len());
            wire
        };
        let mut old = Family::BOTH.map(|family| tunnel(&scene.world, family));
        scene.upgraded();
        let mut new = Family::BOTH.map(|family| tunnel(&scene.world, family));
        for wire in old.iter_mut().chain(&mut new) {
            relays(wire);
        }
        assert_eq!(scene.count("done"), 1, "{by:?}");
    }
}

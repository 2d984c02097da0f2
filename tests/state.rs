//! What the gate remembers over a restart, and `GET /-/policy`.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::clock::Clock;
use crate::harness::disk::Disk;
use crate::harness::origin::echo;
use crate::harness::tools::{finish, tool};
use crate::harness::world::{Plan, World};
use crate::harness::{DEADLINE, eventually};

const BROKEN: &str = "version: 1\nname: [broken\n";
/// The exit code of a gate whose policy is wrong.
const CONFIG: Option<i32> = Some(78);

/// A gate with a state directory of its own.
fn remembering() -> (World, PathBuf) {
    let plan = Plan::new();
    let path = plan.path("state");
    (start(plan, &path), path)
}

fn start(plan: Plan, state: &Path) -> World {
    plan.set("state", format!("path: {}", state.display()))
        .start()
}

fn told(world: &World) -> Value {
    let answer = world.gate.ask("GET", "/-/policy");
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn ready(world: &World) -> Value {
    let answer = world.gate.ask("GET", "/-/ready");
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn record(state: &Path) -> String {
    std::fs::read_to_string(state.join("state.json")).unwrap_or_default()
}

/// Waits until the policy in force is the last good one on disk; its digest.
fn saved(world: &World, state: &Path) -> String {
    let digest = told(world)["digest"].as_str().unwrap().to_owned();
    eventually("the policy in force is saved", || {
        let record: Value = serde_json::from_str(&record(state)).ok()?;
        (record["last_good"]["digest"] == *digest).then_some(())
    });
    digest
}

fn kill(world: &mut World) {
    world.gate.signal(Signal::KILL);
    world.gate.exit();
}

/// What was in the file that is broken now.
fn break_bundle(world: &World) -> String {
    let file = world.policy.join("policy.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, BROKEN).unwrap();
    good
}

fn mend(world: &World, good: &str) {
    std::fs::write(world.policy.join("policy.yaml"), good).unwrap();
}

fn is_refused(world: &World, host: &str) -> bool {
    world.ordinary().connect(&format!("{host}:443")).status == 403
}

fn from_state(world: &World) -> u64 {
    world.gate.metrics().total("octroi_policy_from_state", &[])
}

fn state_errors(world: &World, reason: &str) -> u64 {
    world
        .gate
        .metrics()
        .total("octroi_state_errors_total", &[("reason", reason)])
}

#[test]
fn a_broken_bundle_at_the_start_leaves_the_last_good_one_in_force_until_it_is_mended() {
    let (mut world, state) = remembering();
    let digest = saved(&world, &state);
    assert_eq!(from_state(&world), 0);
    kill(&mut world);
    let good = break_bundle(&world);
    world.start_again();

    assert!(is_refused(&world, "c2.malware.example"), "it is enforced");
    let ready = ready(&world);
    assert_eq!(ready["policy"]["from"], "state");
    assert_eq!(ready["policy"]["digest"], *digest);
    let detail = ready["policy"]["detail"].as_str().unwrap();
    assert!(detail.contains("did not pass"), "{detail}");
    let findings = ready["rejected"]["findings"].as_str().unwrap();
    assert!(findings.contains("policy.yaml:"), "{findings}");
    assert_eq!(from_state(&world), 1);
    let rejected = [("result", "rejected")];
    world
        .gate
        .counted("octroi_policy_reloads_total", &rejected, 1);
    let log = world.gate.log();
    assert!(
        log.contains("the last good one from the state is put in force"),
        "{log}"
    );
    assert!(log.contains("policy.yaml:2"), "{log}");
    let told = told(&world);
    let found = told["rejected"]["findings"].as_array().unwrap();
    let error = found.iter().find(|it| it["severity"] == "error").unwrap();
    assert_eq!(error["file"], "policy.yaml");
    assert_eq!(error["line"], 2);

    mend(&world, &good);
    eventually("the mended bundle is in force", || {
        (from_state(&world) == 0).then_some(())
    });
    let indicators = world.policy.join("lists/indicators.txt");
    std::fs::write(indicators, ".malware.example\n.soon.example\n").unwrap();
    eventually("the watcher goes on", || {
        is_refused(&world, "www.soon.example").then_some(())
    });
    assert_eq!(self::told(&world)["from"], "path");
    assert_ne!(saved(&world, &state), digest);
}

#[test]
fn without_a_state_that_holds_one_a_gate_with_a_broken_bundle_does_not_start() {
    let (mut world, state) = remembering();
    let digest = saved(&world, &state);
    kill(&mut world);
    break_bundle(&world);
    let both = |world: &mut World, reason: &str| {
        let before = world.gate.log().len();
        let (code, said) = world.fails_again();
        let said = &said[before..];
        assert_eq!(code, CONFIG, "{said}");
        assert!(said.contains("policy.yaml:2"), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(said.contains(state.to_str().unwrap()), "{said}");
    };

    // One bit of the copy.
    let copy = state.join("bundles").join(&digest);
    let file = copy.join("lists/indicators.txt");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1] ^= 0x20;
    std::fs::write(&file, bytes).unwrap();
    both(&mut world, "is damaged");

    let later = "{ \"format\": 2, \"something\": [] }";
    std::fs::write(state.join("state.json"), later).unwrap();
    both(&mut world, "has format 2, which a later version writes");
    assert_eq!(record(&state), later);

    std::fs::remove_dir_all(&state).unwrap();
    both(&mut world, "holds no earlier one: the gate does not start");
}

#[test]
fn a_state_that_is_of_no_use_is_said_loudly_and_the_gate_serves() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    std::fs::create_dir(path("newer")).unwrap();
    let later = "{ \"format\": 2 }";
    std::fs::write(path("newer/state.json"), later).unwrap();
    std::fs::create_dir(path("owned")).unwrap();
    chown(path("owned"), Some(12_345), None).unwrap();
    std::fs::write(path("file"), "a file\n").unwrap();
    for (name, reason, words) in [
        ("newer", "newer", "a later version"),
        ("owned", "unusable", "belongs to user 12345"),
        ("file", "unusable", "it is not a directory"),
    ] {
        let world = start(Plan::new(), &path(name));
        assert!(is_refused(&world, "c2.malware.example"));
        let labels = [("reason", reason)];
        // Once at the start, and once when the policy should have been saved.
        world.gate.counted("octroi_state_errors_total", &labels, 2);
        let log = world.gate.log();
        assert!(log.contains("ERROR") && log.contains(words), "{log}");
        let ready = ready(&world);
        assert!(ready["state"].as_str().unwrap().contains(words), "{ready}");
        let told = told(&world);
        let problem = told["state"]["problem"].as_str().unwrap();
        assert!(problem.contains(words), "{problem}");
    }
    assert_eq!(record(&path("newer")), later);
    assert_eq!(std::fs::read_dir(path("newer")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(path("owned")).unwrap().count(), 0);
}

fn remount(disk: &Disk, how: &str) {
    let mut mount = tool("mount");
    mount.args(["-o", &format!("remount,{how}")]);
    let (code, said) = finish(mount.arg(disk.0.path()));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_read_only_state_is_read_and_said_not_to_be_written() {
    let disk = Disk::mount("1m");
    let state = disk.0.path().join("state");
    let mut world = start(Plan::new(), &state);
    let digest = saved(&world, &state);
    remount(&disk, "ro");
    let indicators = world.policy.join("lists/indicators.txt");
    std::fs::write(indicators, ".malware.example\n.soon.example\n").unwrap();
    let write = [("reason", "write")];
    world.gate.counted("octroi_state_errors_total", &write, 1);
    assert!(is_refused(&world, "www.soon.example"), "it is in force");
    let ready = self::ready(&world);
    let problem = ready["state"].as_str().unwrap();
    assert!(problem.contains("Read-only file system"), "{problem}");

    kill(&mut world);
    break_bundle(&world);
    world.start_again();
    assert_eq!(told(&world)["digest"], *digest);
    assert_eq!(from_state(&world), 1);
}

#[test]
fn a_full_disk_costs_the_copy_and_nothing_else() {
    let disk = Disk::mount("256k");
    let state = disk.0.path().join("state");
    let world = start(Plan::new(), &state);
    let digest = saved(&world, &state);
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    let indicators = world.policy.join("lists/indicators.txt");
    std::fs::write(&indicators, ".malware.example\n.soon.example\n").unwrap();
    let write = [("reason", "write")];
    world.gate.counted("octroi_state_errors_total", &write, 1);
    assert!(is_refused(&world, "www.soon.example"), "it is in force");
    assert!(record(&state).contains(&digest), "the last copy is whole");
    let log = world.gate.log();
    assert!(log.contains("No space left on device"), "{log}");

    std::fs::remove_file(filler).unwrap();
    std::fs::write(indicators, ".malware.example\n.later.example\n").unwrap();
    eventually("the next policy is in force", || {
        is_refused(&world, "www.later.example").then_some(())
    });
    assert_ne!(saved(&world, &state), digest);
    assert_eq!(ready(&world)["state"], "good");
}

/// Names enough that writing them takes a while.
fn many_names(version: usize) -> String {
    let names = (0..150_000).map(|n| format!("v{version}-n{n}.malware.example\n"));
    names.collect()
}

#[test]
fn a_gate_killed_while_it_saves_leaves_a_state_that_loads() {
    let (mut world, state) = remembering();
    let indicators = world.policy.join("lists/indicators.txt");
    let mut last = saved(&world, &state);
    let mut halves = 0;
    for version in 0..6 {
        std::fs::write(&indicators, many_names(version)).unwrap();
        assert_eq!(world.gate.ask("POST", "/-/reload").status, 200);
        let digest = told(&world)["digest"].as_str().unwrap().to_owned();
        assert_ne!(digest, last);
        // Killed as soon as the new copy can be seen, or has been renamed into place.
        let begun = [
            state.join("bundles/.new"),
            state.join("bundles").join(&digest),
        ];
        let started = Instant::now();
        while !begun.iter().any(|path| path.exists()) {
            assert!(started.elapsed() < DEADLINE, "nothing is saved");
            std::hint::spin_loop();
        }
        kill(&mut world);
        halves += usize::from(begun[0].exists());

        let good = break_bundle(&world);
        world.start_again();
        let told = told(&world);
        assert_eq!(told["from"], "state");
        let restored = told["digest"].as_str().unwrap();
        assert!([&*last, &*digest].contains(&restored), "{restored}");
        mend(&world, &good);
        assert_eq!(world.gate.ask("POST", "/-/reload").status, 200);
        last = saved(&world, &state);
        assert_eq!(last, digest);
        assert!(!begun[0].exists(), "what was left is removed");
    }
    assert!(halves > 0, "no save was ever cut short");
}

#[test]
fn a_bundle_accepted_once_loads_whatever_the_clock_says() {
    let plan = Plan::new().policy_at(|_, policy| {
        let derogation = "derogations:\n  - { id: D-1, ministry: interieur, services: [exchange-online], from: 2026-01-01, until: 2027-03-31, approved_by: A, reference: B }\n";
        std::fs::write(policy.join("derogations.yaml"), derogation).unwrap();
        let tests = "tested_at: 2026-11-23\ntests:\n  - name: the derogation holds\n    given: { source: SOURCE, host: outlook.office.com }\n    expect: { verdict: allow, derogation: D-1 }\n";
        let ministries = std::fs::read_to_string(policy.join("ministries/ministries.yaml")).unwrap();
        let source = ministries.split("sources: [\"").nth(1).unwrap();
        let source = source.split('/').next().unwrap();
        std::fs::write(policy.join("tests.yaml"), tests.replace("SOURCE", source)).unwrap();
        policy.to_owned()
    });
    let state = plan.path("state");
    let (clock, plan) = Clock::of(plan);
    let mut world = start(plan, &state);
    world.origin("outlook.office.com", 10, 443, echo());
    let digest = saved(&world, &state);
    let status = |world: &World| {
        let mut wire = world.wire(world.block.sensitive());
        wire.connect("outlook.office.com:443").status
    };
    for (jump, in_force, expected) in [("+0", true, 200), ("+3y", false, 403), ("-3y", false, 403)]
    {
        kill(&mut world);
        clock.jump(jump);
        world.start_again();
        let told = told(&world);
        assert_eq!(
            (&told["from"], &told["digest"]),
            (&"path".into(), &digest.as_str().into()),
            "{jump}"
        );
        assert_eq!(told["derogations"][0]["in_force"], in_force, "{jump}");
        assert_eq!(told["derogations"][0]["days_left"] == 0, jump == "+3y");
        let codes: Vec<_> = told["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["code"])
            .collect();
        assert_eq!(
            codes.iter().any(|code| **code == "derogation-past-end"),
            jump == "+3y",
            "{codes:?}"
        );
        // Files of the future are as young as can be.
        let age = told["lists"][0]["age_seconds"].as_i64().unwrap();
        assert!(age >= 0 && (jump != "-3y" || age == 0), "{jump}: {age}");
        assert_eq!(status(&world), expected, "{jump}");
        assert_eq!(state_errors(&world, "damaged"), 0);
    }
    // With the clock still in the past, a broken bundle falls back on what was saved "later".
    kill(&mut world);
    break_bundle(&world);
    world.start_again();
    assert_eq!(told(&world)["digest"], *digest);
}

#[test]
fn the_policy_in_force_is_told_with_every_list() {
    let (world, state) = remembering();
    let told = told(&world);
    assert_eq!(told["name"], "e2e");
    assert_eq!(told["path"], world.policy.to_str().unwrap());
    assert_eq!(told["state"]["path"], state.to_str().unwrap());
    let ids = |table: &str| -> Vec<String> {
        let rows = told[table].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let lists = [
        "lists/indicators.txt",
        "lists/exchange-online-ip.txt",
        "lists/exchange-online.txt",
    ];
    assert_eq!(ids("lists"), lists);
    assert_eq!(
        ids("rules"),
        [
            "r9-sensitive-data",
            "office-watch",
            "no-drop",
            "cert-indicators"
        ]
    );
    let metrics = world.gate.metrics();
    for list in lists {
        for (family, least) in [
            ("octroi_list_entries", 1),
            ("octroi_list_modified_timestamp_seconds", 1_700_000_000),
        ] {
            assert!(
                metrics.total(family, &[("list", list)]) >= least,
                "{family} {list}"
            );
        }
    }
    let answer = world.gate.ask("POST", "/-/policy");
    assert_eq!(answer.status, 405);
}

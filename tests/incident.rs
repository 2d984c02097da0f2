//! `octroi explain --incident`: from the number that somebody reads out to what was recorded, and
//! to what the policy says now.

use std::path::Path;

use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{Plan, World};
use crate::harness::{client::Head, eventually};

fn ask(world: &World, number: &str, more: &[&str]) -> (Option<i32>, String) {
    let config = world.dir.path().join("octroi.yaml");
    finish(
        octroi()
            .args(["explain", "--incident", number, "--config"])
            .arg(config)
            .args(more),
    )
}

/// The number in an answer, once both of its lines are in the log.
fn incident(world: &World, head: &Head) -> String {
    let status = head.field("proxy-status").expect("Proxy-Status");
    let (_, rest) = status.split_once("incident=\"").expect("an incident");
    let number = rest.split('"').next().unwrap().to_owned();
    eventually("the line of the incident", || {
        let of = |line: &crate::harness::scrape::Line| {
            line.text("event.id") == number && line.text("event.action") != "decision"
        };
        world.gate.audit().iter().any(of).then_some(())
    });
    number
}

fn refused(world: &World) -> String {
    let mut wire = world.ordinary();
    let head = wire.connect("www.drop.example:443");
    assert_eq!(head.status, 403);
    incident(world, &head)
}

fn edit(world: &World, file: &str, from: &str, to: &str) {
    let path = world.policy.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no `{from}`");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn says(said: &str, all: &[&str]) {
    for one in all {
        assert!(said.contains(one), "no `{one}` in:\n{said}");
    }
}

#[test]
fn a_number_read_out_leads_to_what_was_recorded_and_what_holds_now() {
    let world = World::new();
    let number = refused(&world);
    let read_out = number.to_lowercase().replace('-', " ").replace('0', "o");
    let (code, then) = ask(&world, &read_out, &[]);
    assert_eq!(code, Some(0), "{then}");
    let source = world.block.ordinary().to_string();
    let recorded = format!("who        {source} is culture/bureautique");
    says(
        &then,
        &[
            &number,
            &recorded,
            "asked      CONNECT www.drop.example:443 at ",
            "what       target    www.drop.example is service drop",
            "rules      no-drop matches target `www.drop.example`: applies",
            "recorded   deny (enforced)\n           rule no-drop denies target `www.drop.example`",
            "ended      denied by the gate at ",
            "now        the same answer: deny (enforced)\n           by the policy that decided then",
            // As `explain` says it, with the places of the bundle.
            "no-drop (deny) matches target `www.drop.example`: applies  [policy.yaml:",
        ],
    );

    edit(
        &world,
        "policy.yaml",
        "effect: deny\n    when: { service: drop }",
        "effect: deny\n    mode: observe\n    when: { service: drop }",
    );
    says(
        &ask(&world, &number, &[]).1,
        &[
            "now        another answer: deny (observed), was deny (enforced)\n           by another policy than then: e2e, digest ",
            "changed    rule no-drop was enforced, and is observed",
        ],
    );

    edit(
        &world,
        "policy.yaml",
        "when: { service: drop }",
        "when: { service: messagerie }",
    );
    let (code, now) = ask(&world, &number, &[]);
    assert_eq!(code, Some(0), "{now}");
    says(
        &now,
        &[
            "recorded   deny (enforced)",
            "now        another answer: allow (enforced), was deny (enforced)",
            "changed    rule no-drop matched target `www.drop.example`, and does no more",
            "note       the name was not resolved then",
        ],
    );
}

#[test]
fn dates_that_pass_are_told_from_edits() {
    let world = World::new();
    let derogation = "derogations:\n  - { id: D-1, ministry: culture, services: [drop], from: 2020-01-01, until: 2099-12-31, approved_by: A, reference: B }\n";
    let path = world.policy.join("derogations.yaml");
    std::fs::write(&path, derogation).unwrap();
    let number = {
        world
            .gate
            .counted("octroi_policy_reloads_total", &[("result", "swapped")], 1);
        let mut wire = world.ordinary();
        // It is lifted, and then does not resolve.
        let head = wire.connect("www.drop.example:443");
        assert_eq!(head.status, 502);
        incident(&world, &head)
    };
    says(
        &ask(&world, &number, &[]).1,
        &[
            "now        the same answer: allow",
            "lifted by derogation D-1",
        ],
    );
    let (_, later) = ask(&world, &number, &["--at", "2100-01-01"]);
    says(
        &later,
        &[
            "now        another answer: deny (enforced), was allow (enforced)",
            "changed    rule no-drop: lifted by derogation D-1 then, applies now; derogation D-1 ended at 2100-01-01T00:00:00Z",
            "a date has passed since",
        ],
    );
    std::fs::remove_file(path).unwrap();
    let (_, without) = ask(&world, &number, &[]);
    says(&without, &["derogation D-1 is no more in the policy"]);
    assert!(!without.contains("a date has passed"), "{without}");
}

#[test]
fn a_request_that_became_no_flow_is_told_too() {
    let world = World::new();
    let mut wire = world.ordinary();
    wire.send("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n");
    let head = wire.head();
    assert_eq!(head.status, 400);
    let number = incident(&world, &head);
    let (code, said) = ask(&world, &number, &[]);
    assert_eq!(code, Some(0), "{said}");
    says(
        &said,
        &[
            "became no flow",
            "answered with status 400",
            "through listener explicit",
        ],
    );
    assert!(!said.contains("now  "), "nothing is judged: {said}");
}

#[test]
fn where_addresses_are_not_written_the_workload_is_judged() {
    let world = Plan::new().set("audit", "client_address: none").start();
    let number = refused(&world);
    let (code, said) = ask(&world, &number, &[]);
    assert_eq!(code, Some(0), "{said}");
    says(
        &said,
        &[
            "a machine whose address was not recorded is culture/bureautique",
            "now        the same answer: deny (enforced)",
            "note       the address was not recorded",
            "whoever asked is culture/bureautique (standard)",
        ],
    );
    assert!(
        !said.contains(&world.block.ordinary().to_string()),
        "{said}"
    );
}

#[test]
fn files_set_aside_and_standard_input_are_searched() {
    let world = World::new();
    let (number, newer) = (refused(&world), refused(&world));
    let log = world.gate.audit_path();
    let aside = log.with_file_name("audit.jsonl.20261124T101500.000000Z");
    // As rotation leaves them: the first flow in the file set aside, the second in the other.
    let text = std::fs::read_to_string(&log).unwrap();
    let of = |id: &str| -> String {
        text.split_inclusive('\n')
            .filter(|line| line.contains(id))
            .collect()
    };
    std::fs::write(&aside, of(&number)).unwrap();
    std::fs::write(&log, of(&newer)).unwrap();
    let place = format!("[{}:", aside.display());
    let (code, said) = ask(&world, &number, &[]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &[&place]);
    says(
        &ask(&world, &newer, &[]).1,
        &[&format!("[{}:", log.display())],
    );

    let (code, said) = ask(&world, "ZZZZ-ZZZZ-ZZZZ-ZZZZ", &[]);
    assert_eq!(code, Some(1), "{said}");
    let aside = format!("searched {}: 2 lines, from 20", aside.display());
    says(
        &said,
        &[
            "error: incident ZZZZ-ZZZZ-ZZZZ-ZZZZ is not in the log",
            &aside,
            "help:",
        ],
    );

    let policy = world.policy.to_str().unwrap();
    let piped = |number: &str, log: &Path| {
        let mut command = octroi();
        command.args([
            "explain",
            "--incident",
            number,
            "--policy",
            policy,
            "--audit",
            "-",
        ]);
        finish(command.stdin(std::fs::File::open(log).unwrap()))
    };
    let (code, said) = piped(&newer, &log);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["[standard input:1]", "the same answer"]);
    assert_eq!(piped(&number, &log).0, Some(1));
}

#[test]
fn a_question_that_cannot_be_answered_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let off = write("off.yaml", "audit:\n  path: none\n");
    let elsewhere = write(
        "elsewhere.yaml",
        "listeners:\n  - { name: a, mode: explicit, address: \"127.0.0.1:3128\" }\n",
    );
    let gone = write("gone.yaml", "audit:\n  path: /nonexistent/audit.jsonl\n");
    let number = "7ZQ4-0M1K-TXBE-93RA";
    let cases: [(&[&str], i32, &str); 8] = [
        (&[number], 2, "--audit FILE"),
        (&["7ZQ4-0M1K"], 2, "16 letters"),
        (&["7ZQ4-0M1K-TXBE-93RU"], 2, "`U`"),
        (&[number, "--config", &off], 78, "keeps no audit log"),
        (&[number, "--config", &elsewhere], 78, "--audit -"),
        (&[number, "--config", &gone], 74, "cannot read"),
        (&[number, "--audit", "/nonexistent"], 74, "cannot be read"),
        (
            &[number, "--source", "127.0.0.1", "https://a.example"],
            2,
            "cannot be used with",
        ),
    ];
    for (arguments, expected, says) in cases {
        let arguments = [&["explain", "--incident"], arguments].concat();
        let (code, said) = finish(octroi().args(&arguments));
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

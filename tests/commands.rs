//! The commands beside `run`: what they print and how they end.

use std::path::Path;

use crate::harness::Block;
use crate::harness::client::client_hello;
use crate::harness::ledger::{Became, field};
use crate::harness::origin::echo;
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{World, repository, write_bundle};

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    finish(octroi().args(arguments))
}

/// A bundle in a directory of its own.
fn bundle() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_bundle(dir.path(), Block::claim());
    dir
}

fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no `{from}`");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn path(dir: &tempfile::TempDir) -> &str {
    dir.path().to_str().unwrap()
}

#[test]
fn a_good_bundle_checks_and_tests_well() {
    let dir = bundle();
    assert_eq!(
        run(&["check", path(&dir)]).0,
        Some(0),
        "{}",
        run(&["check", path(&dir)]).1
    );
    let example = repository().join("examples/policy");
    let example = example.to_str().unwrap();
    for command in ["check", "test"] {
        let (code, said) = run(&[command, example]);
        assert_eq!(code, Some(0), "octroi {command}: {said}");
    }
}

/// Ten different mistakes in five files: (file, from, to, what the finding points at).
const MISTAKES: [(&str, &str, &str, &str); 10] = [
    (
        "policy.yaml",
        "sensitivity: sensitive, category",
        "sensitivity: secret, category",
        "`secret`",
    ),
    (
        "policy.yaml",
        "references: [r9]",
        "references: [r99]",
        "`r99`",
    ),
    (
        "policy.yaml",
        "service: exchange-online",
        "service: exchange-onlin",
        "`exchange-onlin`",
    ),
    (
        "policy.yaml",
        "lists/indicators.txt",
        "lists/indicator.txt",
        "indicator.txt",
    ),
    (
        "services/services.yaml",
        "alternatives: [messagerie]",
        "alternatives: [mesagerie]",
        "`mesagerie`",
    ),
    (
        "services/services.yaml",
        "domains: [.drop.example]",
        "domains: [\"*.fr\"]",
        "*.fr",
    ),
    (
        "services/services.yaml",
        "jurisdiction: US",
        "jurisdiction: Mars",
        "`Mars`",
    ),
    (
        "lists/exchange-online-ip.txt",
        "52.96.0.0/14",
        "52.96.0.0/140",
        "52.96.0.0/140",
    ),
    (
        "ministries/ministries.yaml",
        "connect_ports: [443, 2525",
        "connect_ports: [443, 99999",
        "99999",
    ),
    (
        "ministries/ministries.yaml",
        "sources: [\"127.0.0.1/32\"]",
        "sources: [\"127.0.0.1/33\"]",
        "127.0.0.1/33",
    ),
];

#[test]
fn ten_mistakes_are_ten_findings_with_their_places() {
    let dir = bundle();
    for (file, from, to, _) in MISTAKES {
        edit(dir.path(), file, from, to);
    }
    let (code, said) = run(&["check", path(&dir)]);
    assert_eq!(code, Some(1), "{said}");
    for (file, _, _, points_at) in MISTAKES {
        let file = file.rsplit('/').next().unwrap();
        assert!(
            said.contains(points_at.trim_matches('`')),
            "no finding about {points_at}:\n{said}"
        );
        assert!(
            said.contains(&format!("{file}:")),
            "no place in {file}:\n{said}"
        );
    }
    let errors = said
        .lines()
        .filter(|line| line.starts_with("error"))
        .count();
    assert_eq!(errors, 10, "{said}");
    assert!(said.contains("help:"), "{said}");
}

#[test]
fn an_unknown_key_and_one_for_later_are_findings() {
    let dir = bundle();
    edit(
        dir.path(),
        "policy.yaml",
        "default: allow\n",
        "default: allow\nrulez: []\n",
    );
    let (code, said) = run(&["check", path(&dir)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("rulez"), "{said}");
    let dir = bundle();
    edit(
        dir.path(),
        "policy.yaml",
        "default: allow\n",
        "default: allow\nusers: []\n",
    );
    let (code, said) = run(&["check", path(&dir)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("users"), "{said}");
}

#[test]
fn exit_codes_say_whose_turn_it_is() {
    let example = repository().join("examples/policy");
    let example = example.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("octroi.yaml");
    std::fs::write(&config, "listenerz: []\n").unwrap();
    let config = config.to_str().unwrap();
    let cases: [(&[&str], i32); 8] = [
        (&["--version"], 0),
        (&["--help"], 0),
        (&["check", example], 0),
        (&["frobnicate"], 2),
        (
            &["explain", "--source", "not-an-address", "https://a.example"],
            2,
        ),
        (&["check", "/nonexistent/policy"], 74),
        (&["run", "--config", config], 78),
        (&["run", "--config", "/nonexistent/octroi.yaml"], 74),
    ];
    for (arguments, expected) in cases {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(expected), "octroi {arguments:?}: {said}");
    }
}

#[test]
fn a_failing_test_of_a_bundle_is_a_no() {
    let dir = bundle();
    let tests = "tested_at: 2026-11-23\ntests:\n  - name: drop is open\n    given: { source: 192.0.2.1, host: www.drop.example }\n    expect: { verdict: allow }\n";
    std::fs::write(dir.path().join("tests.yaml"), tests).unwrap();
    let (code, said) = run(&["test", path(&dir)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("drop is open"), "{said}");
}

/// The same question over the wire and to `explain`: one answer.
#[test]
fn explain_says_what_the_wire_does() {
    let world = World::new();
    world.origin("news.example", 10, 443, echo());
    let cases = [
        (
            world.block.sensitive(),
            "outlook.office.com",
            "interieur",
            Became::Refused,
        ),
        (
            world.block.ordinary(),
            "outlook.office.com",
            "culture",
            Became::Observed,
        ),
        (
            world.block.ordinary(),
            "www.drop.example",
            "culture",
            Became::Refused,
        ),
        (
            world.block.ordinary(),
            "news.example",
            "culture",
            Became::Allowed,
        ),
        (
            world.block.stranger(),
            "news.example",
            "unassigned",
            Became::Refused,
        ),
    ];
    world.origin("outlook.office.com", 11, 443, echo());
    for (from, host, ministry, became) in cases {
        let mut wire = world.wire(from);
        let status = wire.connect(&format!("{host}:443")).status;
        if status == 200 {
            wire.send(client_hello(Some(host)));
        }
        let line = crate::harness::eventually("the line of this flow", || {
            let lines = world.gate.decisions().into_iter().rev();
            let mut own = lines.filter(|l| l.text("source.ip") == from.to_string());
            own.find(|l| l.text("url.domain") == host)
        });
        let said = explain(&world, &from.to_string(), host, became);
        assert_eq!(status == 403, became == Became::Refused, "{host}: {status}");
        assert!(said.contains(ministry), "{said}");
        for id in [field::RULE, field::SERVICE].map(|name| line.text(name)) {
            assert!(said.contains(&id), "explain does not name `{id}`:\n{said}");
        }
    }
}

fn explain(world: &World, source: &str, host: &str, became: Became) -> String {
    let policy = world.policy.to_str().unwrap();
    let url = format!("https://{host}");
    let (code, said) = run(&[
        "explain",
        "--policy",
        policy,
        "--source",
        source,
        "--no-resolve",
        &url,
    ]);
    let expected = i32::from(became == Became::Refused);
    assert_eq!(code, Some(expected), "{said}");
    if became != Became::Allowed && source != world.block.stranger().to_string() {
        assert!(
            said.contains("policy.yaml:"),
            "each rule has its file and line:\n{said}"
        );
    }
    said
}

#[test]
fn explain_takes_a_chain_and_addresses() {
    let dir = bundle();
    let block = Block::claim();
    write_bundle(dir.path(), block);
    let source = block.sensitive().to_string();
    let arguments = [
        "explain",
        "--policy",
        path(&dir),
        "--source",
        &source,
        "--no-resolve",
    ];
    let hop = "contoso.mail.protection.outlook.com";
    let (code, said) = run(&[
        &arguments[..],
        &["--cname", hop, "https://mail.vendor.example"],
    ]
    .concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(hop) && said.contains("r9-sensitive-data"),
        "{said}"
    );
    let (code, said) = run(&[
        &arguments[..],
        &["--address", "52.97.1.2", "https://mail.vendor.example"],
    ]
    .concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("52.97.1.2"), "{said}");
}

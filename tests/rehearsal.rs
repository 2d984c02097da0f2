//! `octroi check octroi.yaml`: everything that `run` would trip over, found at once and said alike.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::Block;
use crate::harness::eventually;
use crate::harness::proxy::octroi;
use crate::harness::tools::{Running, finish};
use crate::harness::world::{World, write_bundle};

/// A directory with a bundle, and an octroi.yaml of what a test says.
struct Desk {
    dir: tempfile::TempDir,
    block: Block,
}

impl Desk {
    fn new() -> Self {
        let (dir, block) = (tempfile::tempdir().unwrap(), Block::claim());
        write_bundle(&dir.path().join("policy"), block);
        Self { dir, block }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes octroi.yaml; `GATE` is an address of this test alone.
    fn write(&self, text: &str) -> PathBuf {
        let file = self.path("octroi.yaml");
        let gate = self.block.gate().to_string();
        std::fs::write(&file, text.replace("GATE", &gate)).unwrap();
        file
    }

    fn check(&self, more: &[&str]) -> (Option<i32>, String) {
        finish(
            octroi()
                .arg("check")
                .arg(self.path("octroi.yaml"))
                .args(more),
        )
    }

    fn run(&self) -> Command {
        let mut command = octroi();
        command
            .args(["run", "--config"])
            .arg(self.path("octroi.yaml"));
        command
    }

    /// Without what differs from run to run.
    fn masked(&self, said: &str) -> String {
        let own = std::process::id().to_string();
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let mut text = said
            .replace(&self.dir.path().display().to_string(), "DIR")
            .replace(&self.block.gate().to_string(), "GATE")
            .replace(&format!("{} (pid {own})", name.trim()), "PROGRAM (pid PID)");
        // The width of what is underlined is that of addresses, which differ.
        while text.contains("^^") {
            text = text.replace("^^", "^");
        }
        if let Some(at) = text.find("digest ") {
            text.truncate(at);
        }
        let words = text.split_inclusive([' ', '\n']);
        let masked = words.map(|word| {
            let figure = word.trim_end_matches([' ', '\n', ',']);
            let is_figure = figure.len() > 3 && figure.bytes().all(|c| c.is_ascii_digit());
            let is_ours = ["900000", "8080", "4096"].contains(&figure);
            if is_figure && !is_ours {
                word.replace(figure, "FIGURE")
            } else {
                word.to_owned()
            }
        });
        masked.collect()
    }
}

/// A file as it should be.
const GOOD: &str = r#"policy: { path: policy }
listeners:
  - { name: explicit, mode: explicit, address: "GATE:3128" }
audit: { path: audit.jsonl }
admin: { address: "GATE:9128" }
"#;

#[test]
fn ten_mistakes_are_found_at_once() {
    let desk = Desk::new();
    let _taken = TcpListener::bind((desk.block.gate(), 3128)).unwrap();
    std::fs::write(desk.path("short.key"), "secret").unwrap();
    std::fs::set_permissions(desk.path("short.key"), PermissionsExt::from_mode(0o644)).unwrap();
    desk.write(
        r#"policy: { path: policy }
listeners:
  - { name: explicit, mode: explicit, address: "GATE:3128" }
  - { name: again, mode: explicit, address: "0.0.0.0:3128" }
  - { name: elsewhere, mode: explicit, address: "192.0.2.77:3129" }
dns: { servers: [192.0.2.53], timeout: 1year }
upstream: { allow_internal: [127.0.0.0/8, 203.0.113.0/24] }
limits: { connections: 900000 }
audit: { path: none-there/audit.jsonl, client_address: keyed-hash, key: short.key }
admin: { address: "0.0.0.0:29128" }
pac: { proxies: ["proxy.example:8080"] }
"#,
    );
    let (code, said) = desk.check(&[]);
    assert_eq!(code, Some(1), "{said}");
    insta::assert_snapshot!(desk.masked(&said));

    let (code, said) = desk.check(&["--format", "json"]);
    assert_eq!(code, Some(1), "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let found = found.as_array().unwrap();
    let has = |code: &str| found.iter().any(|it| it["code"] == code);
    for code in [
        "octroi-yaml",
        "cannot-listen",
        "audit-unwritable",
        "audit-key",
        "key-readable",
        "too-many-connections",
        "admin-reachable",
        "own-machine-open",
        "useless-exception",
        "pac-without-listener",
    ] {
        assert!(has(code), "no {code} in {said}");
    }
    // One shape with the findings of a bundle.
    for finding in found {
        let keys: Vec<_> = finding
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["code", "help", "labels", "message", "severity"]);
        let line = finding["labels"][0]["line"].as_u64().unwrap();
        assert!((1..=11).contains(&line), "{finding}");
    }
}

#[test]
fn what_is_an_error_stops_the_start_in_the_same_words() {
    let _taken;
    let desk = Desk::new();
    _taken = TcpListener::bind((desk.block.gate(), 4444)).unwrap();
    std::fs::write(desk.path("short.key"), "secret").unwrap();
    let cases = [
        ("GATE:3128", "GATE:4444", "in use"),
        (
            "GATE:3128",
            "192.0.2.77:3128",
            "cannot listen on 192.0.2.77:3128",
        ),
        ("GATE:9128", "GATE:3128", "are one place"),
        ("GATE:9128", "0.0.0.0:3128", "are one place"),
        (
            "audit.jsonl",
            "none-there/audit.jsonl",
            "cannot open the audit log",
        ),
        (
            "audit.jsonl }",
            "audit.jsonl, client_address: keyed-hash, key: short.key }",
            "a key has 32",
        ),
        (
            "audit.jsonl }",
            "audit.jsonl, client_address: keyed-hash, key: gone.key }",
            "gone.key",
        ),
        ("audit.jsonl", "policy", "cannot open the audit log"),
        (
            ":3128\" }",
            ":3128\", tls: { certificate: chain.pem, key: short.key } }",
            "cannot speak TLS",
        ),
        (
            "policy: { path: policy }",
            "policy: { path: policy }\nupgrade: { path: policy }",
            "is not the gate's alone",
        ),
    ];
    let chain = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    std::fs::write(desk.path("chain.pem"), chain.cert.pem()).unwrap();
    for (from, to, says) in cases {
        assert!(GOOD.contains(from));
        desk.write(&GOOD.replacen(from, to, 1));
        let (code, said) = desk.check(&[]);
        assert_eq!(code, Some(1), "{to}: {said}");
        let error = said
            .lines()
            .find_map(|line| line.strip_prefix("error["))
            .expect(&said);
        let (_, message) = error.split_once("]: ").unwrap();
        assert!(message.contains(says), "{to}: {said}");
        assert!(
            said.contains("octroi.yaml:") && said.contains("help: "),
            "{said}"
        );
        let (code, ran) = finish(&mut desk.run());
        assert!(matches!(code, Some(74 | 78)), "{to}: {code:?}\n{ran}");
        assert!(
            ran.contains(&format!("error: {message}")),
            "{to}: check says {message}\nrun says {ran}"
        );
    }
}

#[test]
fn a_clean_file_starts_and_its_running_gate_is_no_error() {
    let desk = Desk::new();
    desk.write(GOOD);
    let (code, said) = desk.check(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("octroi.yaml: no findings\n"), "{said}");
    assert!(
        !desk.path("audit.jsonl").exists(),
        "checking writes nothing"
    );

    let mut run = desk.run();
    run.stdout(Stdio::null()).stderr(Stdio::null());
    let _gate = Running(run.spawn().unwrap());
    let admin = (desk.block.gate(), 9128).into();
    eventually("the gate becomes ready", || {
        let ready = crate::harness::scrape::request(admin, "GET", "/-/ready")?;
        (ready.status == 200).then_some(())
    });
    let (code, said) = desk.check(&[]);
    assert_eq!(code, Some(0), "{said}");
    let running = said
        .matches("is in use by the octroi that runs (pid ")
        .count();
    assert_eq!(running, 2, "{said}");
    assert!(said.contains("octroi.yaml: 2 warnings\n"), "{said}");
}

/// As another user than root: what is there is not enough, it must be this user's to write.
#[test]
fn files_are_tried_as_the_user_who_checks() {
    let desk = Desk::new();
    desk.write(GOOD);
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    open(desk.dir.path(), 0o755);
    let binary = desk.path("octroi");
    std::fs::copy(octroi().get_program(), &binary).unwrap();
    let check = || {
        let mut command = Command::new(&binary);
        command.arg("check").arg(desk.path("octroi.yaml"));
        finish(
            command
                .env_clear()
                .stdin(Stdio::null())
                .uid(65534)
                .gid(65534),
        )
    };
    let (code, said) = check();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("error[audit-unwritable]: cannot open the audit log"),
        "{said}"
    );
    assert!(
        said.contains("Permission denied") && said.contains("tried as nobody (uid 65534)"),
        "{said}"
    );
    // The file alone is not enough to set it aside when it is full.
    std::fs::write(desk.path("audit.jsonl"), "").unwrap();
    open(&desk.path("audit.jsonl"), 0o666);
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning[audit-rotation]"), "{said}");
    open(desk.dir.path(), 0o777);
    assert!(check().1.contains("octroi.yaml: no findings"));
}

#[test]
fn a_workload_told_by_a_listener_that_is_not_there_is_found() {
    let desk = Desk::new();
    desk.write(GOOD);
    let path = desk.path("policy/ministries/ministries.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let told = text.replacen(
        "sensitivity: standard, sources: [\"127.0.0.1/32\"]",
        "sensitivity: standard, listeners: [transparent]",
        1,
    );
    assert_ne!(told, text);
    std::fs::write(path, told).unwrap();
    let (code, said) = desk.check(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning[unknown-listener]: the workload `postes`"),
        "{said}"
    );
    assert!(said.contains("ministries/ministries.yaml:"), "{said}");
}

#[test]
fn warnings_are_in_the_log_of_the_start_too() {
    let world = World::new();
    let (_, said) = finish(
        octroi()
            .arg("check")
            .arg(world.dir.path().join("octroi.yaml")),
    );
    let warning = said
        .lines()
        .find_map(|line| line.strip_prefix("warning[own-machine-open]: "));
    let warning = warning.expect(&said);
    assert!(
        world.gate.log().contains(warning),
        "{warning}\n{}",
        world.gate.log()
    );
}

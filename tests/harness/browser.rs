//! Pages as people meet them: Chromium, driven and judged by `tests/browser`.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::tools::tool;
use super::world::repository;

/// Everything that is checked of a page that is read.
pub(crate) const READING: [&str; 9] = [
    "structure",
    "axe",
    "reflow",
    "zoom",
    "print",
    "keyboard",
    "languages",
    "incident",
    "alone",
];

/// What the bench says of one page.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) status: u64,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) findings: Vec<Value>,
    pub(crate) facts: Value,
}

impl Seen {
    pub(crate) fn is_clean(&self) {
        let findings: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        assert!(
            findings.is_empty(),
            "{}: {} findings\n{}",
            self.name,
            findings.len(),
            findings.join("\n")
        );
    }

    pub(crate) fn says(&self, expected: &str) {
        assert!(
            self.text.contains(expected),
            "{}: no `{expected}` in\n{}",
            self.name,
            self.text
        );
    }
}

/// Visits pages one after another, all in one browser; `proxy` is its way out, but for visits with `direct`.
/// `OCTROI_SHOTS=FOLDER` keeps pictures.
pub(crate) fn visit(proxy: &str, visits: &[Value]) -> Vec<Seen> {
    let bench = repository().join("tests/browser");
    assert!(
        bench.join("node_modules/axe-core").is_dir(),
        "tests/browser/node_modules is missing: `npm ci` in tests/browser (tests/run does it)"
    );
    drop(tool("chromium"));
    let mut task = json!({ "chromium": "/usr/bin/chromium", "proxy": proxy, "visits": visits });
    if let Some(folder) = std::env::var_os("OCTROI_SHOTS") {
        task["shots"] = folder.to_str().into();
    }
    let mut command = tool("timeout");
    command
        .args(["240", "node", "bench.mjs"])
        .current_dir(bench);
    drop(tool("node"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(task.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the bench could not look: {said}");
    let seen: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    seen.into_iter().map(read).collect()
}

fn read(mut seen: Value) -> Seen {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Seen {
        name: text(&seen["name"]),
        status: seen["status"].as_u64().unwrap(),
        title: text(&seen["title"]),
        text: text(&seen["text"]),
        findings: seen["findings"].as_array().unwrap().clone(),
        facts: seen["facts"].take(),
    }
}

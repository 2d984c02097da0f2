//! `examples/watch`, the documented command: in a network of its own, where its ports are free.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::demo::Demo;
use crate::harness::tools::{finish, tool};
use crate::harness::within;
use crate::harness::world::{copy, repository};

/// From the first scrape until the rules of a minute have said something twice.
const TWO_MINUTES: std::time::Duration = std::time::Duration::from_secs(150);

/// A copy of the repository's files in which the program has been built already.
fn desk() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for part in ["examples", "dashboards"] {
        copy(&repository().join(part), &dir.path().join(part));
    }
    let cargo = format!(
        "#!/bin/sh\n[ \"$*\" = 'build --release --locked -p octroi' ] || exit 64\nmkdir -p target/release && cp '{}' target/release/octroi\n",
        env!("CARGO_BIN_EXE_octroi")
    );
    std::fs::write(dir.path().join("cargo"), cargo).unwrap();
    for program in ["cargo", "examples/watch"] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path().join(program), mode).unwrap();
    }
    dir
}

#[test]
fn the_documented_command_shows_rules_and_alerts_and_leaves_nothing() {
    let readme = crate::readme::readme();
    let watch = readme.split("\n## Watch\n").nth(1).unwrap();
    assert!(
        watch
            .trim_start()
            .starts_with("```text\nexamples/watch\n```"),
        "README begins `Watch` with it"
    );
    for package in [
        "prometheus",
        "prometheus-alertmanager",
        "ip",
        "nsenter",
        "curl",
    ] {
        drop(tool(package));
    }
    let desk = desk();
    let mut command = tool("unshare");
    // A shell cannot trap what was ignored when it began, as Ctrl-C is for what runs in the background.
    let script = "ip link set lo up && exec env --default-signal=INT examples/watch";
    command
        .args(["--net", "bash", "-c", script])
        .current_dir(desk.path());
    let path = format!(
        "{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        desk.path().display()
    );
    command.env("PATH", path);
    let mut demo = Demo::spawn(command);
    demo.tells("month 1 begins");
    let ask = |what: &str| -> Option<Value> {
        let mut curl = tool("nsenter");
        curl.arg(format!("--target={}", demo.pid().as_raw_nonzero()));
        curl.args(["--net", "curl", "-sf", &format!("http://127.0.0.1:{what}")]);
        serde_json::from_str(&finish(&mut curl).1).ok()
    };
    within(TWO_MINUTES, "a recording rule has an answer", || {
        let name = "9090/api/v1/query?query=ministry_verdict_mode:octroi_attempts:increase1m";
        let answer = ask(name)?;
        std::thread::park_timeout(std::time::Duration::from_secs(1));
        let series = answer["data"]["result"].as_array()?.len();
        (series > 12).then_some(())
    });
    within(TWO_MINUTES, "Alertmanager is told", || {
        let alerts = ask("9093/api/v2/alerts")?;
        std::thread::park_timeout(std::time::Duration::from_secs(1));
        let names: BTreeSet<&str> = alerts
            .as_array()?
            .iter()
            .filter_map(|a| a["labels"]["alertname"].as_str())
            .collect();
        names
            .contains("OctroiEvidenceCloakedOrRehosted")
            .then_some(())
    });
    demo.send(Signal::INT);
    assert_eq!(demo.ends(), Some(0), "{}", demo.said());
    assert!(demo.remains().is_empty(), "{:?}", demo.remains());
    let mut left = tool("nsenter");
    let (code, _) = finish(left.args([
        &format!("--target={}", demo.pid().as_raw_nonzero()),
        "--net",
        "true",
    ]));
    assert_ne!(code, Some(0), "nothing runs any more");
}

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::config::{Audit, Sink};
use crate::ledger::Ledger;

const POLICY: &str = "\
version: 1
name: shape
default: allow
unassigned: { sensitivity: standard }
rules:
  - { id: denied, effect: deny, mode: observe, when: { domains_from: lists/denied.txt, domains: [x.example] } }
  - { id: idle, effect: block, when: { category: storage } }
services:
  - { id: mail, category: [messaging], domains_from: lists/mail.txt }
ministries:
  - { id: culture, workloads: [ { id: office, sensitivity: standard, sources: [192.0.2.0/26] } ] }
derogations:
  - { id: D-1, ministry: culture, services: [mail], from: 2026-09-01, until: 2199-02-28, approved_by: A }
  - { id: D-2, ministry: culture, services: [mail], from: 2025-09-01, until: 2026-02-28, approved_by: A }
  - { id: D-3, ministry: culture, services: [mail], from: 2198-01-01, until: '2199-01-01T08:00:00Z', approved_by: A }
";

/// As if that day were today: what depends on it is told at this instant.
const NOW: &str = "2026-11-24T12:00:00Z";

fn write(root: &Path) {
    let own = root.join("ministries/culture");
    fs::create_dir_all(root.join("lists")).unwrap();
    fs::create_dir_all(&own).unwrap();
    fs::write(root.join("policy.yaml"), POLICY).unwrap();
    fs::write(root.join("lists/denied.txt"), "a.example\nb.example\n").unwrap();
    fs::write(root.join("lists/mail.txt"), "mail.example\n").unwrap();
    let stricter = "rules:\n  - { id: own, effect: deny, when: { service: mail } }\n";
    fs::write(own.join("rules.yaml"), stricter).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    for (list, age) in [("denied", 3_600), ("mail", -3_600)] {
        let file = fs::File::options()
            .write(true)
            .open(root.join(format!("lists/{list}.txt")))
            .unwrap();
        let modified = u64::try_from(now.as_second() - age).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
        file.set_modified(modified).unwrap();
    }
}

fn handle(path: &Path) -> Handle {
    let audit = Audit {
        sink: Sink::Off,
        ..Audit::default()
    };
    let ledger = Ledger::open_books(&audit, 10_000).unwrap();
    let state = State::open(&path.with_extension("state"), &ledger);
    let source = PolicySource::Path(path.to_owned());
    let handle = Handle::start(source, Some(state.clone()), ledger).unwrap();
    assert!(state.finish(Duration::from_secs(20)));
    handle
}

/// The answer at [`NOW`], with what differs each time replaced.
fn told(handle: &Handle) -> Value {
    let (policy, status) = handle.in_force();
    let body = json(handle, &policy, &status, NOW.parse().unwrap());
    let mut told: Value = serde_json::from_slice(&body).unwrap();
    let varying = [
        "/digest",
        "/loaded_at",
        "/path",
        "/saved_at",
        "/state/path",
        "/rejected/at",
    ];
    for place in varying {
        if let Some(text) = told.pointer_mut(place).filter(|it| it.is_string()) {
            *text = format!("({})", place.rsplit('/').next().unwrap()).into();
        }
    }
    told
}

#[tokio::test]
async fn the_whole_answer_has_this_shape() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    write(&path);
    let handle = handle(&path);
    fs::write(path.join("lists/denied.txt"), "two words\n").unwrap();
    handle.reload().await;
    insta::assert_json_snapshot!(told(&handle));
}

#[tokio::test]
async fn a_policy_from_the_state_says_so_and_what_is_wrong_with_the_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    write(&path);
    drop(handle(&path));
    fs::remove_dir_all(&path).unwrap();
    let handle = handle(&path);
    let told = told(&handle);
    assert_eq!(
        (
            &told["from"],
            &told["saved_at"],
            &told["lists"][1]["modified"]
        ),
        (&"state".into(), &"(saved_at)".into(), &Value::Null)
    );
    let finding = &told["rejected"]["findings"][0];
    assert_eq!(finding["code"], "unreadable-file");
    let message = finding["message"].as_str().unwrap();
    assert!(message.starts_with("cannot read `"), "{message}");

    write(&path);
    handle.reload().await;
    let mended = self::told(&handle);
    assert_eq!(
        (&mended["from"], &mended["rejected"]),
        (&"path".into(), &Value::Null)
    );
    assert_eq!(mended["lists"][1]["age_seconds"], 3_600);
}

#[tokio::test]
async fn a_table_beyond_all_measure_is_cut_and_says_by_how_much() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.yaml");
    let rules: String = (0..MOST_ROWS + 7)
        .map(|n| format!("  - {{ id: r{n}, effect: deny, when: {{ domains: [d{n}.example] }} }}\n"))
        .collect();
    let text = format!(
        "version: 1\nname: many\ndefault: allow\nunassigned: {{ sensitivity: standard }}\nrules:\n{rules}"
    );
    fs::write(&path, text).unwrap();
    let told = told(&handle(&path));
    assert_eq!(told["rules"].as_array().unwrap().len(), MOST_ROWS);
    assert_eq!(told["lists"].as_array().unwrap().len(), MOST_ROWS);
    assert_eq!(told["left_out"], 14);
}

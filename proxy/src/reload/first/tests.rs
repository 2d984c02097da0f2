use std::fs;
use std::path::Path;
use std::time::Duration;

use octroi_policy::bundle::Bundle;

use super::*;
use crate::config::{Audit, Sink};
use crate::ledger::Ledger;
use crate::reload::{Handle, Origin, Outcome};

const GOOD: &str =
    "version: 1\nname: good\ndefault: allow\nunassigned: { sensitivity: standard }\n";
const BROKEN: &str = "version: 1\nname: good\ndefault: alow\n";
/// It means what it says, and does not pass its own test.
const FAILING: &str = "version: 1\nname: failing\ndefault: allow\nunassigned: { sensitivity: standard, default: allow }\ntested_at: 2026-11-23\ntests:\n  - { name: too strict, given: { source: 192.0.2.1, host: a.example }, expect: { verdict: deny } }\n";

fn books() -> Ledger {
    let audit = Audit {
        sink: Sink::Off,
        ..Audit::default()
    };
    Ledger::open_books(&audit, 10_000).unwrap()
}

/// A gate's start over the files below `root`.
fn start(root: &Path) -> (Result<Handle, NoPolicy>, Ledger) {
    let ledger = books();
    let state = State::open(&root.join("state"), &ledger);
    let source = PolicySource::Path(root.join("policy.yaml"));
    let handle = Handle::start(source, Some(state.clone()), ledger.clone());
    if handle.is_ok() && state.problem().is_none() {
        assert!(state.finish(Duration::from_secs(20)));
    }
    (handle, ledger)
}

fn shows(ledger: &Ledger, sample: &str) -> bool {
    ledger.metrics().text().lines().any(|line| line == sample)
}

/// A directory in which [`GOOD`] was in force, and then `text` was written in its place.
fn after(text: Option<&str>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let policy = root.path().join("policy.yaml");
    fs::write(&policy, GOOD).unwrap();
    let (handle, ledger) = start(root.path());
    assert_eq!(handle.unwrap().status().origin, Origin::Path);
    assert!(shows(&ledger, "octroi_policy_from_state 0"));
    match text {
        Some(text) => fs::write(&policy, text).unwrap(),
        None => fs::remove_file(&policy).unwrap(),
    }
    root
}

#[tokio::test]
async fn a_bad_bundle_at_the_start_leaves_the_last_good_one_in_force_until_it_is_mended() {
    for (text, found) in [(Some(BROKEN), "policy.yaml:3:"), (None, "cannot read `")] {
        let root = after(text);
        let (handle, ledger) = start(root.path());
        let handle = handle.unwrap();
        let status = handle.status();
        assert!(matches!(status.origin, Origin::State { .. }));
        assert_eq!(&*status.name, "good");
        let (_, rejected) = status.rejected.unwrap();
        assert!(rejected.as_str().contains(found), "{rejected}");
        let rejected = "octroi_policy_reloads_total{result=\"rejected\"} 1";
        assert!(shows(&ledger, "octroi_policy_from_state 1") && shows(&ledger, rejected));

        // Still broken, it stays; the same bundle as before is another origin and no other policy.
        assert!(text.is_none() || matches!(handle.reload().await, Outcome::Rejected(_)));
        assert!(shows(&ledger, "octroi_policy_from_state 1"));
        fs::write(root.path().join("policy.yaml"), GOOD).unwrap();
        assert!(matches!(handle.reload().await, Outcome::Unchanged { .. }));
        let status = handle.status();
        assert_eq!((status.origin, status.rejected), (Origin::Path, None));
        assert!(shows(&ledger, "octroi_policy_from_state 0"));
    }
}

#[tokio::test]
async fn a_new_bundle_after_a_bad_start_is_put_in_force_and_saved() {
    let root = after(Some(BROKEN));
    let (handle, _) = start(root.path());
    let handle = handle.unwrap();
    let text = GOOD.replace("name: good", "name: better");
    fs::write(root.path().join("policy.yaml"), text).unwrap();
    assert!(matches!(handle.reload().await, Outcome::Swapped { .. }));
    assert_eq!(handle.status().origin, Origin::Path);
    assert!(handle.state().unwrap().finish(Duration::from_secs(20)));
    fs::write(root.path().join("policy.yaml"), BROKEN).unwrap();
    assert_eq!(&*start(root.path()).0.unwrap().status().name, "better");
}

#[test]
fn without_an_earlier_policy_a_gate_does_not_start_and_says_where_it_looked() {
    let root = tempfile::tempdir().unwrap();
    let refused = |text: &str| {
        fs::write(root.path().join("policy.yaml"), text).unwrap();
        start(root.path()).0.unwrap_err().to_string()
    };
    let said = refused(BROKEN);
    assert!(said.contains("policy.yaml:3:"), "{said}");
    assert!(
        said.contains("/state` holds no earlier one: the gate does not start"),
        "{said}"
    );

    fs::write(root.path().join("state/state.json"), "{ \"format\": 2 }").unwrap();
    let said = refused(BROKEN);
    assert!(
        said.contains("policy.yaml:3:") && said.contains("has format 2"),
        "{said}"
    );

    let source = PolicySource::Path(root.path().join("policy.yaml"));
    let said = Handle::start(source, None, books())
        .unwrap_err()
        .to_string();
    assert!(said.contains("no earlier one is kept"), "{said}");

    // The state is of no use, and the bundle is good: the gate serves.
    fs::write(root.path().join("policy.yaml"), GOOD).unwrap();
    let (handle, ledger) = start(root.path());
    assert_eq!(handle.unwrap().status().origin, Origin::Path);
    assert!(!shows(
        &ledger,
        "octroi_state_errors_total{reason=\"newer\"} 0"
    ));
}

/// Writes that `text` was accepted, by a program that was less strict.
fn accept(root: &Path, text: &str) {
    let policy = root.join("policy.yaml");
    fs::write(&policy, text).unwrap();
    let digest = Bundle::read(&policy).unwrap().digest().clone();
    fs::create_dir_all(root.join("state")).unwrap();
    let record = format!(
        "{{\"format\":1,\"written_by\":\"0.0.1\",\"last_good\":null,\"before\":null,\"accepted\":[{{\"digest\":\"{digest}\",\"at\":\"2026-01-02T03:04:05Z\",\"version\":\"0.0.1\"}}]}}"
    );
    fs::write(root.join("state/state.json"), record).unwrap();
}

#[test]
fn a_bundle_that_was_accepted_loads_though_it_would_not_pass_today() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("policy.yaml"), FAILING).unwrap();
    let said = start(root.path()).0.unwrap_err().to_string();
    assert!(said.contains("test-fails"), "{said}");

    accept(root.path(), FAILING);
    let (handle, ledger) = start(root.path());
    let status = handle.unwrap().status();
    assert_eq!((&*status.name, status.origin), ("failing", Origin::Path));
    assert_eq!(status.accepted.unwrap().version, "0.0.1");
    assert_eq!(status.findings[0].code.as_str(), "test-fails");
    assert!(shows(
        &ledger,
        "octroi_policy_findings{severity=\"error\"} 1"
    ));
    // It stays accepted from then, and comes back from the state as well.
    fs::remove_file(root.path().join("policy.yaml")).unwrap();
    let status = start(root.path()).0.unwrap().status();
    assert!(matches!(status.origin, Origin::State { .. }));
    assert_eq!(
        status.accepted.unwrap().at.to_string(),
        "2026-01-02T03:04:05Z"
    );
}

#[test]
fn being_accepted_does_not_mend_what_has_no_meaning() {
    let root = tempfile::tempdir().unwrap();
    accept(root.path(), BROKEN);
    let said = start(root.path()).0.unwrap_err().to_string();
    assert!(said.contains("policy.yaml:3:"), "{said}");
    // Nor does it cover another bundle.
    accept(root.path(), FAILING);
    let other = FAILING.replace("name: failing", "name: other");
    fs::write(root.path().join("policy.yaml"), other).unwrap();
    assert!(start(root.path()).0.is_err());
}

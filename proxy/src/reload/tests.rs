use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use octroi_policy::address::Forbid;
use octroi_policy::decision::Verdict;
use octroi_policy::flow::{Flow, Protocol, Source};
use octroi_policy::name::Host;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::config::{Audit, Sink};
use crate::systemd::Notifier;

const POLICY: &str = "\
version: 1
name: test
default: allow
unassigned: { sensitivity: standard, default: allow }
rules:
  - { id: denied, effect: deny, when: { domains_from: lists/denied.txt } }
";

/// A bundle that denies `names`.
fn write(root: &Path, names: &str) {
    fs::create_dir_all(root.join("lists")).unwrap();
    fs::write(root.join("policy.yaml"), POLICY).unwrap();
    fs::write(root.join("lists/denied.txt"), names).unwrap();
}

fn books() -> Ledger {
    let audit = Audit {
        sink: Sink::Off,
        ..Audit::default()
    };
    Ledger::open_books(&audit, 10_000).unwrap()
}

fn denies(policy: &Policy, name: &str) -> bool {
    let source = Source::from_address("192.0.2.1".parse().unwrap());
    let forbid = Forbid::none();
    let flow = Flow {
        source: &source,
        protocol: Protocol::Connect,
        target: Host::parse(name).unwrap(),
        port: 443,
        original: None,
        host: None,
        hello: None,
        chain: &[],
        addresses: &[],
        resolved: false,
        forbid: &forbid,
        ours: &[],
    };
    policy.judge(&flow, Timestamp::now()).verdict() == Verdict::Deny
}

/// A gate's policy, watched, with the bundle at `path` inside a directory of its own.
struct Watched {
    directory: TempDir,
    path: PathBuf,
    handle: Handle,
    ledger: Ledger,
    _stop: oneshot::Sender<()>,
}

impl Watched {
    /// `make` writes the first bundle into a directory and says where it is.
    async fn new(make: impl FnOnce(&Path) -> PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = make(directory.path());
        let ledger = books();
        let handle = Handle::start(PolicySource::Path(path.clone()), None, ledger.clone()).unwrap();
        let (stop, stopped) = oneshot::channel();
        let watch = Watch::new(handle.clone(), Notifier::default());
        tokio::spawn(async move { watch.run(async { drop(stopped.await) }).await });
        let watched = Self {
            directory,
            path,
            handle,
            ledger,
            _stop: stop,
        };
        // The watch's first look is over: the watches are set.
        watched
            .until("the first look", || watched.reloads("unchanged") == 1)
            .await;
        watched
    }

    async fn plain() -> Self {
        Self::new(|root| {
            let path = root.join("policy");
            write(&path, "a.example\n");
            path
        })
        .await
    }

    fn reloads(&self, result: &str) -> u64 {
        let text = self.ledger.metrics().text();
        let prefix = format!("octroi_policy_reloads_total{{result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |count| count.parse().unwrap())
    }

    fn last_reload_passed(&self) -> bool {
        let text = self.ledger.metrics().text();
        let gauge = "\noctroi_policy_last_reload_successful ";
        let value = text
            .split(gauge)
            .nth(1)
            .and_then(|rest| rest.lines().next());
        value == Some("1")
    }

    /// Waits for a condition; how long it took.
    async fn until(&self, what: &str, condition: impl Fn() -> bool) -> Duration {
        let start = Instant::now();
        while !condition() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{what}: {:?}",
                self.handle.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        start.elapsed()
    }

    async fn in_force(&self, name: &str) -> Duration {
        self.until(name, || denies(&self.handle.policy(), name))
            .await
    }
}

/// Lists that are fetched each night are seldom different, and it matters that they were fetched.
#[tokio::test]
async fn a_list_written_anew_with_the_same_names_is_younger() {
    let watched = Watched::plain().await;
    let list = fs::File::options()
        .write(true)
        .open(watched.path.join("lists/denied.txt"))
        .unwrap();
    let shown = |seconds: u64| {
        let sample = format!(
            "octroi_list_modified_timestamp_seconds{{list=\"lists/denied.txt\"}} {seconds}\n"
        );
        watched.ledger.metrics().text().contains(&sample)
    };
    for seconds in [1_700_000_000, 1_800_000_000] {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        list.set_modified(time).unwrap();
        watched.until("its new time", || shown(seconds)).await;
    }
    assert_eq!(watched.reloads("swapped"), 0);
}

#[tokio::test]
async fn a_line_added_to_a_list_is_in_force_within_a_second() {
    let watched = Watched::plain().await;
    assert!(!denies(&watched.handle.policy(), "b.example"));
    for name in ["b.example", "c.example", "d.example"] {
        fs::write(
            watched.path.join("lists/denied.txt"),
            format!("a.example\n{name}\n"),
        )
        .unwrap();
        let took = watched.in_force(name).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert_eq!(watched.reloads("swapped"), 3);
    let digest = watched.handle.status().digest;
    assert!(
        watched
            .ledger
            .metrics()
            .text()
            .contains(&format!("digest=\"{digest}\""))
    );
}

#[tokio::test]
async fn an_editor_that_replaces_the_file_is_followed() {
    let watched = Watched::plain().await;
    let list = watched.path.join("lists/denied.txt");
    for name in ["b.example", "c.example"] {
        // What vim does: the old file is moved away, a new one takes its place.
        fs::rename(&list, watched.path.join("lists/denied.txt~")).unwrap();
        fs::write(&list, format!("{name}\n")).unwrap();
        fs::remove_file(watched.path.join("lists/denied.txt~")).unwrap();
        assert!(watched.in_force(name).await < Duration::from_secs(1));
        // What sed -i and atomic writers do: a new file is moved over the old one.
        let renamed = format!("x{name}");
        fs::write(watched.path.join(".new"), format!("{renamed}\n")).unwrap();
        fs::rename(watched.path.join(".new"), &list).unwrap();
        assert!(watched.in_force(&renamed).await < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_kubernetes_volume_is_swapped_whole() {
    let watched = Watched::new(|root| {
        let volume = root.join("volume");
        write(&volume.join("..v0"), "a.example\n");
        symlink("..v0", volume.join("..data")).unwrap();
        for entry in ["policy.yaml", "lists"] {
            symlink(format!("..data/{entry}"), volume.join(entry)).unwrap();
        }
        volume
    })
    .await;
    for version in 1..4 {
        let name = format!("v{version}.example");
        let (data, new) = (watched.path.join("..data"), watched.path.join("..data_tmp"));
        write(
            &watched.path.join(format!("..v{version}")),
            &format!("{name}\n"),
        );
        symlink(format!("..v{version}"), &new).unwrap();
        fs::rename(&new, &data).unwrap();
        assert!(
            watched.in_force(&name).await < Duration::from_secs(1),
            "{name}"
        );
        fs::remove_dir_all(watched.path.join(format!("..v{}", version - 1))).unwrap();
    }
}

#[tokio::test]
async fn a_linked_bundle_and_one_moved_into_place_are_followed() {
    let watched = Watched::new(|root| {
        write(&root.join("one"), "a.example\n");
        symlink("one", root.join("policy")).unwrap();
        root.join("policy")
    })
    .await;
    let root = watched.directory.path();
    write(&root.join("two"), "two.example\n");
    symlink("two", root.join("new")).unwrap();
    fs::rename(root.join("new"), &watched.path).unwrap();
    assert!(watched.in_force("two.example").await < Duration::from_secs(1));
    fs::write(root.join("two/lists/denied.txt"), "edited.example\n").unwrap();
    assert!(watched.in_force("edited.example").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_bundle_in_one_file_is_followed() {
    let text = |name: &str| {
        POLICY.replace(
            "domains_from: lists/denied.txt",
            &format!("domains: [{name}]"),
        )
    };
    let watched = Watched::new(|root| {
        fs::write(root.join("policy.yaml"), text("a.example")).unwrap();
        root.join("policy.yaml")
    })
    .await;
    fs::write(&watched.path, text("b.example")).unwrap();
    assert!(watched.in_force("b.example").await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_is_told_until_it_is_mended() {
    let watched = Watched::plain().await;
    let before = watched.handle.status();
    let policy = watched.path.join("policy.yaml");
    fs::write(&policy, POLICY.replace("effect: deny", "effect: dney")).unwrap();
    watched
        .until("rejected", || watched.reloads("rejected") == 1)
        .await;
    let status = watched.handle.status();
    assert_eq!(
        (&status.digest, status.loaded_at),
        (&before.digest, before.loaded_at)
    );
    let (_, rejected) = status.rejected.unwrap();
    assert!(rejected.as_str().contains("policy.yaml:6"), "{rejected}");
    assert!(!watched.last_reload_passed());
    assert!(denies(&watched.handle.policy(), "a.example"));

    fs::write(&policy, POLICY).unwrap();
    watched
        .until("mended", || watched.handle.status().rejected.is_none())
        .await;
    assert!(watched.last_reload_passed());
    assert_eq!(watched.reloads("swapped"), 0);
    assert_eq!(watched.handle.status().digest, before.digest);
}

#[tokio::test]
async fn a_bundle_that_is_taken_away_stays_in_force() {
    let watched = Watched::plain().await;
    let away = watched.directory.path().join("away");
    fs::rename(&watched.path, &away).unwrap();
    watched
        .until("rejected", || watched.reloads("rejected") >= 1)
        .await;
    assert!(denies(&watched.handle.policy(), "a.example"));
    fs::write(away.join("lists/denied.txt"), "back.example\n").unwrap();
    fs::rename(&away, &watched.path).unwrap();
    assert!(watched.in_force("back.example").await < Duration::from_secs(1));
    assert!(watched.handle.status().rejected.is_none());
}

#[tokio::test]
async fn a_file_written_slowly_is_not_put_in_force_by_halves() {
    let watched = Watched::plain().await;
    let list = watched.path.join("lists/denied.txt");
    let whole: String = (0..40).map(|n| format!("n{n}.example\n")).collect();
    let seen = std::sync::Mutex::new(Vec::new());
    let write_on = std::thread::spawn({
        let (list, whole) = (list.clone(), whole.clone());
        move || {
            // Again and again the file is empty, then a part of what it will be.
            for part in 0..=200 {
                let lines: String = whole
                    .lines()
                    .take(part % 40)
                    .map(|line| format!("{line}\n"))
                    .collect();
                fs::write(&list, lines).unwrap();
            }
            fs::write(&list, whole).unwrap();
        }
    });
    watched
        .until("whole", || {
            let policy = watched.handle.policy();
            let entries = policy.model().lists.iter().map(|list| list.entries).sum();
            seen.lock().unwrap().push(entries);
            entries == 40_usize
        })
        .await;
    write_on.join().unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.iter().all(|entries| [1, 40].contains(entries)),
        "{seen:?}"
    );
    assert_eq!(watched.reloads("swapped"), 1);
}

#[tokio::test]
async fn a_touched_file_is_no_new_policy() {
    let watched = Watched::plain().await;
    let before = watched.handle.policy_to_keep();
    fs::write(watched.path.join("policy.yaml"), POLICY).unwrap();
    watched
        .until("looked", || watched.reloads("unchanged") == 2)
        .await;
    assert!(Arc::ptr_eq(&before, &watched.handle.policy_to_keep()));
}

#[tokio::test]
async fn a_bundle_that_fails_its_own_tests_is_not_put_in_force() {
    let watched = Watched::plain().await;
    let tests = "tested_at: 2026-11-23\ntests:\n  - name: b is denied\n    given: { source: 192.0.2.1, host: b.example }\n    expect: { verdict: deny }\n";
    fs::write(watched.path.join("tests.yaml"), tests).unwrap();
    watched
        .until("rejected", || watched.reloads("rejected") == 1)
        .await;
    let (_, rejected) = watched.handle.status().rejected.unwrap();
    insta::assert_snapshot!(rejected);
    fs::write(watched.path.join("lists/denied.txt"), "b.example\n").unwrap();
    watched.in_force("b.example").await;
}

#[test]
fn a_gate_does_not_start_on_a_bundle_that_does_not_pass() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    let start = || {
        let source = PolicySource::Path(path.clone());
        Handle::start(source, None, books()).unwrap_err().rejected
    };
    assert!(
        start().as_str().starts_with("error: cannot read `"),
        "{}",
        start()
    );
    write(&path, "");
    assert!(start().as_str().contains("lists/denied.txt"), "{}", start());
}

#[test]
fn the_bundle_inside_the_program_passes() {
    let handle = Handle::start(PolicySource::Embedded, None, books())
        .unwrap_or_else(|rejected| panic!("{rejected}"));
    assert!(handle.policy().model().services.len() > 10);
}

#[test]
fn a_fingerprint_sees_what_the_kernel_might_not_tell() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    write(&path, "a.example\n");
    let source = PolicySource::Path(path.clone());
    let mut seen = vec![Fingerprint::of(&source)];
    assert_eq!(seen[0], Fingerprint::of(&source));
    let list = path.join("lists/denied.txt");
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(&list, "a.example\nb.example\n").unwrap(),
        &|| fs::rename(&list, path.join("lists/other.txt")).unwrap(),
        &|| fs::write(path.join("new.yaml"), "").unwrap(),
        &|| fs::remove_dir_all(&path).unwrap(),
    ];
    for change in changes {
        change();
        let now = Fingerprint::of(&source);
        assert!(!seen.contains(&now));
        seen.push(now);
    }
}

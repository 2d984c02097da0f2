use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::record::{FORMAT, MOST_ACCEPTED};
use super::*;
use crate::config::{Audit, Sink};

const SOON: Duration = Duration::from_secs(20);

fn books() -> Ledger {
    let audit = Audit {
        sink: Sink::Off,
        ..Audit::default()
    };
    Ledger::open_books(&audit, 10_000).unwrap()
}

/// A bundle whose list holds `names`.
fn bundle(names: &str) -> Bundle {
    let policy = "version: 1\nname: test\ndefault: allow\n# ends without a line break";
    let files = [
        ("policy.yaml", policy),
        ("lists/a.txt", names),
        ("ministries/culture/rules.yaml", "rules: []\r\n"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Bundle::from_files(files).unwrap()
}

fn state(root: &TempDir) -> (State, Ledger) {
    let ledger = books();
    (State::open(&root.path().join("state"), &ledger), ledger)
}

fn saved(state: &State, names: &str) -> Arc<str> {
    let bundle = bundle(names);
    let digest = bundle.digest().clone();
    state.keep(bundle);
    assert!(state.finish(SOON), "{:?}", state.problem());
    digest
}

fn digests(state: &State) -> Vec<Arc<str>> {
    let good = state.last_good().unwrap();
    good.iter().map(|it| it.bundle.digest().clone()).collect()
}

fn errors(ledger: &Ledger, reason: &str) -> u64 {
    let prefix = format!("octroi_state_errors_total{{reason=\"{reason}\"}} ");
    let text = ledger.metrics().text();
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap().parse().unwrap()
}

/// Every file below a directory, with its mode and bytes.
fn everything(root: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            all.extend(everything(&path));
        } else {
            all.push((path.clone(), mode, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_bundle_comes_back_byte_for_byte_and_is_nobody_elses_to_read() {
    let root = tempfile::tempdir().unwrap();
    let (first, _) = state(&root);
    let digest = saved(&first, "a.example\n");
    let (second, _) = state(&root);
    let good = second.last_good().unwrap().remove(0).bundle;
    assert_eq!(*good.digest(), digest);
    let texts = |it: &Bundle| {
        it.files()
            .iter()
            .map(|f| (f.path().to_owned(), f.text().to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&good), texts(&bundle("a.example\n")));
    for (path, mode, _) in everything(second.path()) {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    // It is a bundle that an administrator can look at, and copy back.
    let kept = second.path().join("bundles").join(&*digest);
    assert_eq!(*Bundle::read(&kept).unwrap().digest(), digest);
    let accepted = second.accepted(&digest).unwrap();
    assert_eq!(accepted.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_last_good_one_and_the_one_before_are_kept_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let (state, ledger) = state(&root);
    assert_eq!(digests(&state), Vec::<Arc<str>>::new());
    let [a, b, c] = ["a", "b", "c"].map(|name| saved(&state, &format!("{name}.example\n")));
    assert_eq!(digests(&state), [c.clone(), b.clone()]);
    let kept = fs::read_dir(state.path().join("bundles")).unwrap().count();
    assert_eq!(kept, 2);
    // Back to the one before, and to one that is gone.
    saved(&state, "b.example\n");
    assert_eq!(digests(&state), [b.clone(), c.clone()]);
    saved(&state, "a.example\n");
    assert_eq!(digests(&state), [a.clone(), b]);
    assert!(state.accepted(&c).is_some());
    // The same again: nothing is written.
    let before = fs::metadata(state.path().join("state.json"))
        .unwrap()
        .modified()
        .unwrap();
    saved(&state, "a.example\n");
    let after = fs::metadata(state.path().join("state.json"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(
        StateError::REASONS.map(|reason| errors(&ledger, reason)),
        [0; 4]
    );
}

/// What the refusal says, and what was done to a file.
type Change<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn a_copy_that_was_changed_is_refused_and_the_one_before_is_used() {
    let changes: [Change<'_>; 5] = [
        ("digest", &|file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[3] ^= 0x01;
            fs::write(file, bytes).unwrap();
        }),
        ("digest", &|file| fs::write(file, b"c.exa").unwrap()),
        ("digest", &|file| fs::write(file, b"").unwrap()),
        ("lacks `lists/a.txt`", &|file| {
            fs::remove_file(file).unwrap()
        }),
        ("not a regular file", &|file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
    ];
    for (words, change) in changes {
        let root = tempfile::tempdir().unwrap();
        let (first, _) = state(&root);
        let [before, last] = ["b", "c"].map(|name| saved(&first, &format!("{name}.example\n")));
        change(
            &first
                .path()
                .join("bundles")
                .join(&*last)
                .join("lists/a.txt"),
        );
        let (second, ledger) = state(&root);
        assert_eq!(digests(&second), std::slice::from_ref(&before), "{words}");
        let problem = second.problem().unwrap();
        assert!(
            problem.contains("is damaged") && problem.contains(words),
            "{words}: {problem}"
        );
        assert_eq!(errors(&ledger, "damaged"), 1);
        // Put in force anew, it is saved anew.
        saved(&second, "c.example\n");
        assert_eq!(digests(&second), [last, before]);
        assert_eq!(second.problem(), None);
    }
}

#[test]
fn where_both_copies_are_damaged_there_is_none_and_it_says_why() {
    let root = tempfile::tempdir().unwrap();
    let (state, _) = state(&root);
    saved(&state, "a.example\n");
    fs::remove_dir_all(state.path().join("bundles")).unwrap();
    let error = state.last_good().unwrap_err();
    assert_eq!(error.as_str(), "damaged");
}

#[test]
fn a_later_versions_state_is_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (first, _) = state(&root);
    saved(&first, "a.example\n");
    let record = first.path().join("state.json");
    let newer = format!(
        "{{ \"format\": {}, \"last_good\": [\"a shape of tomorrow\"] }}",
        FORMAT + 1
    );
    fs::write(&record, &newer).unwrap();
    let before = everything(first.path());
    let (second, ledger) = state(&root);
    let problem = second.problem().unwrap();
    assert!(problem.contains("format 2"), "{problem}");
    second.keep(bundle("b.example\n"));
    assert!(!second.finish(SOON));
    assert_eq!(errors(&ledger, "newer"), 2);
    assert_eq!(second.last_good().unwrap_err().as_str(), "newer");
    assert_eq!(everything(first.path()), before);
    // The later version goes, and what waited is saved.
    fs::remove_file(&record).unwrap();
    let digest = saved(&second, "c.example\n");
    assert_eq!(digests(&second), [digest]);
    assert_eq!(second.problem(), None);
}

#[test]
fn a_damaged_record_is_refused_set_aside_and_begun_anew() {
    let digest = "a".repeat(64);
    let bundle = |digest: &str, file: &str| {
        format!(
            "{{\"format\":1,\"written_by\":\"0\",\"before\":null,\"accepted\":[],\"last_good\":{{\"digest\":\"{digest}\",\"saved_at\":\"2026-11-24T00:00:00Z\",\"files\":[\"{file}\"]}}}}"
        )
    };
    for text in [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "{\"format\":1}".to_owned(),
        "{\"format\":0,\"written_by\":\"0\",\"last_good\":null,\"before\":null,\"accepted\":[]}"
            .to_owned(),
        "{\"format\":-1}".to_owned(),
        bundle("../../../../etc", "passwd"),
        bundle(&digest.to_uppercase(), "policy.yaml"),
        bundle(&digest, "../../../../../etc/passwd"),
        bundle(&digest, "/etc/passwd"),
        bundle(&digest, ""),
        bundle(&digest, "a.yaml").replace("2026-11-24", "soon"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let record = root.path().join("state/state.json");
        fs::create_dir(root.path().join("state")).unwrap();
        fs::write(&record, &text).unwrap();
        let (state, ledger) = state(&root);
        assert_eq!(errors(&ledger, "damaged"), 1, "{text}");
        let error = state.last_good().unwrap_err();
        assert_eq!(error.as_str(), "damaged", "{text}: {error}");
        let digest = saved(&state, "a.example\n");
        assert_eq!(digests(&state), [digest], "{text}");
        let aside = fs::read_to_string(record.with_extension("json.damaged")).unwrap();
        assert_eq!(aside, text);
    }
}

#[test]
fn a_directory_that_is_none_or_open_to_others_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    fs::write(&path, "a file").unwrap();
    let open = |path: &Path| {
        let ledger = books();
        let state = State::open(path, &ledger);
        assert_eq!(errors(&ledger, "unusable"), 1);
        state.keep(bundle("a.example\n"));
        assert!(!state.finish(SOON));
        state.problem().unwrap().to_string()
    };
    assert!(
        open(&path).ends_with("it is not a directory"),
        "{}",
        open(&path)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(open(&path).ends_with("may write there"), "{mode:o}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
    let nowhere = open(Path::new("/proc/octroi-state"));
    assert!(nowhere.contains("it cannot be made: "), "{nowhere}");
    // Mended, it is used without a restart.
    let ledger = books();
    let state = State::open(&path, &ledger);
    state.keep(bundle("a.example\n"));
    assert!(!state.finish(SOON));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    saved(&state, "b.example\n");
    assert_eq!(state.problem(), None);
}

#[test]
fn the_digests_remembered_are_bounded_and_in_the_order_of_their_coming() {
    let bundles: Vec<Bundle> = (0..MOST_ACCEPTED + 10)
        .map(|n| bundle(&format!("n{n}.example\n")))
        .collect();
    let mut record = Record::default();
    let noon: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    for (back, bundle) in (0..).zip(&bundles) {
        // The clock runs backwards; nothing here follows it.
        let now = noon - jiff::SignedDuration::from_hours(back);
        record = record.with(bundle, now);
        // The first one is put in force again and again, and so is not forgotten.
        record = record.with(&bundles[0], now);
    }
    assert_eq!(record.accepted.len(), MOST_ACCEPTED);
    assert_eq!(record.nonsense(), None);
    let last = &record.accepted[MOST_ACCEPTED - 1];
    assert_eq!((&*last.digest, last.at), (&**bundles[0].digest(), noon));
    assert_eq!(
        record.before.unwrap().digest,
        **bundles[MOST_ACCEPTED + 9].digest()
    );
}

/// As in an upgrade of the program: the old process and the new one each save what they put in force.
#[test]
fn two_that_write_at_once_leave_nothing_torn() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    saved(&state(&root).0, "first.example\n");
    std::thread::scope(|scope| {
        let writers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|who| {
                let path = &path;
                scope.spawn(move || {
                    let directory = Directory::open(path).unwrap();
                    for n in 0..25 {
                        let bundle = bundle(&format!("{who}{n}.example\n"));
                        directory.save(&bundle, Timestamp::now()).unwrap();
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let (reader, ledger) = state(&root);
            assert!(!reader.last_good().unwrap().is_empty());
            assert_eq!(errors(&ledger, "damaged"), 0, "{:?}", reader.problem());
        }
    });
    let (after, _) = state(&root);
    assert_eq!(digests(&after).len(), 2);
    let accepted =
        |who: &str, n: u8| after.accepted(bundle(&format!("{who}{n}.example\n")).digest());
    assert!((0..25).all(|n| accepted("a", n).is_some() && accepted("b", n).is_some()));
}

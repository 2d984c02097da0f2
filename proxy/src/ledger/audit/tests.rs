use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config::{ClientAddress, Rotation};

fn log(path: &Path, on_failure: OnFailure, capacity: usize) -> Log {
    rotating(path, on_failure, capacity, Some(Rotation::default()))
}

fn rotating(
    path: &Path,
    on_failure: OnFailure,
    capacity: usize,
    rotation: Option<Rotation>,
) -> Log {
    let audit = Audit {
        sink: Sink::File(path.to_owned()),
        client_address: ClientAddress::Plain,
        on_failure,
        rotation,
    };
    let counter = |name| IntCounter::new(name, "test").unwrap();
    Log::with_capacity(&audit, counter("errors"), counter("lost"), capacity).unwrap()
}

fn line(n: usize) -> Vec<u8> {
    format!("{{\"n\":{n}}}\n").into_bytes()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn lines_are_written_without_being_asked_for_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    fs::write(&path, "before\n").unwrap();
    let log = log(&path, OnFailure::Refuse, QUEUE);
    (0..500).for_each(|n| log.line(line(n)));
    until("written", || log.state.waiting.load(Ordering::Acquire) == 0).await;
    let expected: String = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("before\n{expected}")
    );
}

#[tokio::test]
async fn the_file_is_for_owner_and_group_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let _log = log(&path, OnFailure::Refuse, QUEUE);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");
}

#[tokio::test]
async fn a_file_moved_away_is_opened_anew_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = log(&path, OnFailure::Refuse, QUEUE);
    log.line(line(1));
    assert!(log.flush().await);
    fs::rename(&path, dir.path().join("audit.jsonl.1")).unwrap();
    log.reopen();
    log.line(line(2));
    assert!(log.flush().await);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":2}\n");
    assert_eq!(
        fs::read_to_string(dir.path().join("audit.jsonl.1")).unwrap(),
        "{\"n\":1}\n"
    );
}

#[tokio::test]
async fn a_full_disk_refuses_new_flows_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    symlink("/dev/full", &path).unwrap();
    let log = log(&path, OnFailure::Refuse, 10);
    assert_eq!(log.admit().await, Ok(()));
    (0..50).for_each(|n| log.line(line(n)));
    assert!(!log.flush().await);
    assert_eq!(log.admit().await, Err(Unwritable));
    assert!(log.state.errors.get() > 0);

    fs::remove_file(&path).unwrap();
    until("written once there is room", || {
        log.state.waiting.load(Ordering::Acquire) == 0
    })
    .await;
    assert_eq!(log.admit().await, Ok(()));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 50);
    assert_eq!(log.state.lost.get(), 0);
}

#[tokio::test]
async fn with_serve_flows_go_on_and_every_lost_line_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    symlink("/dev/full", &path).unwrap();
    let log = log(&path, OnFailure::Serve, 10);
    for n in 0..1000 {
        assert_eq!(log.admit().await, Ok(()));
        log.line(line(n));
    }
    assert!(!log.flush().await);
    assert!(log.state.waiting.load(Ordering::Acquire) <= 20);

    fs::remove_file(&path).unwrap();
    until("written once there is room", || {
        log.state.waiting.load(Ordering::Acquire) == 0
    })
    .await;
    let kept = fs::read_to_string(&path).unwrap().lines().count() as u64;
    assert_eq!(kept + log.state.lost.get(), 1000);
    assert!(log.state.lost.get() > 900);
}

#[tokio::test]
async fn a_directory_taken_away_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("logs");
    fs::create_dir(&place).unwrap();
    let log = log(&place.join("audit.jsonl"), OnFailure::Refuse, QUEUE);
    fs::remove_dir_all(&place).unwrap();
    log.reopen();
    until("noticed", || log.state.failing.load(Ordering::Acquire)).await;
    assert_eq!(log.admit().await, Err(Unwritable));
    fs::create_dir(&place).unwrap();
    until("recovered", || !log.state.failing.load(Ordering::Acquire)).await;
    assert_eq!(log.admit().await, Ok(()));
}

#[tokio::test]
async fn a_full_queue_makes_new_flows_wait_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("audit.fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let log = log(&fifo, OnFailure::Refuse, 4);
    // More than a pipe holds: the writer stands still until somebody reads.
    let mut fat = vec![b'x'; 1 << 20];
    fat[(1 << 20) - 1] = b'\n';
    log.line(fat);
    (0..4).for_each(|n| log.line(line(n)));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.admit().await }
    });
    until("queued", || log.state.waiting.load(Ordering::Acquire) == 5).await;
    assert!(!waiting.is_finished());
    let drain = std::thread::spawn(move || {
        use std::io::Read;
        let mut left = (1 << 20) + 32;
        let mut reader = reader;
        let mut buffer = vec![0; 65_536];
        while left > 0 {
            left -= reader.read(&mut buffer).unwrap();
        }
    });
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert!(log.flush().await);
    drain.join().unwrap();
}

#[tokio::test]
async fn a_log_that_is_off_admits_and_flushes() {
    let audit = Audit {
        sink: Sink::Off,
        client_address: ClientAddress::Plain,
        on_failure: OnFailure::Refuse,
        rotation: None,
    };
    let counter = |name| IntCounter::new(name, "test").unwrap();
    let log = Log::start(&audit, counter("errors"), counter("lost")).unwrap();
    log.line(line(1));
    assert!(log.flush().await && !log.is_on());
    assert_eq!(log.admit().await, Ok(()));
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_at_start() {
    let audit = Audit {
        sink: Sink::File("/nonexistent/audit.jsonl".into()),
        client_address: ClientAddress::Plain,
        on_failure: OnFailure::Refuse,
        rotation: None,
    };
    let counter = |name| IntCounter::new(name, "test").unwrap();
    assert!(Log::start(&audit, counter("errors"), counter("lost")).is_err());
}

/// The files of the log, oldest first, the one being written last.
fn files(path: &Path) -> Vec<String> {
    let directory = path.parent().unwrap();
    let mut aside: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file != path && file.to_string_lossy().contains(".jsonl.2"))
        .collect();
    aside.sort();
    aside.push(path.to_owned());
    let read = |file| fs::read_to_string(file).unwrap();
    aside.into_iter().map(read).collect()
}

#[tokio::test]
async fn full_files_are_set_aside_and_the_oldest_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    fs::write(dir.path().join("audit.jsonl.1"), "logrotate's").unwrap();
    let rotation = Rotation { size: 100, keep: 3 };
    let log = rotating(&path, OnFailure::Refuse, QUEUE, Some(rotation));
    (100..200).for_each(|n| log.line(line(n)));
    assert!(log.flush().await);
    // Ten bytes a line: ten lines a file.
    let tenth = |n: usize| -> String { (n..n + 10).map(|n| format!("{{\"n\":{n}}}\n")).collect() };
    assert_eq!(files(&path), [160, 170, 180, 190].map(tenth));
    assert!(dir.path().join("audit.jsonl.1").exists());
    // A line longer than a file has one of its own.
    let fat = format!("{}\n", "x".repeat(300)).into_bytes();
    log.line(fat.clone());
    log.line(line(200));
    assert!(log.flush().await);
    let now = files(&path);
    assert_eq!(now[2].as_bytes(), fat);
    assert_eq!(now[3], "{\"n\":200}\n");
    assert_eq!((log.state.errors.get(), log.state.lost.get()), (0, 0));
}

/// As during an upgrade: the old gate drains, the new one serves.
#[tokio::test]
async fn two_gates_cut_no_line_of_each_other_and_set_only_full_files_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    fs::write(&path, "{\"n\":").unwrap();
    let rotation = Rotation {
        size: 4000,
        keep: 1000,
    };
    let gates = [(); 2].map(|()| rotating(&path, OnFailure::Refuse, QUEUE, Some(rotation)));
    for n in 0..4000 {
        gates[n % 2].line(line(10_000 + n));
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for gate in &gates {
        assert!(gate.flush().await);
        assert_eq!((gate.state.errors.get(), gate.state.lost.get()), (0, 0));
    }
    let files = files(&path);
    let (last, aside) = files.split_last().unwrap();
    assert!(last.len() <= 4000);
    for file in aside {
        assert!((3900..=4000).contains(&file.len()), "{} bytes", file.len());
    }
    let mut lines: Vec<&str> = files.iter().flat_map(|file| file.lines()).collect();
    assert_eq!(lines.remove(0), "{\"n\":", "what a third one left is alone");
    lines.sort_unstable();
    let expected: Vec<String> = (0..4000)
        .map(|n| format!("{{\"n\":{}}}", 10_000 + n))
        .collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_link_stays_and_what_it_leads_to_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (link, there) = (dir.path().join("audit.jsonl"), dir.path().join("disk"));
    fs::create_dir(&there).unwrap();
    symlink(there.join("log.jsonl"), &link).unwrap();
    let rotation = Rotation { size: 100, keep: 9 };
    let log = rotating(&link, OnFailure::Refuse, QUEUE, Some(rotation));
    (100..125).for_each(|n| log.line(line(n)));
    assert!(log.flush().await);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(files(&there.join("log.jsonl")).len(), 3);
}

#[tokio::test]
async fn what_was_left_by_an_earlier_run_is_removed_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    for day in 1..=9 {
        fs::write(
            dir.path()
                .join(format!("audit.jsonl.2025010{day}T000000.000000Z")),
            format!("{day}"),
        )
        .unwrap();
    }
    let rotation = Rotation { size: 100, keep: 2 };
    let log = rotating(&path, OnFailure::Refuse, QUEUE, Some(rotation));
    assert!(log.flush().await);
    assert_eq!(files(&path), ["8", "9", ""]);
}

#[tokio::test]
async fn what_was_written_to_a_directory_just_removed_goes_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("logs");
    let path = place.join("audit.jsonl");
    fs::create_dir(&place).unwrap();
    let log = log(&path, OnFailure::Refuse, QUEUE);
    log.line(line(1));
    assert!(log.flush().await);
    fs::remove_dir_all(&place).unwrap();
    (2..12).for_each(|n| log.line(line(n)));
    assert!(!log.flush().await);
    assert_eq!(log.admit().await, Err(Unwritable));
    // It says so for as long as it lasts: another try does not write into nothing.
    log.line(line(12));
    assert!(!log.flush().await);
    assert_eq!(log.admit().await, Err(Unwritable));
    fs::create_dir(&place).unwrap();
    until("recovered", || {
        log.state.waiting.load(Ordering::Acquire) == 0
    })
    .await;
    assert_eq!(log.admit().await, Ok(()));
    let expected: String = (2..=12).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

/// A file system of its own, as small as asked; gone at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Path, kib: u32) -> Self {
        fs::create_dir(place).unwrap();
        let size = format!("size={kib}k");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place);
        assert!(mount.status().unwrap().success(), "this test needs root");
        Self(place)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let lazily = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status();
        drop(lazily);
    }
}

/// The disk fills up in the middle of a line: what is there stays readable, what is not is written
/// once there is room, and every line is there once and whole.
#[tokio::test]
async fn a_disk_that_fills_up_cuts_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("disk");
    let disk = SmallDisk::mount(&place, 64);
    let path = place.join("audit.jsonl");
    let filler = place.join("filler");
    fs::write(&filler, [0; 32 << 10]).unwrap();
    let log = log(&path, OnFailure::Refuse, QUEUE);
    let fat = |n: usize| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "x".repeat(990));
    (0..50).for_each(|n| log.line(fat(n).into_bytes()));
    assert!(!log.flush().await);
    assert_eq!(log.admit().await, Err(Unwritable));
    assert!(log.state.errors.get() > 0);
    let written = fs::read_to_string(&path).unwrap();
    assert!(!written.is_empty() && !written.ends_with('\n'));
    fs::remove_file(&filler).unwrap();
    until("recovered", || {
        log.state.waiting.load(Ordering::Acquire) == 0
    })
    .await;
    assert_eq!(log.admit().await, Ok(()));
    let expected: String = (0..50).map(fat).collect();
    assert!(fs::read_to_string(&path).unwrap() == expected);
    assert_eq!(log.state.lost.get(), 0);
    drop(disk);
}

/// As above, and room is made by taking the log itself away: the line that was begun is written
/// whole into the next file.
#[tokio::test]
async fn a_line_begun_in_a_file_taken_away_is_whole_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("disk");
    let disk = SmallDisk::mount(&place, 64);
    let path = place.join("audit.jsonl");
    let log = log(&path, OnFailure::Serve, 40);
    let fat = |n: usize| format!("{{\"n\":{n:02},\"x\":\"{}\"}}\n", "x".repeat(990));
    for n in 0..80 {
        log.line(fat(n).into_bytes());
        // Not faster than the disk: nothing is lost by the bound.
        until("taken", || {
            log.state.waiting.load(Ordering::Acquire) < 30
                || log.state.failing.load(Ordering::Acquire)
        })
        .await;
    }
    assert!(!log.flush().await);
    assert_eq!(log.admit().await, Ok(()));
    let before = fs::read_to_string(&path).unwrap();
    let taken = dir.path().join("taken.jsonl");
    fs::copy(&path, &taken).unwrap();
    fs::remove_file(&path).unwrap();
    until("recovered", || {
        log.state.waiting.load(Ordering::Acquire) == 0
    })
    .await;
    let whole = before.lines().filter(|line| line.ends_with('}')).count();
    let after = fs::read_to_string(&path).unwrap();
    assert!(
        after.lines().all(|line| line.len() == fat(0).len() - 1),
        "{after}"
    );
    let kept = (whole + after.lines().count()) as u64;
    assert_eq!(kept + log.state.lost.get(), 80);
    assert_eq!(after.lines().next(), Some(fat(whole).trim_end()));
    drop(disk);
}

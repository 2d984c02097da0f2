use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config::ClientAddress;

fn log(path: &Path, on_failure: OnFailure, capacity: usize) -> Log {
    let audit = Audit {
        sink: Sink::File(path.to_owned()),
        client_address: ClientAddress::Plain,
        on_failure,
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
    let fat = vec![b'x'; 1 << 20];
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
    };
    let counter = |name| IntCounter::new(name, "test").unwrap();
    assert!(Log::start(&audit, counter("errors"), counter("lost")).is_err());
}

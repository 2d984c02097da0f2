use std::sync::Barrier;

use octroi_policy::flow::Source;

use super::*;

const STARTED: &str = "2026-11-24T12:00:00Z";

fn feed() -> (Feed, u64) {
    let started: Timestamp = STARTED.parse().unwrap();
    let first = u64::try_from(started.as_microsecond()).unwrap();
    (Feed::new(started), first)
}

/// An attempt known by its port.
fn attempt(port: u16) -> Attempt {
    let opened = Opened {
        source: Source::from_address("192.0.2.1".parse().unwrap()),
        client_port: 1,
        balancer: None,
        protocol: Protocol::Connect,
        method: "CONNECT".to_owned(),
        target: Host::parse("news.example").unwrap(),
        port,
        original: None,
        user_agent: None,
    };
    let stamp = (FlowId::draw(), STARTED.parse().unwrap());
    Attempt::undecided(stamp, &opened, &Labels::unknown())
}

fn push(feed: &Feed, attempts: usize) {
    for number in 0..attempts {
        feed.push(attempt(u16::try_from(number).unwrap()));
    }
}

fn ports(attempts: &[Numbered]) -> Vec<u16> {
    attempts.iter().map(|(_, attempt)| attempt.port).collect()
}

#[test]
fn the_last_ones_are_kept_and_no_more() {
    let (feed, first) = feed();
    assert_eq!(feed.all().0, first - 1);
    push(&feed, KEPT + 10);
    let (newest, all) = feed.all();
    assert_eq!(newest, first + KEPT as u64 + 9);
    assert_eq!(all.len(), KEPT);
    assert_eq!((all[0].0, all[0].1.port), (newest, KEPT as u16 + 9));
    assert_eq!(all[KEPT - 1].1.port, 10);
    let kept = feed.kept();
    assert_eq!(kept.attempts.capacity(), KEPT, "it never grows");
}

#[test]
fn a_reader_gets_each_once_and_is_told_what_it_missed() {
    let (feed, first) = feed();
    push(&feed, 3);
    let mut reader = feed.reader(None);
    assert_eq!(reader.last(), first + 2);
    let batch = reader.read(10);
    assert_eq!((batch.missed, batch.attempts.len()), (0, 0));
    push(&feed, 5);
    let batch = reader.read(2);
    assert_eq!((batch.missed, ports(&batch.attempts)), (0, vec![0, 1]));
    let batch = reader.read(10);
    assert_eq!((batch.missed, ports(&batch.attempts)), (0, vec![2, 3, 4]));

    push(&feed, KEPT + 7);
    let batch = reader.read(1);
    assert_eq!((batch.missed, ports(&batch.attempts)), (7, vec![7]));
    assert_eq!(reader.read(KEPT).attempts.len(), KEPT - 1);
    assert_eq!(reader.last(), feed.all().0);
}

#[test]
fn a_reader_goes_on_after_the_number_it_names() {
    let (feed, first) = feed();
    push(&feed, 4);
    let after = |number| {
        let Batch { missed, attempts } = feed.reader(Some(number)).read(KEPT);
        (missed, ports(&attempts))
    };
    assert_eq!(after(first), (0, vec![1, 2, 3]));
    assert_eq!(after(first + 3), (0, vec![]));
    assert_eq!(after(first - 1), (0, vec![0, 1, 2, 3]));
    // Another gate's: of one that ran before, or of one whose clock was ahead. All is new.
    for number in [0, 1, first - 2, first + 4, u64::MAX] {
        assert_eq!(after(number), (0, vec![0, 1, 2, 3]), "{number}");
    }
    push(&feed, KEPT);
    assert_eq!(after(first).0, 3);
}

#[tokio::test]
async fn whoever_waits_is_woken_and_whoever_reads_slowly_holds_nothing() {
    let (feed, _) = feed();
    let mut reader = feed.reader(None);
    let writer = feed.clone();
    let pushing = tokio::spawn(async move { push(&writer, 1) });
    reader.more().await;
    pushing.await.unwrap();
    assert_eq!(reader.read(10).attempts.len(), 1);

    let first = attempt(9);
    feed.push(first);
    let (_, all) = feed.all();
    let watched = Arc::downgrade(&all[0].1);
    drop(all);
    assert!(watched.upgrade().is_some());
    push(&feed, KEPT);
    assert!(
        watched.upgrade().is_none(),
        "the reader has not read it, and it is gone"
    );
}

#[test]
fn attempts_of_many_threads_are_numbered_without_gap() {
    const THREADS: usize = 8;
    let (feed, first) = feed();
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                push(&feed, 100);
            });
        }
    });
    let mut numbers: Vec<_> = feed.all().1.into_iter().map(|(number, _)| number).collect();
    numbers.reverse();
    let expected: Vec<_> = (first..first + 100 * THREADS as u64).collect();
    assert_eq!(numbers, expected);
}

/// What the documentation says of its memory.
#[test]
fn the_bound_in_bytes_is_the_one_stated() {
    const { assert!(MOST_BYTES < 1_400_000) };
    const { assert!(size_of::<Attempt>() <= 400) };
}

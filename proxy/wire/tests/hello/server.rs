//! The first answers of real servers, and of those that are none.

use octroi_wire::server_hello::{ServerReader, ServerSays};
use proptest::prelude::*;

use crate::recorded::ANSWERS;

/// What the bytes come to when they come in pieces of this size.
fn says(bytes: &[u8], piece: usize) -> ServerSays {
    let mut reader = ServerReader::default();
    let mut last = reader.read(&[]);
    for part in bytes.chunks(piece) {
        last = reader.read(part);
    }
    last
}

/// A HelloRetryRequest of a real server, from its handshake message on.
fn retry() -> &'static [u8] {
    &ANSWERS[3].1[5..93]
}

fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    let length = (fragment.len() as u16).to_be_bytes();
    [&[kind, 3, 3], &length[..], fragment].concat()
}

#[test]
fn real_servers_are_understood_whatever_the_split() {
    for (server, bytes) in ANSWERS {
        let expected = match server {
            name if name.contains("retry") => ServerSays::Retry,
            // An alert settles nothing, and nothing follows it.
            "openssl-alert" => ServerSays::NeedMore,
            _ => ServerSays::Other,
        };
        for piece in [1, 2, 7, 43, bytes.len()] {
            assert_eq!(says(bytes, piece), expected, "{server} by {piece}");
        }
        for cut in 0..bytes.len() {
            let mut reader = ServerReader::default();
            reader.read(&bytes[..cut]);
            assert_eq!(
                reader.read(&bytes[cut..]),
                expected,
                "{server} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_retry_is_told_by_its_43rd_byte_and_never_before() {
    let bytes = record(22, retry());
    assert_eq!(says(&bytes[..42], 1), ServerSays::NeedMore);
    assert_eq!(says(&bytes[..43], 1), ServerSays::Retry);
}

#[test]
fn a_retry_is_told_in_records_of_any_size_and_behind_warnings() {
    for size in [1, 2, 7, 37, 38] {
        let each = retry().chunks(size).map(|part| record(22, part));
        assert_eq!(
            says(&each.collect::<Vec<_>>().concat(), 3),
            ServerSays::Retry
        );
    }
    let warned = [record(21, &[1, 112]), record(20, &[1]), record(22, retry())];
    assert_eq!(says(&warned.concat(), 5), ServerSays::Retry);
    let warnings = record(21, &[1, 112]).repeat(1000);
    let late = [warnings, record(22, &[]), record(22, retry())].concat();
    assert_eq!(says(&late, 64), ServerSays::Retry);
}

#[test]
fn anything_else_is_told_at_once() {
    for (what, bytes) in [
        ("HTTP", b"H".to_vec()),
        ("a record of version 2", vec![22, 2]),
        ("data", vec![23]),
        ("a hello request", record(22, &[0])),
        ("a client hello", record(22, &[1])),
        (
            "another random value",
            record(22, &[2, 0, 0, 84, 3, 3, 0xce]),
        ),
    ] {
        assert_eq!(says(&bytes, 1), ServerSays::Other, "{what}");
        let then = [&bytes[..], &record(22, retry())].concat();
        assert_eq!(says(&then, 1), ServerSays::Other, "{what}, then a retry");
    }
}

#[test]
fn every_byte_of_the_random_value_counts() {
    for at in 6..38 {
        let mut message = retry().to_vec();
        message[at] ^= 1;
        assert_eq!(
            says(&record(22, &message), 9),
            ServerSays::Other,
            "byte {at}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_split_come_to_one_answer(
        start in prop::sample::select(vec![vec![], vec![22, 3], record(22, &retry()[..20])]),
        rest in prop::collection::vec(any::<u8>(), 0..100),
        piece in 1usize..20,
    ) {
        let bytes = [start, rest].concat();
        prop_assert_eq!(says(&bytes, piece), says(&bytes, bytes.len().max(1)));
    }
}

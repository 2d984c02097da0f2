//! What may follow a first hello.

use octroi_wire::client_hello::{HelloReader, Malformed, Peek};
use octroi_wire::second_hello::{Passing, Refused, SecondHello};
use proptest::prelude::*;

use crate::LIMIT;
use crate::made::{in_records, message_with, sni};
use crate::recorded::{ANSWERS, FIXTURES, RETRIES};

/// An extension's type and body.
type Extension = (u16, Vec<u8>);

/// A watch behind the first hello in these bytes.
fn watch(bytes: &[u8]) -> Option<SecondHello> {
    let mut reader = HelloReader::new(LIMIT);
    match reader.read(bytes) {
        Peek::Hello(hello) => SecondHello::after(&hello, reader.length(), LIMIT),
        other => panic!("no hello: {other:?}"),
    }
}

fn retry() -> &'static [u8] {
    ANSWERS[3].1
}

fn answer() -> &'static [u8] {
    ANSWERS[6].1
}

/// When the server's answer comes, counted in bytes that the client has sent.
#[derive(Clone, Copy, Debug)]
struct At(usize);

/// Sends a client's bytes in pieces, the server's answer somewhere between them; gives what passed and how it ended.
fn relayed(client: &[u8], piece: usize, server: &[u8], at: At) -> (Vec<u8>, Result<(), Refused>) {
    let mut watch = watch(client).unwrap();
    let (mut passed, mut held, mut sent) = (Vec::new(), Vec::new(), 0);
    let mut answered = false;
    loop {
        if !answered && sent >= at.0 {
            answered = true;
            server.iter().for_each(|byte| watch.from_server(&[*byte]));
        }
        match watch.from_client(&held) {
            Err(refused) => return (passed, Err(refused)),
            Ok(Passing::On(count)) => passed.extend(held.drain(..count)),
            Ok(_) if sent < client.len() => {
                let end = (sent + piece).min(client.len());
                held.extend_from_slice(&client[sent..end]);
                sent = end;
            }
            Ok(_) if !answered => sent = sent.max(at.0),
            Ok(_) => {
                let end = watch.client_ended(&held);
                return (passed, end);
            }
        }
    }
}

/// A hello that offers TLS 1.3.
fn hello(extensions: &[Extension]) -> Vec<u8> {
    let versions = (43, vec![2, 3, 4]);
    in_records(&message_with(&[&[versions], extensions].concat()), 16384)
}

fn named(name: &str) -> Vec<u8> {
    hello(&[sni(&[name.as_bytes()])])
}

fn ech(kdf: u8, aead: u8, config: u8, key: &[u8]) -> Extension {
    let mut body = vec![0, 0, kdf, 0, aead, config, 0, key.len() as u8];
    body.extend(key);
    body.extend([0, 3, 1, 2, 3]);
    (0xfe0d, body)
}

const CCS: [u8; 6] = [20, 3, 3, 0, 1, 1];
const EARLY_DATA: [u8; 9] = [23, 3, 3, 0, 4, 1, 22, 3, 1];

#[test]
fn real_clients_go_on_after_a_retry_whatever_the_split() {
    for (client, bytes) in RETRIES {
        let first = HelloReader::new(LIMIT).read(bytes);
        assert!(matches!(first, Peek::Hello(_)), "{client}");
        let length = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        for (server, piece) in [(retry(), 1), (retry(), 64), (answer(), 7)] {
            let whole = relayed(bytes, piece, server, At(length));
            assert_eq!(whole, (bytes.to_vec(), Ok(())), "{client} by {piece}");
        }
        // All of it at once, before the server has said a word.
        let eager = relayed(bytes, bytes.len(), retry(), At(bytes.len()));
        assert_eq!(eager, (bytes.to_vec(), Ok(())), "{client}");
    }
}

#[test]
fn only_who_offers_tls_1_3_is_watched() {
    for (client, bytes) in FIXTURES {
        let Peek::Hello(hello) = HelloReader::new(LIMIT).read(bytes) else {
            panic!("{client}");
        };
        let tls13 = hello.versions.contains(&0x0304);
        assert_eq!(watch(bytes).is_some(), tls13, "{client}");
    }
    let draft = in_records(&message_with(&[(43, vec![2, 0x7f, 28])]), 16384);
    assert!(watch(&draft).is_some(), "drafts of it have a retry too");
}

/// What a second hello is refused for; nothing of it passes, whatever the split and whenever the
/// server answers.
fn assert_refused(what: &str, first: &[u8], second: &[u8], why: Refused) {
    for between in [&[][..], &CCS, &EARLY_DATA] {
        let all = [first, between, second].concat();
        let harmless = first.len() + between.len();
        for piece in [1, 5, 1000] {
            for at in [At(0), At(first.len()), At(harmless + 1), At(all.len())] {
                let (passed, end) = relayed(&all, piece, retry(), at);
                assert_eq!(end, Err(why), "{what} by {piece}, {at:?}");
                assert_eq!(passed, all[..harmless], "{what} by {piece}, {at:?}");
            }
        }
    }
}

#[test]
fn a_second_hello_that_says_something_else_is_refused() {
    let one = || sni(&[b"allowed.example"]);
    let with = |extension: Extension| hello(&[one(), extension]);
    let (first, grease) = (named("allowed.example"), with(ech(1, 1, 9, &[7; 32])));
    let address = |text: &str| hello(&[sni(&[text.as_bytes()])]);
    let cases = [
        (
            "another name",
            &first,
            named("www.drop.example"),
            Refused::OtherName,
        ),
        (
            "a name below",
            &first,
            named("www.allowed.example"),
            Refused::OtherName,
        ),
        ("no name", &first, hello(&[]), Refused::OtherName),
        (
            "an address",
            &first,
            address("192.0.2.1"),
            Refused::OtherName,
        ),
        (
            "an encrypted one",
            &first,
            grease.clone(),
            Refused::OtherEch,
        ),
        ("none encrypted", &grease, first.clone(), Refused::OtherEch),
        (
            "another configuration",
            &grease,
            with(ech(1, 1, 8, &[])),
            Refused::OtherEch,
        ),
        (
            "another cipher",
            &grease,
            with(ech(1, 3, 9, &[])),
            Refused::OtherEch,
        ),
        (
            "another KDF",
            &grease,
            with(ech(2, 1, 9, &[])),
            Refused::OtherEch,
        ),
    ];
    for (what, first, second, why) in cases {
        assert_refused(what, first, &second, why);
        let records = in_records(&second[5..], 7);
        assert_refused(what, first, &records, why);
    }
    assert_refused("a name", &hello(&[]), &first, Refused::OtherName);
}

#[test]
fn a_second_hello_that_cannot_be_read_is_refused() {
    use Malformed as M;
    let first = named("allowed.example");
    let one = sni(&[b"allowed.example"]);
    let interrupted = [&in_records(&first[5..], 50)[..55], &CCS].concat();
    let cut = first[..first.len() - 1].to_vec();
    for (what, second, why) in [
        (
            "two names",
            hello(&[one.clone(), one]),
            Refused::Malformed(M::DuplicateExtension),
        ),
        (
            "a NUL",
            named("allowed.example\0"),
            Refused::Malformed(M::ServerName(octroi_policy::NameError::Character)),
        ),
        (
            "an empty record",
            vec![22, 3, 3, 0, 0],
            Refused::Malformed(M::RecordLength),
        ),
        (
            "a finished message",
            in_records(&[20, 0, 0, 0], 9),
            Refused::Malformed(M::NotAHello),
        ),
        (
            "a record between",
            interrupted,
            Refused::Malformed(M::Interrupted),
        ),
        (
            "a heartbeat",
            vec![24, 3, 3, 0, 1, 0],
            Refused::Malformed(M::NotAHello),
        ),
        (
            "a second one behind it",
            in_records(&first[5..].repeat(2), 16384),
            Refused::Malformed(M::Length),
        ),
        (
            "too long",
            hello(&[(21, vec![0; 65_000]), (22, vec![0; 500])]),
            Refused::Malformed(M::TooLong),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec(), Refused::NotAHello),
        (
            "an SSLv2 hello",
            vec![0x80, 0x2e, 1, 3, 1],
            Refused::NotAHello,
        ),
        ("half of it", cut, Refused::CutShort),
    ] {
        assert_refused(what, &first, &second, why);
    }
}

#[test]
fn what_stays_the_same_may_be_written_otherwise() {
    let key = |size| (51, vec![0; size]);
    let first = hello(&[sni(&[b"allowed.example"]), key(40), ech(1, 1, 9, &[7; 32])]);
    let cookie = (44, vec![0, 1, 7]);
    let second = hello(&[
        cookie,
        ech(1, 1, 9, &[]),
        sni(&[b"Allowed.Example."]),
        key(90),
    ]);
    for rest in [&b""[..], &CCS, b"whatever comes then"] {
        let all = [&first[..], &CCS, &in_records(&second[5..], 9), rest].concat();
        assert_eq!(
            relayed(&all, 11, retry(), At(first.len())),
            (all.clone(), Ok(()))
        );
    }
}

#[test]
fn a_client_that_waits_or_gives_up_is_no_fault() {
    let first = named("allowed.example");
    let alert = [21, 3, 3, 0, 2, 2, 47];
    for after in [&[][..], &alert, &CCS] {
        let all = [&first[..], after].concat();
        assert_eq!(relayed(&all, 3, retry(), At(0)), (all.clone(), Ok(())));
    }
}

#[test]
fn without_a_retry_everything_passes_once_the_server_has_answered() {
    let first = named("allowed.example");
    let all = [&first[..], &named("www.drop.example"), b"\x80 and more"].concat();
    for server in [answer(), b"SSH-2.0", &[22, 3, 3, 0, 1, 0]] {
        assert_eq!(
            relayed(&all, 9, server, At(all.len())),
            (all.clone(), Ok(()))
        );
    }
    let mut watch = watch(&first).unwrap();
    assert_eq!(watch.from_client(&all), Ok(Passing::On(first.len())));
    let held = &all[first.len()..];
    assert_eq!(watch.from_client(held), Ok(Passing::AwaitsServer));
    watch.server_ended();
    assert_eq!(watch.from_client(held), Ok(Passing::On(held.len())));
    assert!(watch.is_over());
}

#[test]
fn an_end_of_the_server_after_a_retry_frees_nothing() {
    let first = named("allowed.example");
    let mut watch = watch(&first).unwrap();
    watch.from_client(&first).unwrap();
    watch.from_server(retry());
    watch.server_ended();
    let second = named("www.drop.example");
    assert_eq!(watch.from_client(&second), Err(Refused::OtherName));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever follows the first hello, nothing but harmless records and a hello that says the same passes.
    #[test]
    fn no_other_name_passes_after_a_retry(
        client in 0..RETRIES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        piece in 1usize..400,
        at in any::<prop::sample::Index>(),
    ) {
        let original = RETRIES[client].1;
        let length = 5 + usize::from(u16::from_be_bytes([original[3], original[4]]));
        let mut bytes = original.to_vec();
        for (index, byte) in changes {
            let at = length + index.index(bytes.len() - length);
            bytes[at] = byte;
        }
        let at = At(at.index(bytes.len() + 1));
        let (passed, end) = relayed(&bytes, piece, retry(), at);
        prop_assert!(bytes.starts_with(&passed));
        let mut rest = &passed[length..];
        while let [20 | 21 | 23, _, _, high, low, after @ ..] = rest {
            let fragment = usize::from(u16::from_be_bytes([*high, *low]));
            rest = after.get(fragment..).unwrap_or_default();
        }
        if !matches!(rest, [] | [20 | 21 | 23, ..]) {
            prop_assert_eq!(end, Ok(()));
            let Peek::Hello(first) = HelloReader::new(LIMIT).read(&bytes) else { panic!() };
            let Peek::Hello(second) = HelloReader::new(LIMIT).read(rest) else { panic!() };
            prop_assert_eq!(first.sni, second.sni);
            prop_assert_eq!(first.ech.is_some(), second.ech.is_some());
        }
    }
}

//! Hellos of real clients, in every split; and rustls beside us on the same bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use octroi_policy::{DomainName, NameError};
use octroi_wire::client_hello::{
    ClientHello, HelloReader, Malformed, Peek, Sni, alert_access_denied,
};
use proptest::prelude::*;

const LIMIT: usize = 64 * 1024;

const FIXTURES: [(&str, &[u8]); 10] = [
    ("chromium", include_bytes!("fixtures/chromium.bin")),
    ("curl", include_bytes!("fixtures/curl.bin")),
    (
        "openssl-tls13",
        include_bytes!("fixtures/openssl-tls13.bin"),
    ),
    (
        "openssl-tls12",
        include_bytes!("fixtures/openssl-tls12.bin"),
    ),
    (
        "openssl-tls10",
        include_bytes!("fixtures/openssl-tls10.bin"),
    ),
    (
        "openssl-no-sni",
        include_bytes!("fixtures/openssl-no-sni.bin"),
    ),
    ("python", include_bytes!("fixtures/python.bin")),
    ("node", include_bytes!("fixtures/node.bin")),
    ("java", include_bytes!("fixtures/java.bin")),
    ("wget", include_bytes!("fixtures/wget.bin")),
];

fn read(bytes: &[u8]) -> Peek {
    HelloReader::new(LIMIT).read(bytes)
}

fn hello(bytes: &[u8]) -> ClientHello {
    match read(bytes) {
        Peek::Hello(hello) => hello,
        other => panic!("no hello: {other:?}"),
    }
}

/// The same message in records of at most `size` bytes.
fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for fragment in message.chunks(size) {
        bytes.extend([22, 3, 1]);
        bytes.extend((fragment.len() as u16).to_be_bytes());
        bytes.extend(fragment);
    }
    bytes
}

fn read_in_pieces(bytes: &[u8], piece: usize) -> Peek {
    let mut reader = HelloReader::new(LIMIT);
    let mut seen = 0;
    while seen + piece < bytes.len() {
        seen += piece;
        assert_eq!(
            reader.read(&bytes[..seen]),
            Peek::NeedMore,
            "after {seen} bytes"
        );
    }
    reader.read(bytes)
}

fn name(text: &str) -> Sni {
    Sni::Name(DomainName::parse(text).unwrap())
}

#[test]
fn real_clients_are_read_whatever_the_split() {
    for (client, bytes) in FIXTURES {
        let expected = Peek::Hello(hello(bytes));
        assert_eq!(read_in_pieces(bytes, 1), expected, "{client} byte by byte");
        for size in [1, 100] {
            let records = in_records(&bytes[5..], size);
            assert_eq!(read(&records), expected, "{client} in records of {size}");
            assert_eq!(
                read_in_pieces(&records, 1),
                expected,
                "{client} in records of {size}, dripped"
            );
            assert_eq!(
                read_in_pieces(&records, 7),
                expected,
                "{client} in records of {size}, by 7"
            );
        }
        let with_early_data = [bytes, &[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 9]].concat();
        assert_eq!(
            read(&with_early_data),
            expected,
            "{client} and what follows"
        );
    }
}

#[test]
fn real_clients_say_what_they_say() {
    for (client, bytes) in FIXTURES {
        let hello = hello(bytes);
        let sni = match client {
            "openssl-no-sni" => Sni::Absent,
            "wget" => name("localhost"),
            _ => name("example.org"),
        };
        assert_eq!(hello.sni, sni, "{client}");
        assert_eq!(hello.ech.is_some(), client == "chromium", "{client}");
        let tls13 = !client.contains("tls12") && !client.contains("tls10");
        assert_eq!(hello.versions.contains(&0x0304), tls13, "{client}");
        let legacy = if client == "openssl-tls10" {
            0x0301
        } else {
            0x0303
        };
        assert_eq!(hello.legacy_version, legacy, "{client}");
        let alpn: Vec<&str> = hello
            .alpn
            .iter()
            .map(|p| std::str::from_utf8(p).unwrap())
            .collect();
        let expected: &[&str] = match client {
            "chromium" | "curl" | "openssl-tls13" => &["h2", "http/1.1"],
            _ => &[],
        };
        assert_eq!(alpn, expected, "{client}");
    }
    let ech = hello(FIXTURES[0].1).ech.unwrap();
    assert_eq!((ech.kdf, ech.aead), (1, 1));
    assert!(ech.payload > 100);
}

/// A hello of our own making, around the given extensions.
fn made(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    in_records(&message_with(extensions), 16384)
}

fn message_with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, body) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend((body.len() as u16).to_be_bytes());
        list.extend(body);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((list.len() as u16).to_be_bytes());
    body.extend(list);
    message(&body)
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

fn sni(names: &[&[u8]]) -> (u16, Vec<u8>) {
    let mut list = Vec::new();
    for name in names {
        list.push(0);
        list.extend((name.len() as u16).to_be_bytes());
        list.extend(*name);
    }
    (
        0,
        [(list.len() as u16).to_be_bytes().to_vec(), list].concat(),
    )
}

#[test]
fn names_are_canonical_or_malformed() {
    use Malformed as M;
    use NameError as E;
    for (given, expected) in [
        (&b"Example.ORG"[..], Ok(name("example.org"))),
        (b"example.org.", Ok(name("example.org"))),
        (b"192.0.2.1", Ok(Sni::Address("192.0.2.1".parse().unwrap()))),
        (
            b"192.0.2.1.",
            Ok(Sni::Address("192.0.2.1".parse().unwrap())),
        ),
        (
            b"::ffff:192.0.2.1",
            Ok(Sni::Address("192.0.2.1".parse().unwrap())),
        ),
        (
            b"[2001:db8::1]",
            Ok(Sni::Address("2001:db8::1".parse().unwrap())),
        ),
        (b"", Err(M::ServerName(E::Empty))),
        (b"example.org\0", Err(M::ServerName(E::Character))),
        (b"example .org", Err(M::ServerName(E::Character))),
        (b"example.org/", Err(M::ServerName(E::Character))),
        (b"ex\xffmple.org", Err(M::ServerName(E::NotAscii))),
        (b"0x7f.1", Err(M::ServerName(E::NumberLike))),
    ] {
        let expected = match expected {
            Ok(sni) => Ok(sni),
            Err(malformed) => Err(Peek::Malformed(malformed)),
        };
        let found = match read(&made(&[sni(&[given])])) {
            Peek::Hello(hello) => Ok(hello.sni),
            other => Err(other),
        };
        assert_eq!(found, expected, "{}", given.escape_ascii());
    }
}

#[test]
fn what_is_not_tls_and_what_is_malformed() {
    use Malformed as M;
    let ech = |kind: u8| (0xfe0d, vec![kind, 0, 1, 0, 1, 9, 0, 1, 5, 0, 2, 6, 6]);
    let one = sni(&[b"example.org"]);
    let hello = made(std::slice::from_ref(&one));
    let with = |at: usize, byte: u8| {
        let mut bytes = hello.clone();
        bytes[at] = byte;
        bytes
    };
    let no_extensions = in_records(
        &message(&[&[3, 1][..], &[7; 32], &[0, 0, 2, 0, 5, 1, 0]].concat()),
        999,
    );
    assert!(matches!(read(&no_extensions), Peek::Hello(h) if h.sni == Sni::Absent));
    assert!(matches!(read(&made(&[])), Peek::Hello(h) if h.sni == Sni::Absent));
    assert!(matches!(read(&made(&[ech(0)])), Peek::Hello(h) if h.ech.unwrap().config_id == 9));
    let sslv2 = [0x80, 0x2e, 1, 0, 2, 0, 0x15];
    for (what, bytes, expected) in [
        ("nothing", vec![], Peek::NeedMore),
        ("one byte", vec![22], Peek::NeedMore),
        ("http", b"GET / HTTP/1.1\r\n".to_vec(), Peek::NotTls),
        ("ssh", b"SSH-2.0".to_vec(), Peek::NotTls),
        ("sslv2", sslv2.to_vec(), Peek::NotTls),
        (
            "ccs first",
            [&[20, 3, 3, 0, 1, 1], &hello[..]].concat(),
            Peek::Malformed(M::NotAHello),
        ),
        (
            "alert first",
            vec![21, 3, 3, 0, 2, 1, 0],
            Peek::Malformed(M::NotAHello),
        ),
        (
            "record of another protocol",
            vec![22, 2, 0],
            Peek::Malformed(M::RecordVersion),
        ),
        (
            "server hello",
            vec![22, 3, 3, 0, 4, 2],
            Peek::Malformed(M::NotAHello),
        ),
        (
            "empty record",
            vec![22, 3, 1, 0, 0],
            Peek::Malformed(M::RecordLength),
        ),
        (
            "huge record",
            vec![22, 3, 1, 0x40, 1],
            Peek::Malformed(M::RecordLength),
        ),
        (
            "announced too long",
            vec![22, 3, 1, 0, 4, 1, 1, 0, 0],
            Peek::Malformed(M::TooLong),
        ),
        (
            "alert inside",
            [&in_records(&hello[5..], 9)[..14], &[21]].concat(),
            Peek::Malformed(M::Interrupted),
        ),
        (
            "version inside",
            [&in_records(&hello[5..], 9)[..14], &[22, 9]].concat(),
            Peek::Malformed(M::RecordVersion),
        ),
        (
            "record longer than it",
            [&[22, 3, 1, 0, hello[4] + 1], &hello[5..]].concat(),
            Peek::Malformed(M::Length),
        ),
        (
            "message after it",
            in_records(&[&hello[5..], &[0]].concat(), 999),
            Peek::Malformed(M::Length),
        ),
        ("session id of 33", with(43, 33), Peek::Malformed(M::Length)),
        ("odd suites", with(45, 3), Peek::Malformed(M::Length)),
        (
            "extensions too short",
            with(50, 19),
            Peek::Malformed(M::Length),
        ),
        (
            "two names",
            made(&[sni(&[b"a.org", b"b.org"])]),
            Peek::Malformed(M::ServerNameList),
        ),
        (
            "no name",
            made(&[sni(&[])]),
            Peek::Malformed(M::ServerNameList),
        ),
        (
            "unknown name type",
            made(&[(0, vec![0, 4, 1, 0, 1, b'a'])]),
            Peek::Malformed(M::ServerNameList),
        ),
        (
            "name list too short",
            made(&[(0, vec![0, 3, 0, 0, 1, b'a'])]),
            Peek::Malformed(M::Length),
        ),
        (
            "empty sni",
            made(&[(0, vec![])]),
            Peek::Malformed(M::Length),
        ),
        (
            "two sni",
            made(&[one.clone(), one.clone()]),
            Peek::Malformed(M::DuplicateExtension),
        ),
        (
            "two unknown",
            made(&[(9, vec![]), (9, vec![])]),
            Peek::Malformed(M::DuplicateExtension),
        ),
        (
            "ech inner",
            made(&[(0xfe0d, vec![1])]),
            Peek::Malformed(M::EchType),
        ),
        ("ech unknown", made(&[ech(2)]), Peek::Malformed(M::EchType)),
        (
            "ech cut",
            made(&[(0xfe0d, vec![0, 0, 1])]),
            Peek::Malformed(M::Length),
        ),
        (
            "alpn empty",
            made(&[(16, vec![0, 0])]),
            Peek::Malformed(M::Length),
        ),
        (
            "alpn empty name",
            made(&[(16, vec![0, 1, 0])]),
            Peek::Malformed(M::Length),
        ),
        (
            "versions odd",
            made(&[(43, vec![1, 3])]),
            Peek::Malformed(M::Length),
        ),
    ] {
        assert_eq!(read(&bytes), expected, "{what}");
    }
}

#[test]
fn the_limit_holds_for_big_hellos_and_for_small_records() {
    let message = message_with(&[(21, vec![0; 40_000]), sni(&[b"example.org"])]);
    let bytes = in_records(&message, 16384);
    assert_eq!(hello(&bytes).sni, name("example.org"));
    assert_eq!(
        HelloReader::new(30_000).read(&bytes),
        Peek::Malformed(Malformed::TooLong)
    );
    // One byte a record: 240 kB on the wire for a message of 40 kB.
    let drip = in_records(&message, 1);
    assert_eq!(read(&drip[..LIMIT]), Peek::Malformed(Malformed::TooLong));
    assert_eq!(read(&drip[..LIMIT - 1]), Peek::NeedMore);
}

/// Beside the same fault of the head reader: a hello that ends behind the limit was read if it came at once.
#[test]
fn what_is_beyond_the_limit_is_not_looked_at() {
    let drip = in_records(&message_with(&[sni(&[b"example.org"])]), 1);
    let limit = drip.len() - 1;
    assert_eq!(
        HelloReader::new(limit).read(&drip),
        Peek::Malformed(Malformed::TooLong)
    );
    assert!(matches!(
        HelloReader::new(drip.len()).read(&drip),
        Peek::Hello(_)
    ));
}

#[test]
fn the_alert_is_access_denied() {
    assert_eq!(alert_access_denied(), [0x15, 3, 3, 0, 2, 2, 0x31]);
}

/// A server name and the protocols.
type Said = (Option<String>, Vec<Vec<u8>>);

/// What rustls makes of the same bytes: an error, not yet anything, or what it reads.
fn rustls(bytes: &[u8]) -> Result<Option<Said>, ()> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).map_err(drop)?;
        if let Some(accepted) = acceptor.accept().map_err(drop)? {
            let hello = accepted.client_hello();
            let alpn = hello
                .alpn()
                .into_iter()
                .flatten()
                .map(<[u8]>::to_vec)
                .collect();
            return Ok(Some((hello.server_name().map(str::to_owned), alpn)));
        }
    }
    Ok(None)
}

/// Whenever rustls reads a hello we read the same one or call it malformed: never another name,
/// never "no name", never "not TLS".
fn agree_with_rustls(bytes: &[u8]) {
    let Ok(Some((theirs, alpn))) = rustls(bytes) else {
        return;
    };
    match read(bytes) {
        Peek::Malformed(_) => {}
        Peek::Hello(ours) => {
            let name = match &ours.sni {
                Sni::Name(name) => Some(name.as_str()),
                Sni::Absent | Sni::Address(_) => None,
            };
            assert_eq!(name, theirs.as_deref());
            assert_eq!(
                ours.alpn.iter().map(|p| p.to_vec()).collect::<Vec<_>>(),
                alpn
            );
        }
        other => panic!("{other:?} where rustls reads {theirs:?}"),
    }
}

#[test]
fn rustls_reads_the_real_clients_alike() {
    for (client, bytes) in FIXTURES {
        // rustls refuses clients without signature_algorithms.
        let theirs = rustls(bytes);
        assert_eq!(theirs.is_ok(), client != "openssl-tls10", "{client}");
        agree_with_rustls(bytes);
        agree_with_rustls(&in_records(&bytes[5..], 100));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_hellos_never_read_as_another_name(
        fixture in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = FIXTURES[fixture].1.to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        agree_with_rustls(&bytes);
    }

    #[test]
    fn any_bytes_in_any_split_give_one_answer(
        start in prop::sample::select(vec![&[][..], &[22, 3], &[22, 3, 1, 0, 80, 1, 0, 0, 76, 3, 3]]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
        piece in 1usize..9,
    ) {
        let bytes = [start, &rest].concat();
        let whole = read(&bytes);
        let mut reader = HelloReader::new(LIMIT);
        let mut last = Peek::NeedMore;
        for end in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
            last = reader.read(&bytes[..end]);
            if last != Peek::NeedMore {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }
}

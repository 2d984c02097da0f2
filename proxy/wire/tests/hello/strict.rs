//! What is a hello, what is none, and what is not to be read at all.

use octroi_policy::NameError;
use octroi_wire::client_hello::{Malformed, Peek, Sni};

use crate::made::{in_records, made, message, sni};
use crate::{name, read};

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
        (b"example.org..", Ok(name("example.org"))),
        (b"_x.example.org", Ok(name("_x.example.org"))),
        (b"xn--e1afmkfd.example", Ok(name("xn--e1afmkfd.example"))),
        (b"", Err(M::ServerName(E::Empty))),
        (b".", Err(M::ServerName(E::Empty))),
        (b".example.org", Err(M::ServerName(E::EmptyLabel))),
        (b"example..org", Err(M::ServerName(E::EmptyLabel))),
        (b"-example.org", Err(M::ServerName(E::Hyphen))),
        (&[b'a'; 64], Err(M::ServerName(E::LabelTooLong))),
        (&b"a.".repeat(127), Ok(name(&"a.".repeat(127)))),
        (&b"a.".repeat(128), Err(M::ServerName(E::TooLong))),
        (
            b"example.org\0.drop.example",
            Err(M::ServerName(E::Character)),
        ),
        (b"*.example.org", Err(M::ServerName(E::Character))),
        (b"example.org:443", Err(M::ServerName(E::Character))),
        (b"2130706433", Err(M::ServerName(E::NumberLike))),
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
            "data first",
            [&[23, 3, 3, 0, 1, 1], &hello[..]].concat(),
            Peek::Malformed(M::NotAHello),
        ),
        (
            "heartbeat first",
            vec![24, 3, 3, 0, 3, 1, 0, 0],
            Peek::Malformed(M::NotAHello),
        ),
        ("record type 25", vec![25, 3, 3, 0, 1, 0], Peek::NotTls),
        (
            "dtls",
            vec![22, 0xfe, 0xfd],
            Peek::Malformed(M::RecordVersion),
        ),
        (
            "hello request first",
            in_records(&[&[0, 0, 0, 0], &hello[5..]].concat(), 999),
            Peek::Malformed(M::NotAHello),
        ),
        (
            "two hellos in a record",
            in_records(&hello[5..].repeat(2), 999),
            Peek::Malformed(M::Length),
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
            "ccs inside",
            [&in_records(&hello[5..], 9)[..14], &[20]].concat(),
            Peek::Malformed(M::Interrupted),
        ),
        (
            "data inside",
            [&in_records(&hello[5..], 9)[..14], &[23]].concat(),
            Peek::Malformed(M::Interrupted),
        ),
        (
            "empty record inside",
            [&in_records(&hello[5..], 9)[..14], &[22, 3, 1, 0, 0]].concat(),
            Peek::Malformed(M::RecordLength),
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

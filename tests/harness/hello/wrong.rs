//! What is no hello, or not one that two readers would read alike.

use super::odd::{filled, long_name};
use super::{Hello, Manner, Says, Spoken, ech, message, padding, record, sni, vector16};

fn bad(what: &str, bytes: Vec<u8>) -> Spoken {
    Spoken::new(what, bytes, Says::Malformed)
}

/// Server names that are none, or more than one.
pub(super) fn names(target: &str) -> Vec<Spoken> {
    let good = target.as_bytes();
    let raw = |what: &str, body: Vec<u8>| bad(what, Hello::new().with((0, body)).bytes());
    let mut all: Vec<Spoken> = [
        format!("{target}\0"),
        format!("{target}\0.drop.example"),
        format!("\0{target}"),
        format!("{target} "),
        format!("{target}/"),
        format!("{target}:443"),
        format!("{target}%"),
        format!("{target}\r\n"),
        format!("user@{target}"),
        format!(".{target}"),
        "allowed..example".to_owned(),
        "-allowed.example".to_owned(),
        "allowed-.example".to_owned(),
        "*.example".to_owned(),
        "àllowed.example".to_owned(),
        ".".to_owned(),
        String::new(),
        format!("{}.example", "a".repeat(64)),
        long_name(254),
        "0x7f.1".to_owned(),
        "2130706433".to_owned(),
        "017.0.0.1".to_owned(),
        "192.0.2.1".to_owned(),
        "192.0.2.1.".to_owned(),
        "2001:db8::1".to_owned(),
        "[2001:db8::1]".to_owned(),
        "::ffff:192.0.2.1".to_owned(),
        "[::1%eth0]".to_owned(),
    ]
    .into_iter()
    .map(|name| bad(&format!("the name {name:?}"), Hello::named(&name).bytes()))
    .collect();
    let latin = [b"all\xf6wed.example".as_slice(), good];
    let one = sni(&[good]);
    let other = sni(&[b"www.drop.example"]);
    all.extend([
        bad(
            "a name in Latin-1",
            Hello::new().with(sni(&latin[..1])).bytes(),
        ),
        bad(
            "two names in one list",
            Hello::new().with(sni(&[good, b"www.drop.example"])).bytes(),
        ),
        bad(
            "one name twice in one list",
            Hello::new().with(sni(&[good, good])).bytes(),
        ),
        bad(
            "two lists of the same",
            Hello::new().with(one.clone()).with(one.clone()).bytes(),
        ),
        bad(
            "two lists, the other second",
            Hello::new().with(one.clone()).with(other.clone()).bytes(),
        ),
        bad(
            "two lists, the other first",
            Hello::new().with(other).with(padding(9)).with(one).bytes(),
        ),
        raw("a list without a name", vec![0, 0]),
        raw("a server name that is empty", vec![]),
        raw(
            "a name of type 1",
            vector16(&[&[1], &vector16(good)[..]].concat()),
        ),
        raw(
            "a name of type 1 before one",
            vector16(&[&[1, 0, 1, 9, 0], &vector16(good)[..]].concat()),
        ),
        raw(
            "a list longer than what holds it",
            [&[0xff, 0xff, 0], &vector16(good)[..]].concat(),
        ),
        raw(
            "a list shorter than what it holds",
            [&[0, 3, 0], &vector16(good)[..]].concat(),
        ),
        raw(
            "a name longer than its list",
            [&vector16(&[&[0, 0xff, 0xff], good].concat())[..]].concat(),
        ),
        raw(
            "a byte behind the list",
            [&vector16(&[&[0], &vector16(good)[..]].concat())[..], &[0]].concat(),
        ),
    ]);
    all
}

/// Messages that are no hello to their last byte.
pub(super) fn messages(target: &str) -> Vec<Spoken> {
    let hello = Hello::named(target);
    let whole = hello.message();
    let changed = |change: &dyn Fn(&mut Hello)| {
        let mut hello = hello.clone();
        change(&mut hello);
        hello.bytes()
    };
    let bytes_of = |message: &[u8]| super::records(message, 1 << 14);
    let with = |kind: u16, body: &[u8]| hello.clone().with((kind, body.to_vec())).bytes();
    let length = |delta: i32| {
        let mut message = whole.clone();
        let said = i32::try_from(message.len() - 4).unwrap() + delta;
        message[1..4].copy_from_slice(&said.to_be_bytes()[1..]);
        message
    };
    let mut inner = ech();
    inner.1[0] = 1;
    let mut unknown = ech();
    unknown.1[0] = 2;
    let empty_payload = [&[0, 0, 1, 0, 1, 7], &vector16(&[1; 32])[..], &[0, 0]].concat();
    let twice = [&whole[..], &Hello::named("www.drop.example").message()].concat();
    vec![
        bad(
            "a session id of 33 bytes",
            changed(&|hello| hello.session = vec![1; 33]),
        ),
        bad("no cipher suites", changed(&|hello| hello.suites.clear())),
        bad(
            "half a cipher suite",
            changed(&|hello| hello.suites = vec![0x13, 1, 0x13]),
        ),
        bad(
            "no compression",
            changed(&|hello| hello.compression.clear()),
        ),
        bad(
            "an extension twice",
            hello.clone().with(padding(1)).with(padding(1)).bytes(),
        ),
        bad(
            "an inner hello in the clear",
            hello.clone().with(inner).bytes(),
        ),
        bad(
            "an encrypted hello of no known type",
            hello.clone().with(unknown).bytes(),
        ),
        bad("an encrypted hello cut short", with(0xfe0d, &ech().1[..20])),
        bad(
            "an encrypted hello without a payload",
            with(0xfe0d, &empty_payload),
        ),
        bad("no protocols in ALPN", with(16, &[0, 0])),
        bad("a protocol without a name in ALPN", with(16, &[0, 1, 0])),
        bad("ALPN longer than its extension", with(16, &[0, 9, 1, b'h'])),
        bad(
            "half a version",
            changed(&|hello| {
                hello.extensions = Some(vec![(43, vec![1, 3]), sni(&[target.as_bytes()])])
            }),
        ),
        bad(
            "no versions",
            changed(&|hello| {
                hello.extensions = Some(vec![(43, vec![0]), sni(&[target.as_bytes()])])
            }),
        ),
        bad("a byte more than the message says", bytes_of(&length(-1))),
        bad(
            "a byte behind the hello",
            bytes_of(&[&whole[..], &[0]].concat()),
        ),
        bad(
            "a byte more inside the hello",
            bytes_of(&[&length(1)[..], &[0]].concat()),
        ),
        bad("two hellos in one record", bytes_of(&twice)),
        bad(
            "the hello ends inside its extensions",
            bytes_of(&message(1, &whole[4..whole.len() - 1])),
        ),
        bad("a hello of two bytes", bytes_of(&message(1, &[3, 3]))),
        bad("a hello of no bytes", bytes_of(&message(1, &[]))),
        bad("a hello of 64 KiB and more", filled(target, 65_560)),
        bad(
            "a hello that says it has 16 MiB",
            bytes_of(&[1, 0xff, 0xff, 0xff, 3, 3]),
        ),
        bad(
            "a hello request first",
            bytes_of(&[&message(0, &[])[..], &whole].concat()),
        ),
        bad("a server hello", bytes_of(&message(2, &whole[4..]))),
        bad(
            "a certificate first",
            bytes_of(&[&message(11, &[0, 0, 0])[..], &whole].concat()),
        ),
        bad("a finished message", bytes_of(&message(20, &[7; 32]))),
    ]
}

/// The hello in two records with something between them.
fn interrupted(target: &str) -> Vec<(String, Vec<u8>)> {
    let whole = Hello::named(target).message();
    let (first, second) = whole.split_at(60);
    let between = |middle: Vec<u8>| [record(22, first), middle, record(22, second)].concat();
    [
        ("an alert inside the hello", between(record(21, &[1, 0]))),
        (
            "a change_cipher_spec inside the hello",
            between(record(20, &[1])),
        ),
        ("data inside the hello", between(record(23, b"data"))),
        ("an empty record inside the hello", between(record(22, &[]))),
        (
            "an empty record of data inside the hello",
            between(record(23, &[])),
        ),
        (
            "another hello inside the hello",
            between(Hello::named("www.drop.example").bytes()),
        ),
        (
            "a record of version 4 inside the hello",
            between(vec![22, 4, 1, 0, 1, 0]),
        ),
    ]
    .map(|(what, bytes)| (what.to_owned(), bytes))
    .into()
}

/// Records that are none of TLS, or not those of one hello.
pub(super) fn records(target: &str) -> Vec<Spoken> {
    let bytes = Hello::named(target).bytes();
    let before = |first: Vec<u8>| [&first[..], &bytes].concat();
    let version = |major: u8, minor: u8| [&[22, major, minor], &bytes[3..]].concat();
    let mut all = vec![
        bad("a change_cipher_spec first", before(record(20, &[1]))),
        bad("a warning first", before(record(21, &[1, 0]))),
        bad("a fatal alert first", before(record(21, &[2, 40]))),
        bad("data first", before(record(23, b"data"))),
        bad("a heartbeat first", before(record(24, &[1, 0, 0]))),
        bad("an empty record first", before(record(22, &[]))),
        bad("a record version of SSL 2", version(2, 0)),
        bad("a record version of no TLS", version(4, 0)),
        bad("DTLS", version(0xfe, 0xfd)),
        bad(
            "a record of 16,385 bytes",
            [
                &[22, 3, 1, 0x40, 1],
                &Hello::named(target).with(padding(20_000)).message()[..16_385],
            ]
            .concat(),
        ),
        bad("a record of 65,535 bytes", vec![22, 3, 1, 0xff, 0xff]),
        bad("a record longer than the hello", longer_record(&bytes)),
        bad(
            "a hello in 11,000 records of one byte",
            super::records(&filled(target, 11_000)[5..], 1),
        ),
    ];
    all.extend(
        interrupted(target)
            .into_iter()
            .map(|(what, bytes)| bad(&what, bytes)),
    );
    all
}

/// The record says more than the message in it, and is filled up.
fn longer_record(bytes: &[u8]) -> Vec<u8> {
    let mut longer = bytes.to_vec();
    let length = u16::from_be_bytes([bytes[3], bytes[4]]) + 9;
    longer[3..5].copy_from_slice(&length.to_be_bytes());
    longer.extend([0; 9]);
    longer
}

/// What speaks something else.
pub(super) fn strangers() -> Vec<Spoken> {
    let zeros = [0; 100];
    let sslv2 = [&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..], &[7; 37]].concat();
    let sslv2_long = [
        &[0x40, 0x2f, 0, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10][..],
        &[7; 37],
    ]
    .concat();
    [
        ("an SSLv2 hello", &sslv2[..]),
        ("an SSLv2 hello with padding", &sslv2_long),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: www.drop.example\r\n\r\n"),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("SMTP", b"EHLO client.example\r\n"),
        (
            "a PROXY header",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n",
        ),
        ("a binary PROXY header", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
        ("SOCKS 5", &[5, 1, 0]),
        (
            "OpenVPN",
            &[0, 14, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0],
        ),
        ("WireGuard in TCP", &[1, 0, 0, 0, 9, 9, 9, 9]),
        ("QUIC in TCP", &[0xc3, 0, 0, 0, 1, 8]),
        ("BitTorrent", b"\x13BitTorrent protocol"),
        ("zeros", &zeros),
        ("a record of type 25", &[25, 3, 3, 0, 1, 0]),
        ("a single byte of nothing known", &[0xff]),
        ("a line feed", b"\n"),
    ]
    .map(|(what, bytes)| Spoken::new(what, bytes.to_vec(), Says::NotTls))
    .into()
}

/// Hellos that stop, one way or the other.
pub(super) fn halves(target: &str) -> Vec<Spoken> {
    let bytes = Hello::named(target).bytes();
    let pieces = super::records(&Hello::named(target).message(), 60);
    let cuts = [
        ("its first byte", &bytes[..1]),
        ("the header of its record", &bytes[..5]),
        ("half of it", &bytes[..bytes.len() / 2]),
        ("all but its last byte", &bytes[..bytes.len() - 1]),
        ("its first record of several", &pieces[..65]),
    ];
    let ended = cuts.map(|(what, cut)| {
        bad(&format!("the hello ends after {what}"), cut.to_vec()).then(Manner::ThenEnd)
    });
    let silent = cuts.map(|(what, cut)| {
        let what = format!("nothing comes after {what}");
        Spoken::new(&what, cut.to_vec(), Says::NothingInTime).then(Manner::ThenSilence)
    });
    let nothing = Spoken::new("nothing at all", vec![], Says::NothingInTime);
    [&ended[..], &silent, &[nothing.then(Manner::ThenSilence)]].concat()
}

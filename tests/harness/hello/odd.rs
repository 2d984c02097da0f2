//! Good hellos in shapes that trip readers up.

use super::{Hello, Manner, Says, Spoken, ech, padding, record, records, sni};

/// One and the same name, however it is wrapped.
pub(super) fn shapes(target: &str) -> Vec<Spoken> {
    let hello = Hello::named(target);
    let (bytes, message) = (hello.bytes(), hello.message());
    let good = |what: &str, bytes: Vec<u8>| Spoken::new(what, bytes, Says::Name(target.into()));
    let mut all = vec![
        good("a hello", bytes.clone()),
        good("a hello, byte by byte", bytes.clone()).then(Manner::Dripped),
        good("a hello, then the end", bytes.clone()).then(Manner::ThenEnd),
        good("a record of 16,384 bytes", filled(target, 1 << 14)),
        good("a hello of 40,000 bytes", filled(target, 40_000)),
        good("then early data", [bytes.clone(), early_data()].concat()),
        good("record version 3.0", at(&bytes, 2, 0)),
        good("record version 3.255", at(&bytes, 2, 255)),
    ];
    for size in [1, 2, 7, 100] {
        let what = format!("records of {size} bytes");
        all.push(good(&what, records(&message, size)));
    }
    let dripped = records(&message, 1);
    all.push(good("records of one byte, byte by byte", dripped).then(Manner::Dripped));
    let made = |change: &dyn Fn(&mut Hello)| {
        let mut hello = hello.clone();
        change(&mut hello);
        hello.bytes()
    };
    all.extend([
        good("no session id", made(&|hello| hello.session.clear())),
        good("legacy version 9.9", made(&|hello| hello.version = 0x0909)),
        good(
            "an extension nobody knows",
            hello.clone().with((0x1234, vec![1; 9])).bytes(),
        ),
        good(
            "GREASE",
            hello
                .clone()
                .with((0x0a0a, vec![]))
                .with((0xfafa, vec![0]))
                .bytes(),
        ),
        good("TLS 1.0", tls10(target).bytes()),
        good(
            "the name behind all else",
            Hello::new()
                .with(padding(9000))
                .with(sni(&[target.as_bytes()]))
                .bytes(),
        ),
    ]);
    all
}

/// Names that are well formed, the target's or another, and none.
pub(super) fn names(target: &str) -> Vec<Spoken> {
    let said = |name: &str, is: &str| {
        Spoken::new(
            &format!("the name {name}"),
            Hello::named(name).bytes(),
            Says::Name(is.to_ascii_lowercase()),
        )
    };
    let upper = target.to_ascii_uppercase();
    let other = |name: &str| said(name, name);
    let with_ech = |what: &str, name: &str| {
        let hello = Hello::named(name).with(ech());
        Spoken::new(what, hello.bytes(), Says::Outer(name.to_owned()))
    };
    let none = |what: &str, hello: Hello| Spoken::new(what, hello.bytes(), Says::NoName);
    let bare = Hello {
        version: 0x0301,
        session: vec![],
        extensions: None,
        ..Hello::new()
    };
    vec![
        said(&upper, target),
        said(&format!("{target}."), target),
        said(&format!("{target}.."), target),
        other(&format!("not{target}")),
        other(&format!("www.{target}")),
        other(&format!("{target}.evil.example")),
        other(&format!("_{target}")),
        other("xn--e1afmkfd.example"),
        other("single"),
        other(&long_name(253)),
        with_ech("an encrypted hello behind the target's name", target),
        with_ech(
            "an encrypted hello behind another name",
            "public.ech.example",
        ),
        none("no server name", Hello::new()),
        none("no extensions at all", bare.clone()),
        none(
            "an empty list of extensions",
            Hello {
                extensions: Some(vec![]),
                ..bare
            },
        ),
    ]
}

/// A client of 1999: one version, no extensions but the name.
fn tls10(target: &str) -> Hello {
    Hello {
        version: 0x0301,
        session: vec![],
        suites: vec![0, 0x2f, 0, 0x0a, 0, 5],
        extensions: Some(vec![sni(&[target.as_bytes()])]),
        ..Hello::new()
    }
}

/// A hello whose message has exactly this many bytes.
pub(super) fn filled(target: &str, size: usize) -> Vec<u8> {
    let hello = Hello::named(target);
    let rest = size - hello.message().len() - 4;
    hello.with(padding(rest)).bytes()
}

/// A change_cipher_spec and a record of data, as a client with a ticket sends them.
fn early_data() -> Vec<u8> {
    [record(20, &[1]), record(23, &[0xab; 200])].concat()
}

/// A good name of this many bytes.
pub(super) fn long_name(size: usize) -> String {
    let labels = "a123456789.".repeat(size / 11 + 1);
    let name = &labels[..size - 1];
    format!("{name}z")
}

fn at(bytes: &[u8], index: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[index] = byte;
    bytes
}

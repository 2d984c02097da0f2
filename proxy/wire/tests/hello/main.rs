//! Hellos read strictly: those of real clients in every split, those made by hand, and rustls
//! beside us on the same bytes; and what may follow the first one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod limit;
mod made;
mod oracle;
mod recorded;
mod second;
mod server;
mod strict;

use octroi_policy::DomainName;
use octroi_wire::client_hello::{ClientHello, HelloReader, Peek, Sni, alert_access_denied};

/// As long as a hello may be.
const LIMIT: usize = 64 * 1024;

fn read(bytes: &[u8]) -> Peek {
    HelloReader::new(LIMIT).read(bytes)
}

fn hello(bytes: &[u8]) -> ClientHello {
    match read(bytes) {
        Peek::Hello(hello) => hello,
        other => panic!("no hello: {other:?}"),
    }
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
fn the_alert_is_access_denied() {
    assert_eq!(alert_access_denied(), [0x15, 3, 3, 0, 2, 2, 0x31]);
}

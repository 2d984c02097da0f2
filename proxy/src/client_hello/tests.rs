use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, duplex};

use super::*;

const PATIENCE: Patience = Patience {
    timeout: Duration::from_secs(10),
    most: 64 * 1024,
};

/// The first flight of a real client.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn target() -> Host {
    Host::parse("allowed.example").unwrap()
}

/// What is peeked of `bytes`, some of which came early, and what is kept of them.
async fn peeked(early: &[u8], bytes: &[u8], close: bool) -> (Peeked, BytesMut) {
    let (mut client, mut gate) = duplex(16);
    let mut seen = BytesMut::from(early);
    let sent = bytes.to_vec();
    let sender = tokio::spawn(async move {
        // A refused hello may be given up in the middle.
        let _ = client.write_all(&sent).await;
        (!close).then_some(client)
    });
    let (peeked, _) = peek(&mut gate, &mut seen, &target(), PATIENCE).await;
    drop(gate);
    sender.await.unwrap();
    (peeked, seen)
}

fn named(name: &str) -> Peeked {
    Peeked::Hello(Hello::Name {
        name: name.parse().unwrap(),
        ech: false,
    })
}

#[tokio::test]
async fn a_hello_is_read_whole_and_kept_whole() {
    let bytes = hello("Allowed.Example");
    for cut in [0, 1, 5, bytes.len() - 1, bytes.len()] {
        let (early, late) = bytes.split_at(cut);
        let (peeked, seen) = peeked(early, late, false).await;
        assert_eq!(peeked, named("allowed.example"), "cut at {cut}");
        assert_eq!(&seen[..], &bytes[..]);
    }
}

#[tokio::test]
async fn what_comes_behind_the_hello_is_kept_too() {
    let mut bytes = hello("allowed.example");
    bytes.extend_from_slice(b"early data");
    let (peeked, seen) = peeked(&bytes, b"", false).await;
    assert_eq!(peeked, named("allowed.example"));
    assert_eq!(&seen[..], &bytes[..]);
}

#[tokio::test]
async fn other_beginnings_are_told_apart() {
    let whole = hello("allowed.example");
    for (bytes, close, expected) in [
        (&b""[..], true, Peeked::Gone),
        (b"SSH-2.0-OpenSSH", false, Peeked::Hello(Hello::NotTls)),
        (b"GET / HTTP/1.1\r\n", false, Peeked::Hello(Hello::NotTls)),
        (
            &whole[..whole.len() / 2],
            true,
            Peeked::Hello(Hello::Malformed),
        ),
        (
            &[22, 3, 1, 0, 4, 1, 0, 0, 0, 0],
            false,
            Peeked::Hello(Hello::Malformed),
        ),
    ] {
        assert_eq!(peeked(b"", bytes, close).await.0, expected, "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_and_dripping_run_into_one_and_the_same_time_out() {
    let bytes = hello("allowed.example");
    let (mut client, mut gate) = duplex(16);
    let drip = tokio::spawn(async move {
        for byte in bytes {
            if client.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut seen = BytesMut::new();
    let (peeked, _) = peek(&mut gate, &mut seen, &target(), PATIENCE).await;
    assert_eq!(peeked, Peeked::Hello(Hello::Timeout));
    assert!((9..=11).contains(&seen.len()), "{}", seen.len());
    drop(gate);
    drip.await.unwrap();
}

#[test]
fn an_address_as_server_name_says_nothing_or_something_false() {
    let hello = |address: &str| ClientHello {
        sni: Sni::Address(address.parse().unwrap()),
        alpn: Vec::new(),
        ech: None,
        versions: Vec::new(),
        legacy_version: 0x0303,
        extensions: Vec::new(),
    };
    let target = Host::parse("192.0.2.1").unwrap();
    assert_eq!(understand(&hello("192.0.2.1"), &target), Hello::Absent);
    assert_eq!(understand(&hello("192.0.2.2"), &target), Hello::Malformed);
}

#[test]
fn an_alert_goes_only_to_who_speaks_tls() {
    assert!(speaks_tls(&hello("a.example")));
    for bytes in [&b""[..], b"\x16", b"SSH-2.0", b"\x80\x2e\x01"] {
        assert!(!speaks_tls(bytes));
    }
}

//! Hellos of real clients; how each was recorded is in `fixtures/README.md`.

use octroi_wire::client_hello::{HelloReader, Peek, Sni};

use crate::made::in_records;
use crate::{LIMIT, hello, name, read, read_in_pieces};

/// A name and the file of that name.
macro_rules! recordings {
    ($of:literal: $($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../fixtures/", $of, $name, ".bin")))),*]
    };
}

/// First flights.
pub(crate) const FIXTURES: [(&str, &[u8]); 24] = recordings!["": "chromium", "curl", "curl-gnutls", "gnutls", "gnutls-bare", "gnutls-tls12", "go", "impersonated-firefox", "impersonated-safari", "java", "java-no-sni", "java-tls10", "mbedtls", "node", "nss", "nss-tls12", "openssl-no-sni", "openssl-tls10", "openssl-tls12", "openssl-tls13", "python", "python-tls10", "rustls", "wget"];

/// What clients sent from their first hello to the end of their second.
pub(crate) const RETRIES: [(&str, &[u8]); 12] = recordings!["retry/":
    "chromium", "curl", "curl-gnutls", "gnutls", "go", "impersonated-firefox", "java", "node", "nss", "openssl", "python",
    "rustls"];

/// What servers answered to a first hello.
pub(crate) const ANSWERS: [(&str, &[u8]); 8] = recordings!["answers/":
    "gnutls-retry", "gnutls-tls13", "openssl-alert", "openssl-retry", "openssl-retry-no-session",
    "openssl-tls12", "openssl-tls13", "openssl-warning"];

#[test]
fn real_clients_are_read_whatever_the_split() {
    for (client, bytes) in FIXTURES {
        let expected = Peek::Hello(hello(bytes));
        for cut in 1..bytes.len() {
            let mut reader = HelloReader::new(LIMIT);
            assert_eq!(
                reader.read(&bytes[..cut]),
                Peek::NeedMore,
                "{client} to {cut}"
            );
            assert_eq!(reader.read(bytes), expected, "{client} cut at {cut}");
            assert_eq!(reader.length(), bytes.len());
        }
        assert_eq!(read_in_pieces(bytes, 1), expected, "{client} byte by byte");
        for size in [1, 2, 7, 100] {
            let records = in_records(&bytes[5..], size);
            assert_eq!(read(&records), expected, "{client} in records of {size}");
            for piece in [1, 7] {
                let found = read_in_pieces(&records, piece);
                assert_eq!(found, expected, "{client} in records of {size}, by {piece}");
            }
        }
    }
}

#[test]
fn what_follows_a_real_client_is_left_alone() {
    for (client, bytes) in FIXTURES {
        let mut reader = HelloReader::new(LIMIT);
        let with_early_data = [bytes, &[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 9]].concat();
        let found = reader.read(&with_early_data);
        assert_eq!(found, Peek::Hello(hello(bytes)), "{client}");
        assert_eq!(reader.length(), bytes.len(), "{client}");
    }
}

#[test]
fn real_clients_say_what_they_say() {
    for (client, bytes) in FIXTURES {
        let hello = hello(bytes);
        let sni = match client {
            "openssl-no-sni" | "java-no-sni" | "gnutls-bare" => Sni::Absent,
            "wget" => name("localhost"),
            _ => name("example.org"),
        };
        assert_eq!(hello.sni, sni, "{client}");
        let with_ech = matches!(client, "chromium" | "impersonated-firefox");
        assert_eq!(hello.ech.is_some(), with_ech, "{client}");
        let tls10 = client.contains("tls10") || client == "gnutls-bare";
        let tls13 = !client.contains("tls12") && client != "mbedtls" && !tls10;
        assert_eq!(hello.versions.contains(&0x0304), tls13, "{client}");
        let legacy = if tls10 { 0x0301 } else { 0x0303 };
        assert_eq!(hello.legacy_version, legacy, "{client}");
        let alpn: Vec<&str> = hello
            .alpn
            .iter()
            .map(|p| std::str::from_utf8(p).unwrap())
            .collect();
        let expected: &[&str] = match client {
            "chromium" | "curl" | "curl-gnutls" | "openssl-tls13" | "rustls" => &["h2", "http/1.1"],
            "impersonated-firefox" | "impersonated-safari" => &["h2", "http/1.1"],
            _ => &[],
        };
        assert_eq!(alpn, expected, "{client}");
    }
    let ech = hello(FIXTURES[0].1).ech.unwrap();
    assert_eq!((ech.kdf, ech.aead), (1, 1));
    assert!(ech.payload > 100);
}

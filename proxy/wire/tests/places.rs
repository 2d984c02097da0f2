//! One name and one address, whatever their spelling, in every place that has one: the CONNECT target, the URI, the
//! Host field, the server name, an alias of a DNS answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record};
use octroi_policy::{DomainName, Host};
use octroi_wire::client_hello::{HelloReader, Peek, Sni};
use octroi_wire::dns::answer;
use octroi_wire::head::{Status, Target, read};
use proptest::prelude::*;

/// What each place makes of a text: a host, or nothing where it is refused.
fn places(text: &str) -> Vec<(&'static str, Option<Host>)> {
    vec![
        ("CONNECT", target(&format!("CONNECT {text}:443"))),
        ("URI", target(&format!("GET http://{text}/"))),
        ("URI with port", target(&format!("GET http://{text}:8080/"))),
        ("Host", host(text)),
        ("Host with port", host(&format!("{text}:80"))),
        ("SNI", server_name(text)),
        ("CNAME", alias(text)),
    ]
}

fn target(line: &str) -> Option<Host> {
    let head = format!("{line} HTTP/1.1\r\nHost: h.example\r\n\r\n");
    match read(head.as_bytes(), 4096) {
        Ok(Status::Complete(head, _)) => match head.target {
            Target::Authority(authority) | Target::Absolute { authority, .. } => {
                Some(authority.host)
            }
            _ => None,
        },
        _ => None,
    }
}

fn host(text: &str) -> Option<Host> {
    let head = format!("GET / HTTP/1.1\r\nHost: {text}\r\n\r\n");
    match read(head.as_bytes(), 4096) {
        Ok(Status::Complete(head, _)) => head.host.map(|authority| authority.host),
        _ => None,
    }
}

/// The smallest hello with this server name.
fn server_name(text: &str) -> Option<Host> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let with_length = |bytes: &[u8]| [&short(bytes.len())[..], bytes].concat();
    let list = with_length(&[&[0], &*with_length(text.as_bytes())].concat());
    let extension = [&[0, 0], &*with_length(&list)].concat();
    let body = [
        &[3, 3],
        &[7; 32][..],
        &[0, 0, 2, 0x13, 1, 1, 0],
        &with_length(&extension),
    ]
    .concat();
    let message = [&[1, 0], &*with_length(&body)].concat();
    let record = [&[22, 3, 1], &*with_length(&message)].concat();
    match HelloReader::new(1 << 14).read(&record) {
        Peek::Hello(hello) => match hello.sni {
            Sni::Name(name) => Some(Host::Name(name)),
            Sni::Address(address) => Some(Host::Address(address)),
            Sni::Absent => panic!("the name is there"),
        },
        Peek::Malformed(_) => None,
        other => panic!("{other:?}"),
    }
}

fn alias(text: &str) -> Option<Host> {
    let asked = DomainName::parse("a.example").unwrap();
    let owner = Name::from_ascii("a.example.").unwrap();
    // Bytes as they are: in a DNS message nothing is an escape.
    let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
    let alias = Name::from_labels(labels).ok()?;
    let records = [Record::from_rdata(owner, 60, RData::CNAME(CNAME(alias)))];
    let chain = answer(&asked, &records).ok()?.chain;
    chain.first().cloned().map(Host::Name)
}

/// No place takes the text for anything but this address.
fn is_that_or_refused(text: &str, address: IpAddr) -> Result<(), TestCaseError> {
    for (place, found) in places(text) {
        let fits = found.is_none() || found == Some(Host::Address(address.to_canonical()));
        prop_assert!(fits, "{} in {} is {:?}", text, place, found);
    }
    Ok(())
}

/// A number as `inet_aton` reads it.
fn any_radix() -> impl Strategy<Value = fn(u32) -> String> {
    prop::sample::select(vec![
        (|n| n.to_string()) as fn(u32) -> String,
        |n| format!("0x{n:x}"),
        |n| format!("0X{n:X}"),
        |n| format!("0{n:o}"),
        |n| format!("000{n:o}"),
        |n| format!("0x000{n:x}"),
    ])
}

fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from),
        Just(Ipv4Addr::LOCALHOST),
        Just(Ipv4Addr::new(169, 254, 169, 254)),
        Just(Ipv4Addr::UNSPECIFIED),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_spelling_of_an_ipv4_address(
        address in any_v4(),
        radices in prop::collection::vec(any_radix(), 4),
        parts in 1usize..=4,
        dots in 0usize..3,
    ) {
        let octets = address.octets().map(u32::from);
        let last = octets[parts - 1..].iter().fold(0, |all, octet| all << 8 | octet);
        let numbers = octets[..parts - 1].iter().copied().chain([last]);
        let words: Vec<_> = numbers.zip(radices).map(|(number, spell)| spell(number)).collect();
        let text = words.join(".");
        is_that_or_refused(&(text.clone() + &".".repeat(dots)), address.into())?;
        is_that_or_refused(&format!("[{text}]"), address.into())?;
        is_that_or_refused(&text.replace('.', "%2e"), address.into())?;
        is_that_or_refused(&text.replace('.', "。"), address.into())?;
    }

    #[test]
    fn every_spelling_of_an_ipv6_address(
        bits in any::<u128>(),
        v4 in any_v4(),
        carrier in 0usize..6,
        zone in prop::sample::select(vec!["", "%1", "%25eth0", "%eth0", "%"]),
    ) {
        let low = u128::from(u32::from(v4));
        let address = Ipv6Addr::from(match carrier {
            0 => bits,
            1 => 0xffff_0000_0000 | low,
            2 => 0x64_ff9b << 96 | low,
            3 => 0x2002 << 112 | low << 80,
            4 => low,
            _ => 0xfe80 << 112 | low,
        });
        let [.., high, low] = address.segments();
        let dotted = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
        let full = address.segments().map(|segment| format!("{segment:x}"));
        let padded = address.segments().map(|segment| format!("{segment:04X}"));
        for text in [
            address.to_string(), full.join(":"), padded.join(":"), format!("{}:{dotted}", full[..6].join(":")),
        ] {
            for (open, close) in [("[", "]"), ("", ""), ("[", "]."), ("[", "")] {
                is_that_or_refused(&format!("{open}{text}{zone}{close}"), address.into())?;
            }
        }
        let bracketed = format!("[{address}]");
        prop_assert_eq!(target(&format!("CONNECT {bracketed}:443")), Some(Host::from(IpAddr::from(address))));
    }

    #[test]
    fn every_spelling_of_a_name(
        name in "[a-z]([a-z0-9_-]{0,8}[a-z0-9])?(\\.[a-z][a-z0-9]{0,6}){1,3}",
        upper in any::<u64>(),
        dots in 0usize..3,
    ) {
        let canonical = DomainName::parse(&name).unwrap();
        let mixed = |(index, letter): (usize, char)| match upper >> (index % 64) & 1 {
            1 => letter.to_ascii_uppercase(),
            _ => letter,
        };
        let odd: String = name.chars().enumerate().map(mixed).collect();
        for (place, found) in places(&(odd.clone() + &".".repeat(dots))) {
            prop_assert_eq!(found, Some(Host::Name(canonical.clone())), "{} in {}", odd, place);
        }
    }

    /// What is no name is none anywhere.
    #[test]
    fn what_is_no_name_is_none_anywhere(
        before in "[a-z]{1,5}",
        odd in prop::sample::select(vec!["\0", " ", "%2e", "/", "\\", "@", "*", "é", "。", "..", "\u{7f}", "#", ":", "\t"]),
        after in "[a-z]{1,5}\\.example",
    ) {
        let text = format!("{before}{odd}{after}");
        for (place, found) in places(&text) {
            // A slash ends the authority of a URI, a colon begins a port: another host, but the one written.
            let ends_there = found == DomainName::parse(&before).ok().map(Host::Name) && matches!(odd, "/" | ":" | "\\");
            prop_assert!(found.is_none() || ends_there && place.starts_with("URI"), "{:?} in {} is {:?}", text, place, found);
        }
    }
}

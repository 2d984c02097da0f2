//! Every spelling of an address in every place: that address, or a refusal; never a name, never another address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::{Authority, DomainName, Forbid, Host, Pattern, carried_ipv4};
use octroi_wire::head::{Status, Target, read};

use crate::name::inet_aton;

/// Spells an address and puts it where a client or an author might.
pub fn run(data: &[u8]) {
    let _ = spell_and_read(&mut Unstructured::new(data));
}

fn spell_and_read(u: &mut Unstructured<'_>) -> Result<()> {
    let (text, address) = if u.arbitrary()? {
        let v4 = any_v4(u)?;
        (spell_v4(u, v4)?, IpAddr::V4(v4))
    } else {
        let v6 = any_v6(u)?;
        (spell_v6(u, v6)?, IpAddr::V6(v6))
    };
    let address = address.to_canonical();
    is_that_or_refused(Host::parse(&text).ok(), address, &text);
    is_that_or_refused(
        Authority::parse(&format!("{text}:443"))
            .ok()
            .map(|a| a.host),
        address,
        &text,
    );
    for line in [
        format!("CONNECT {text}:443"),
        format!("GET http://{text}/"),
        format!("GET http://{text}:80/x"),
        "GET /".to_owned(),
    ] {
        let head = format!("{line} HTTP/1.1\r\nHost: {text}\r\n\r\n");
        if let Ok(Status::Complete(head, _)) = read(head.as_bytes(), 4096) {
            is_that_or_refused(head.host.map(|a| a.host), address, &text);
            if let Target::Authority(a) | Target::Absolute { authority: a, .. } = head.target {
                is_that_or_refused(Some(a.host), address, &text);
            }
        }
    }
    assert!(Host::parse_sni(text.as_bytes()).is_err(), "{text} as SNI");
    assert!(DomainName::parse(&text).is_err() && DomainName::from_unicode(&text).is_err());
    assert!(
        Pattern::parse(&text).is_err() && Pattern::suffix(&text).is_err(),
        "{text} as pattern"
    );
    in_a_list(&text, address);
    no_carrier_leads_round(address);
    Ok(())
}

fn is_that_or_refused(host: Option<Host>, address: IpAddr, text: &str) {
    if let Some(host) = host {
        assert_eq!(host, Host::Address(address), "{text}");
    }
}

/// A list of ranges holds exactly that address, or the line is a finding.
fn in_a_list(text: &str, address: IpAddr) {
    let policy = "version: 1\nname: n\ndefault: allow\ntested_at: 2026-01-01\nrules:\n  \
                  - { id: r, effect: deny, when: { addresses_from: lists/a.txt } }\n";
    let files = [("policy.yaml", policy), ("lists/a.txt", text)];
    let Ok(bundle) = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into())))
    else {
        panic!("two small files");
    };
    if let Some(model) = check(&bundle, None).model {
        let [(range, _)] = model.listed_addresses[..] else {
            panic!("{text} is {} ranges", model.listed_addresses.len());
        };
        assert_eq!(
            (range.addr(), range.prefix_len()),
            (address, range.max_prefix_len()),
            "{text}"
        );
    }
}

/// What is forbidden is forbidden inside every address that carries it.
fn no_carrier_leads_round(address: IpAddr) {
    let forbid = Forbid::default();
    let IpAddr::V4(v4) = address else { return };
    let bits = u128::from(u32::from(v4));
    let carriers = [0xffff << 32, 0x64_ff9b << 96, 0x64_ff9b_0001 << 80, 0].map(|high| high | bits);
    for carrier in carriers.into_iter().chain([0x2002 << 112 | bits << 80]) {
        let carrier = IpAddr::V6(carrier.into());
        if forbid.verdict(address).is_some() {
            assert!(forbid.verdict(carrier).is_some(), "{address} in {carrier}");
        }
        if u32::from(v4) > 1 {
            assert_eq!(carried_ipv4(carrier), Some(v4), "{carrier}");
        }
    }
}

fn any_v4(u: &mut Unstructured<'_>) -> Result<Ipv4Addr> {
    let near: u32 = u.arbitrary::<u8>()?.into();
    Ok(match u.int_in_range(0..=5)? {
        0 => u.arbitrary::<u32>()?.into(),
        1 => Ipv4Addr::new(127, 0, 0, 1),
        2 => Ipv4Addr::new(169, 254, 169, 254),
        3 => (0x0a00_0000 | near).into(),
        4 => near.into(),
        _ => (u32::MAX - near).into(),
    })
}

fn any_v6(u: &mut Unstructured<'_>) -> Result<Ipv6Addr> {
    let v4 = u128::from(u32::from(any_v4(u)?));
    Ok(match u.int_in_range(0..=5)? {
        0 => u.arbitrary::<u128>()?.into(),
        1 => (0xffff_0000_0000 | v4).into(),
        2 => (0x64_ff9b << 96 | v4).into(),
        3 => (0x2002 << 112 | v4 << 80 | u128::from(u.arbitrary::<u16>()?)).into(),
        4 => v4.into(),
        _ => (0xfe80 << 112 | v4).into(),
    })
}

/// One to four parts, each in a radix of its own, perhaps with zeros before it and dots behind.
fn spell_v4(u: &mut Unstructured<'_>, address: Ipv4Addr) -> Result<String> {
    let octets = address.octets().map(u32::from);
    let parts = u.int_in_range(1..=4)?;
    let mut words = Vec::new();
    for (index, octet) in octets.iter().enumerate().take(parts - 1) {
        let _ = index;
        words.push(spell_number(u, *octet)?);
    }
    let last = octets[parts - 1..]
        .iter()
        .fold(0, |all, octet| all << 8 | octet);
    words.push(spell_number(u, last)?);
    let text = words.join(".");
    assert_eq!(inet_aton(&text), Some(address), "the oracle reads {text}");
    let dots = u.int_in_range(0..=2)?;
    let text = text + &".".repeat(dots);
    Ok(if u.ratio(1, 8)? {
        format!("[{text}]")
    } else {
        text
    })
}

fn spell_number(u: &mut Unstructured<'_>, number: u32) -> Result<String> {
    let zeros = "0".repeat(u.int_in_range(0..=3)?);
    Ok(match u.int_in_range(0..=4)? {
        0 | 1 => number.to_string(),
        2 => format!("0x{zeros}{number:x}"),
        3 => format!("0X{zeros}{number:X}"),
        _ => format!("0{zeros}{number:o}"),
    })
}

/// Long or short, either case, the last part dotted, with or without brackets and zone.
fn spell_v6(u: &mut Unstructured<'_>, address: Ipv6Addr) -> Result<String> {
    let segments = address.segments();
    let full = segments.map(|s| format!("{s:x}")).join(":");
    let padded = segments.map(|s| format!("{s:04x}")).join(":");
    let [.., high, low] = segments;
    let v4 = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let dotted = segments[..6]
        .iter()
        .map(|s| format!("{s:x}:"))
        .collect::<String>()
        + &v4.to_string();
    let text = match u.int_in_range(0..=3)? {
        0 => address.to_string(),
        1 => full,
        2 => padded,
        _ => dotted,
    };
    let text = if u.arbitrary()? {
        text.to_uppercase()
    } else {
        text
    };
    let zone = *u.choose(&["", "", "", "%1", "%25eth0", "%eth0", "%"])?;
    Ok(match u.int_in_range(0..=3)? {
        0 => format!("{text}{zone}"),
        1 => format!("[{text}{zone}]."),
        _ => format!("[{text}{zone}]"),
    })
}

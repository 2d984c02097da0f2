//! The one normaliser: what it accepts has one spelling, and nothing else reads it as an address.

use std::net::{IpAddr, Ipv4Addr};

use octroi_policy::name::{MAX_LABEL, MAX_NAME};
use octroi_policy::{Authority, DomainName, Host, Pattern};

/// Reads a text as everything that has a name in it.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = DomainName::parse(&text);
    for name in [parsed.clone(), DomainName::from_unicode(&text)]
        .into_iter()
        .flatten()
    {
        is_canonical(&name);
        a_suffix_ends_at_a_dot(&name);
    }
    if let Ok(name) = &parsed {
        assert!(text.is_ascii());
        assert_eq!(DomainName::from_unicode(&text).as_ref(), Ok(name));
        assert_eq!(Host::parse(&text), Ok(Host::Name(name.clone())));
        assert_eq!(Host::parse_sni(data).as_ref(), Ok(name));
        assert_eq!(
            DomainName::parse(&(text.to_uppercase() + ".")).as_ref(),
            Ok(name)
        );
        assert_eq!(inet_aton(text.trim_end_matches('.')), None, "{text}");
    }
    if let Ok(authority) = Authority::parse(&text) {
        assert_eq!(
            Authority::parse(&authority.to_string()).as_ref(),
            Ok(&authority)
        );
        assert_ne!(authority.port, Some(0));
    }
    if let Ok(host) = Host::parse(&text) {
        assert_eq!(Host::parse(&host.to_string()).as_ref(), Ok(&host));
        match host {
            Host::Address(address) => assert_eq!(address, address.to_canonical()),
            Host::Name(name) => is_canonical(&name),
        }
    }
    if let Ok(name) = Host::parse_sni(data) {
        assert_eq!(parsed.as_ref(), Ok(&name));
    }
    for pattern in [Pattern::parse(&text), Pattern::suffix(&text)]
        .into_iter()
        .flatten()
    {
        assert_eq!(
            Pattern::parse(&pattern.to_string()).as_ref(),
            Ok(&pattern),
            "{text}"
        );
        assert!(
            pattern
                .labels()
                .all(|label| label.as_str().len() <= MAX_LABEL)
        );
    }
}

fn is_canonical(name: &DomainName) {
    let text = name.as_str();
    assert!((1..=MAX_NAME).contains(&text.len()));
    assert!(
        text.bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
    );
    assert!(
        name.labels()
            .all(|label| (1..=MAX_LABEL).contains(&label.len()))
    );
    assert!(text.parse::<IpAddr>().is_err());
    assert_eq!(inet_aton(text), None, "{text}");
    assert_eq!(DomainName::parse(text).as_ref(), Ok(name));
    assert_eq!(DomainName::from_unicode(text).as_ref(), Ok(name));
    assert_eq!(Host::parse(text), Ok(Host::Name(name.clone())));
}

/// `.office.com` matches `x.office.com`, never `notoffice.com`.
fn a_suffix_ends_at_a_dot(name: &DomainName) {
    let Ok(pattern) = Pattern::parse(&format!(".{name}")) else {
        panic!("a name is a suffix");
    };
    let near = ["x.", "not", "x-", "_"].map(|before| format!("{before}{name}"));
    let after = ["x", ".x", "-x"].map(|after| format!("{name}{after}"));
    let others = near
        .iter()
        .chain(&after)
        .flat_map(|text| DomainName::parse(text));
    for other in others.chain([name.clone()]) {
        let is_below = other.as_str().ends_with(&format!(".{name}"));
        assert_eq!(
            pattern.matches(&other),
            is_below || other == *name,
            "{pattern} on {other}"
        );
    }
}

/// What the C library reads as an IPv4 address: one to four numbers, decimal, octal or hexadecimal, the last of which
/// fills all bytes that are left.
#[must_use]
pub fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, before) = parts.split_last()?;
    if before.len() > 3 || before.iter().any(|part| *part > 255) {
        return None;
    }
    let left = 8 * (4 - before.len() as u32);
    if *last >= 1 << left {
        return None;
    }
    let high = before.iter().fold(0, |all, part| all << 8 | part);
    u32::try_from(high << left | last).ok().map(Ipv4Addr::from)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

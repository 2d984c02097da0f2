//! The compiled matchers beside the naive ones.

use std::net::IpAddr;

use ipnet::IpNet;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use octroi_policy::matcher::naive;
use octroi_policy::{AddressMatcher, DomainName, NameMatcher, Pattern};

/// Builds lists of few letters and few bits, so that entries meet, and asks for names and addresses near them.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let _ = names(&mut u).and_then(|()| addresses(&mut u));
}

const LABELS: [&str; 9] = ["a", "b", "ab", "ba", "abc", "xn--a", "0", "a-b", "_a"];
const GLOBS: [&str; 9] = ["*", "a*", "*b", "*a*", "a*b", "a*b*", "*-b", "*0", "xn--*"];

fn any_label(u: &mut Unstructured<'_>) -> Result<&'static str> {
    Ok(u.choose(&LABELS)?)
}

fn any_pattern(u: &mut Unstructured<'_>) -> Result<Option<Pattern>> {
    let mut text = String::from(*u.choose(&["", "", ".", "*."])?);
    let labels = u.int_in_range(1..=4)?;
    for index in 0..labels {
        if index > 0 {
            text.push('.');
        }
        text.push_str(if u.ratio(1, 3)? {
            u.choose(&GLOBS)?
        } else {
            any_label(u)?
        });
    }
    Ok(Pattern::parse(&text).ok())
}

fn any_name(u: &mut Unstructured<'_>) -> Result<Option<DomainName>> {
    let labels = u.int_in_range(1..=5)?;
    let mut words = Vec::new();
    for _ in 0..labels {
        words.push(any_label(u)?);
    }
    Ok(DomainName::parse(&words.join(".")).ok())
}

fn sorted(values: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable();
    values
}

fn names(u: &mut Unstructured<'_>) -> Result<()> {
    let mut entries = Vec::new();
    for index in 0..u.int_in_range(0..=20usize)? {
        entries.extend(any_pattern(u)?.map(|pattern| (pattern, index)));
    }
    let matcher = NameMatcher::new(entries.clone());
    assert_eq!(matcher.is_empty(), entries.is_empty());
    for _ in 0..u.int_in_range(1..=8)? {
        let Some(name) = any_name(u)? else { continue };
        assert_eq!(
            sorted(matcher.best(&name)),
            sorted(naive::best_names(&entries, &name)),
            "best of {name} in {entries:?}"
        );
        let mut all = Vec::new();
        matcher.all(&name, &mut |value| all.push(value));
        assert_eq!(
            sorted(all),
            sorted(naive::all_names(&entries, &name)),
            "all of {name} in {entries:?}"
        );
    }
    Ok(())
}

fn any_address(u: &mut Unstructured<'_>) -> Result<IpAddr> {
    let low: u8 = u.arbitrary()?;
    Ok(match u.int_in_range(0..=5)? {
        0 => IpAddr::V4((0x0a00_0000 | u32::from(low)).into()),
        1 => IpAddr::V4((u32::MAX - u32::from(low)).into()),
        2 => IpAddr::V4(u32::from(low).into()),
        3 => IpAddr::V6((0x2001_0db8 << 96 | u128::from(low)).into()),
        4 => IpAddr::V6((0xffff_0a00_0000 | u128::from(low)).into()),
        _ => IpAddr::V6((u128::MAX - u128::from(low)).into()),
    })
}

fn any_range(u: &mut Unstructured<'_>) -> Result<Option<IpNet>> {
    let address = any_address(u)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = if u.ratio(1, 4)? {
        u.int_in_range(0..=most)?
    } else {
        most - u.int_in_range(0..=9)?
    };
    Ok(IpNet::new(address, bits).ok())
}

fn addresses(u: &mut Unstructured<'_>) -> Result<()> {
    let mut entries = Vec::new();
    for index in 0..u.int_in_range(0..=20usize)? {
        entries.extend(any_range(u)?.map(|range| (range, index)));
    }
    let matcher = AddressMatcher::new(entries.clone());
    assert_eq!(matcher.is_empty(), entries.is_empty());
    for _ in 0..u.int_in_range(1..=8)? {
        let address = any_address(u)?;
        assert_eq!(
            sorted(matcher.best(address).iter().copied()),
            sorted(naive::best_addresses(&entries, address)),
            "best of {address} in {entries:?}"
        );
        let mut all = Vec::new();
        matcher.all(address, &mut |value| all.push(value));
        assert_eq!(
            sorted(all),
            sorted(naive::all_addresses(&entries, address)),
            "all of {address} in {entries:?}"
        );
    }
    Ok(())
}

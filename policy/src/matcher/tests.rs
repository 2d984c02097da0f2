use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::name::DomainName;
use crate::pattern::Pattern;

fn sorted(mut values: Vec<u32>) -> Vec<u32> {
    values.sort_unstable();
    values
}

fn numbered<T>(entries: impl IntoIterator<Item = T>) -> Vec<(T, u32)> {
    entries.into_iter().zip(0..).collect()
}

fn names(entries: &[&str]) -> NameMatcher<usize> {
    NameMatcher::new(
        entries
            .iter()
            .enumerate()
            .map(|(i, e)| (Pattern::parse(e).unwrap(), i)),
    )
}

fn best<'a>(entries: &[&'a str], name: &str) -> Vec<&'a str> {
    let name = DomainName::parse(name).unwrap();
    names(entries)
        .best(&name)
        .map(|index| entries[index])
        .collect()
}

#[test]
fn the_most_specific_entry_speaks() {
    let entries = [
        ".example.org",
        "*.example.org",
        "www.example.org",
        "*.*.example.org",
        "a*.example.org",
        "*b.example.org",
        "x.*.example.org",
        ".www.example.org",
        "*.www.example.org",
        "www.example.org",
    ];
    for (name, expected) in [
        ("example.org", &[".example.org"][..]),
        ("c.example.org", &["*.example.org"]),
        ("www.example.org", &["www.example.org", "www.example.org"]),
        ("c.www.example.org", &["*.www.example.org"]),
        ("x.www.example.org", &["*.www.example.org"]),
        ("c.d.example.org", &["*.*.example.org"]),
        ("x.d.example.org", &["x.*.example.org"]),
        ("ab.example.org", &["a*.example.org", "*b.example.org"]),
        ("ac.example.org", &["a*.example.org"]),
        ("badexample.org", &[]),
        ("org", &[]),
    ] {
        assert_eq!(best(&entries, name), expected, "{name}");
    }
}

#[test]
fn an_empty_matcher_says_nothing() {
    let name = DomainName::parse("example.org").unwrap();
    let empty = NameMatcher::<u32>::new([]);
    assert!(empty.is_empty() && empty.best(&name).next().is_none());
    empty.all(&name, &mut |_| panic!("nothing to find"));
    let empty = AddressMatcher::<u32>::new([]);
    assert!(empty.is_empty() && empty.best("::1".parse().unwrap()).is_empty());
}

#[test]
fn the_longest_prefix_speaks() {
    let nets = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3/8",
        "255.255.255.255/32",
        "::/0",
        "::ffff:192.0.2.0/120",
    ];
    let matcher = AddressMatcher::new(numbered(nets.map(|n| n.parse::<IpNet>().unwrap())));
    for (address, expected) in [
        ("10.1.255.255", &[2][..]),
        ("10.2.0.0", &[1, 3]),
        ("10.0.255.255", &[1, 3]),
        ("11.0.0.0", &[0]),
        ("9.255.255.255", &[0]),
        ("255.255.255.255", &[4]),
        ("255.255.255.254", &[0]),
        ("::ffff:10.1.0.0", &[2]),
        ("192.0.2.7", &[6]),
        ("2001:db8::1", &[5]),
    ] {
        assert_eq!(
            matcher.best(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }
    assert_eq!(
        matcher.longest("10.1.0.1".parse().unwrap()),
        Some((16, &[2][..]))
    );
    let mut found = Vec::new();
    matcher.all("10.1.0.1".parse().unwrap(), &mut |value| found.push(value));
    assert_eq!(found, [2, 1, 3, 0]);
}

/// Few letters and few labels, so that entries meet each other and the names.
fn any_pattern() -> impl Strategy<Value = Pattern> {
    let text = "(|\\.|\\*\\.)(\\*|a|b|ab|a\\*|\\*b|\\*a\\*)(\\.(\\*|a|b|ab|a\\*|\\*b)){0,3}";
    text.prop_map(|text| Pattern::parse(&text).unwrap())
}

fn any_name() -> impl Strategy<Value = DomainName> {
    "(a|b|ab|ba)(\\.(a|b|ab|c)){0,4}".prop_map(|text| DomainName::parse(&text).unwrap())
}

/// Addresses and prefixes in a few small corners of both families, the last one included.
fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u32..=255).prop_map(|low| IpAddr::V4((0x0a00_0000 | low).into())),
        (0u32..=15).prop_map(|low| IpAddr::V4((u32::MAX - low).into())),
        (0u128..=255).prop_map(|low| IpAddr::V6((0x2001_0db8 << 96 | low).into())),
        (0u128..=15).prop_map(|low| IpAddr::V6((u128::MAX - low).into())),
        (0u128..=255).prop_map(|low| IpAddr::V6((0xffff_0a00_0000 | low).into())),
    ]
}

fn any_net() -> impl Strategy<Value = IpNet> {
    (any_address(), 0u8..=12).prop_map(|(address, short)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        // Mostly near the end of the address; now and then nearly everything.
        let bits = if short == 12 {
            1
        } else if short == 11 {
            0
        } else {
            most - short
        };
        IpNet::new(address, bits).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn compiled_names_equal_the_naive_ones(
        entries in prop::collection::vec(any_pattern(), 0..12),
        asked in prop::collection::vec(any_name(), 8),
    ) {
        let entries = numbered(entries);
        let matcher = NameMatcher::new(entries.clone());
        for name in asked {
            let best = sorted(matcher.best(&name).collect());
            prop_assert_eq!(best, sorted(naive::best_names(&entries, &name)), "best of {}", name);
            let mut all = Vec::new();
            matcher.all(&name, &mut |value| all.push(value));
            prop_assert_eq!(sorted(all), sorted(naive::all_names(&entries, &name)), "all of {}", name);
        }
    }

    #[test]
    fn compiled_addresses_equal_the_naive_ones(
        entries in prop::collection::vec(any_net(), 0..12),
        asked in prop::collection::vec(any_address(), 8),
    ) {
        let entries = numbered(entries);
        let matcher = AddressMatcher::new(entries.clone());
        for address in asked {
            prop_assert_eq!(matcher.best(address), naive::best_addresses(&entries, address));
            let mut all = Vec::new();
            matcher.all(address, &mut |value| all.push(value));
            prop_assert_eq!(sorted(all), sorted(naive::all_addresses(&entries, address)));
        }
    }
}

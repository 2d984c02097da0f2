use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

#[test]
fn one_spelling_a_name() {
    for (given, expected) in [
        ("Outlook.Office.COM", "outlook.office.com"),
        ("outlook.office.com.", "outlook.office.com"),
        ("outlook.office.com...", "outlook.office.com"),
        ("localhost", "localhost"),
        ("_dmarc.example.org", "_dmarc.example.org"),
        (
            "r3---sn-25ge7nsk.example.org",
            "r3---sn-25ge7nsk.example.org",
        ),
        ("XN--Caf-dma.example", "xn--caf-dma.example"),
        ("3com.example", "3com.example"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("0x.example", "0x.example"),
        ("0xcafe.0xg", "0xcafe.0xg"),
    ] {
        assert_eq!(name(given).as_str(), expected, "{given}");
        assert_eq!(
            Host::parse(given),
            Ok(Host::Name(name(expected))),
            "{given}"
        );
    }
    assert_eq!(
        name("a.b.c").labels().rev().collect::<Vec<_>>(),
        ["c", "b", "a"]
    );
}

#[test]
fn what_is_no_name_is_refused_with_its_own_reason() {
    use NameError as E;
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(63).as_str(); 4].join(".");
    for (given, expected) in [
        ("", E::Empty),
        (".", E::Empty),
        ("...", E::Empty),
        (".example.org", E::EmptyLabel),
        ("a..b", E::EmptyLabel),
        ("-a.org", E::Hyphen),
        ("a-.org", E::Hyphen),
        (long_label.as_str(), E::LabelTooLong),
        (long_name.as_str(), E::TooLong),
        ("a\0.org", E::Character),
        ("a%2eorg", E::Character),
        ("a b.org", E::Character),
        (" a.org", E::Character),
        ("a.org\r\n", E::Character),
        ("a/b.org", E::Character),
        ("*.org", E::Character),
        ("a\\b.org", E::Character),
        ("café.example", E::NotAscii),
        ("a。org", E::NotAscii),
        ("192.0.2.1", E::Address),
        ("127.1", E::NumberLike),
        ("example.0x", E::NumberLike),
    ] {
        assert_eq!(DomainName::parse(given), Err(expected), "{given:?}");
    }
    assert!(DomainName::parse(&long_name[..253]).is_ok());
}

#[test]
fn unicode_names_of_a_policy_become_a_labels() {
    for (given, expected) in [
        ("café.example", Ok("xn--caf-dma.example")),
        ("CAFÉ.example.", Ok("xn--caf-dma.example")),
        ("xn--caf-dma.example", Ok("xn--caf-dma.example")),
        ("straße.example", Ok("xn--strae-oqa.example")),
        ("ｅｘａｍｐｌｅ。org", Ok("example.org")),
        ("service_é.example", Ok("xn--service_-i1a.example")),
        ("é\u{202e}.example", Err(NameError::Idna)),
        ("é％.example", Err(NameError::Character)),
        ("é..example", Err(NameError::EmptyLabel)),
        ("１２７.１", Err(NameError::NumberLike)),
    ] {
        let found = DomainName::from_unicode(given);
        assert_eq!(
            found.as_ref().map(DomainName::as_str).map_err(|e| *e),
            expected,
            "{given}"
        );
    }
    // Look-alikes stay different names: a Cyrillic `о` is not a Latin one.
    assert_ne!(
        DomainName::from_unicode("оutlook.com"),
        DomainName::from_unicode("outlook.com")
    );
}

#[test]
fn addresses_have_one_spelling_too() {
    use NameError as E;
    let v4 = |text: &str| Ok(Host::Address(text.parse::<IpAddr>().unwrap()));
    for (given, expected) in [
        ("192.0.2.1", v4("192.0.2.1")),
        ("[2001:db8::1]", v4("2001:db8::1")),
        ("[2001:DB8:0:0::1]", v4("2001:db8::1")),
        ("[::ffff:192.0.2.1]", v4("192.0.2.1")),
        ("[::ffff:c000:201]", v4("192.0.2.1")),
        ("192.0.2.1.", Err(E::NumberLike)),
        ("0300.0.2.1", Err(E::NumberLike)),
        ("192.0.2.01", Err(E::NumberLike)),
        ("192.0.2", Err(E::NumberLike)),
        ("192.0.513", Err(E::NumberLike)),
        ("0xc0.0.2.1", Err(E::NumberLike)),
        ("0xC0000201", Err(E::NumberLike)),
        ("3221225985", Err(E::NumberLike)),
        ("256.0.2.1", Err(E::NumberLike)),
        ("1.2.3.4.5", Err(E::NumberLike)),
        ("2001:db8::1", Err(E::Ipv6)),
        ("[2001:db8::1", Err(E::Ipv6)),
        ("[2001:db8::1]x", Err(E::Ipv6)),
        ("[192.0.2.1]", Err(E::Ipv6)),
        ("[]", Err(E::Ipv6)),
        ("[fe80::1%eth0]", Err(E::Zone)),
        ("[fe80::1%25eth0]", Err(E::Zone)),
        ("user@example.org", Err(E::Userinfo)),
        ("user:secret@example.org", Err(E::Userinfo)),
        ("example.org:443", Err(E::Port)),
    ] {
        assert_eq!(Host::parse(given), expected, "{given}");
    }
}

#[test]
fn an_authority_is_a_host_and_perhaps_a_port() {
    use NameError as E;
    for (given, expected) in [
        ("Example.org:443", Ok("example.org:443")),
        ("example.org", Ok("example.org")),
        ("192.0.2.1:1", Ok("192.0.2.1:1")),
        ("[2001:db8::1]:65535", Ok("[2001:db8::1]:65535")),
        ("[::ffff:192.0.2.1]:80", Ok("192.0.2.1:80")),
        ("[2001:db8::1]", Ok("[2001:db8::1]")),
        ("example.org:", Err(E::Port)),
        ("example.org:0", Err(E::Port)),
        ("example.org:0443", Err(E::Port)),
        ("example.org:+443", Err(E::Port)),
        ("example.org:65536", Err(E::Port)),
        ("example.org:44 3", Err(E::Port)),
        ("example.org:443:443", Err(E::Port)),
        ("example.org:４４３", Err(E::Port)),
        (":443", Err(E::Empty)),
        ("2001:db8::1", Err(E::Ipv6)),
        ("[2001:db8::1]443", Err(E::Ipv6)),
        ("u@example.org:443", Err(E::Userinfo)),
        ("u:p@example.org:443", Err(E::Userinfo)),
        ("example.org:443@evil.example:80", Err(E::Userinfo)),
    ] {
        let found = Authority::parse(given).map(|a| a.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{given}");
    }
}

#[test]
fn an_address_in_the_sni_is_a_fault_of_its_own() {
    for given in [
        "192.0.2.1",
        "192.0.2.1.",
        "2001:db8::1",
        "[2001:db8::1]",
        "::ffff:192.0.2.1",
    ] {
        assert_eq!(
            Host::parse_sni(given.as_bytes()),
            Err(NameError::Address),
            "{given}"
        );
    }
    assert_eq!(
        Host::parse_sni(b"WWW.example.org."),
        Ok(name("www.example.org"))
    );
    assert_eq!(Host::parse_sni(b"0x7f.1"), Err(NameError::NumberLike));
    assert_eq!(Host::parse_sni(b"\xff\xfe"), Err(NameError::NotAscii));
    assert_eq!(Host::parse_sni(b"a.org\0"), Err(NameError::Character));
}

#[test]
fn a_map_keyed_by_names_is_asked_with_text() {
    let map = HashMap::from([(name("Example.org"), 1)]);
    assert_eq!(map.get("example.org"), Some(&1));
}

/// Every spelling that `inet_aton` reads as `address` (hexadecimal, octal, decimal, short),
/// the canonical one left out.
fn odd_spellings(address: Ipv4Addr) -> HashSet<String> {
    let [a, b, c, d] = address.octets().map(u32::from);
    let forms: [fn(u32) -> String; 4] = [
        |n| n.to_string(),
        |n| format!("0x{n:x}"),
        |n| format!("0X{n:X}"),
        |n| format!("0{n:o}"),
    ];
    let mut found = HashSet::new();
    for f in forms {
        for g in forms {
            found.insert(g(u32::from(address)));
            found.insert(format!("{}.{}", f(a), g(b << 16 | c << 8 | d)));
            found.insert(format!("{}.{}.{}", f(a), f(b), g(c << 8 | d)));
            found.insert(format!("{}.{}.{}.{}", f(a), f(b), f(c), g(d)));
        }
    }
    found.remove(&address.to_string());
    found
}

proptest! {
    #[test]
    fn reading_is_idempotent(text in "[a-zA-Z0-9_.-]{0,40}") {
        if let Ok(found) = DomainName::parse(&text) {
            prop_assert_eq!(DomainName::parse(found.as_str()), Ok(found.clone()));
            prop_assert_eq!(DomainName::from_unicode(&text), Ok(found.clone()));
            prop_assert_eq!(Host::parse(&text), Ok(Host::Name(found)));
        }
    }

    #[test]
    fn case_and_trailing_dots_do_not_matter(
        text in "[a-z0-9_]{1,10}(\\.[a-z0-9_-]{1,10}){0,4}",
        dots in 0usize..4,
    ) {
        let odd = text.to_uppercase() + &".".repeat(dots);
        prop_assert_eq!(DomainName::parse(&odd), DomainName::parse(&text));
    }

    #[test]
    fn whatever_is_accepted_is_canonical(text in any::<String>()) {
        for found in [DomainName::parse(&text), DomainName::from_unicode(&text)].into_iter().flatten() {
            let s = found.as_str();
            prop_assert!((1..=MAX_NAME).contains(&s.len()));
            prop_assert!(s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')));
            prop_assert!(found.labels().all(|l| (1..=MAX_LABEL).contains(&l.len())));
            prop_assert!(s.parse::<IpAddr>().is_err());
        }
        let _ = Authority::parse(&text).map(|a| Authority::parse(&a.to_string()).unwrap());
        let _ = Host::parse_sni(text.as_bytes());
    }

    /// To the byte: 63 for a label, 253 for a name, the trailing dot not counted.
    #[test]
    fn lengths_are_limited_to_the_byte(labels in prop::collection::vec(1usize..=66, 1..8), dots in 0usize..3) {
        let text = labels.iter().map(|length| "a".repeat(*length)).collect::<Vec<_>>().join(".");
        let fits = text.len() <= MAX_NAME && labels.iter().all(|length| *length <= MAX_LABEL);
        let found = DomainName::parse(&(text.clone() + &".".repeat(dots)));
        prop_assert_eq!(found.is_ok(), fits, "{} bytes, labels {:?}", text.len(), labels);
        prop_assert_eq!(Host::parse_sni(text.as_bytes()).is_ok(), fits);
        prop_assert_eq!(DomainName::from_unicode(&text).is_ok(), fits);
    }

    /// Composed or not, either case, any of the dots of UTS #46: one name, and its A-label is it too.
    #[test]
    fn unicode_forms_meet_in_one_name(letters in prop::collection::vec(0usize..6, 1..8), dot in 0usize..4) {
        const FORMS: [[&str; 3]; 6] = [
            ["é", "É", "e\u{301}"], ["ü", "Ü", "u\u{308}"], ["ж", "Ж", "ж"], ["中", "中", "中"],
            ["a", "A", "ａ"], ["7", "7", "７"],
        ];
        let dot = [".", "。", "．", "｡"][dot];
        let spelled = |form: usize| {
            let label: String = letters.iter().map(|letter| FORMS[*letter][form]).collect();
            DomainName::from_unicode(&format!("x{label}{dot}example{dot}"))
        };
        let first = spelled(0).unwrap();
        prop_assert_eq!(spelled(1), Ok(first.clone()));
        prop_assert_eq!(spelled(2), Ok(first.clone()));
        prop_assert_eq!(DomainName::parse(&first.as_str().to_uppercase()), Ok(first));
    }

    /// Letters that look alike in two scripts are two names, whichever stands where.
    #[test]
    fn look_alike_letters_make_other_names(at in 0usize..7) {
        const ALIKE: [(char, char); 4] = [('o', 'о'), ('a', 'а'), ('e', 'е'), ('c', 'с')];
        let name: String = "outlook.ace".chars().collect();
        let other: String = name.chars().enumerate().map(|(index, letter)| {
            let twin = ALIKE.iter().find(|(latin, _)| *latin == letter).map(|(_, twin)| *twin);
            twin.filter(|_| index % 7 == at).unwrap_or(letter)
        }).collect();
        prop_assume!(other != name);
        prop_assert_ne!(DomainName::from_unicode(&other).ok(), DomainName::from_unicode(&name).ok());
        prop_assert_eq!(DomainName::parse(&other), Err(NameError::NotAscii));
    }

    #[test]
    fn odd_spellings_of_an_address_are_refused(bits in any::<u32>()) {
        let address = Ipv4Addr::from(bits);
        for text in odd_spellings(address) {
            prop_assert!(Host::parse(&text).is_err(), "{} for {}", text, address);
            prop_assert!(Authority::parse(&(text.clone() + ":443")).is_err());
            prop_assert!(Host::parse_sni(text.as_bytes()).is_err());
        }
        prop_assert_eq!(Host::parse(&address.to_string()), Ok(Host::Address(address.into())));
        prop_assert_eq!(
            Host::parse(&format!("[{}]", address.to_ipv6_mapped())),
            Ok(Host::Address(address.into()))
        );
    }

    #[test]
    fn hosts_print_what_they_read(bits in any::<u128>()) {
        let host = Host::from(IpAddr::V6(bits.into()));
        prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
    }
}

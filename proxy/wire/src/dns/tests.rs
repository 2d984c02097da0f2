use hickory_proto::op::Message;
use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use proptest::prelude::*;

use super::*;

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// `owner -> alias`, or `owner = address`, with a TTL.
fn record(text: &str, ttl: u32) -> Record {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap();
    let owner = Name::from_ascii(next()).unwrap();
    let data = match (next(), next()) {
        ("->", alias) => RData::CNAME(CNAME(Name::from_ascii(alias).unwrap())),
        (_, address) => match address.parse().unwrap() {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        },
    };
    Record::from_rdata(owner, ttl, data)
}

fn ask(records: &[&str]) -> Result<Answer, AnswerError> {
    let records: Vec<Record> = records
        .iter()
        .zip(60..)
        .map(|(r, ttl)| record(r, ttl))
        .collect();
    answer(&name("a.example"), &records)
}

fn answered(chain: &[&str], addresses: &[&str], ttl: Option<u32>) -> Result<Answer, AnswerError> {
    Ok(Answer {
        chain: chain.iter().map(|n| name(n)).collect(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        ttl,
    })
}

#[test]
fn the_chain_is_followed_and_nothing_else() {
    for (given, expected) in [
        (&[][..], answered(&[], &[], None)),
        (
            &["A.Example. = 192.0.2.1", "a.example = 2001:db8::1"],
            answered(&[], &["192.0.2.1", "2001:db8::1"], Some(60)),
        ),
        (
            &[
                "a.example -> B.Example.",
                "b.example -> c.example",
                "c.example = 192.0.2.1",
            ],
            answered(&["b.example", "c.example"], &["192.0.2.1"], Some(60)),
        ),
        (
            &[
                "c.example = 192.0.2.1",
                "b.example -> c.example",
                "a.example -> b.example",
            ],
            answered(&["b.example", "c.example"], &["192.0.2.1"], Some(60)),
        ),
        (
            &["a.example -> b.example"],
            answered(&["b.example"], &[], Some(60)),
        ),
        (
            &["a.example -> b.example", "a.example -> b.example"],
            answered(&["b.example"], &[], Some(60)),
        ),
        (
            &[
                "evil.example = 192.0.2.6",
                "a.example = 192.0.2.1",
                "x.example -> a.example",
            ],
            answered(&[], &["192.0.2.1"], Some(61)),
        ),
        (
            &["a.example = 192.0.2.1", "a.example = 192.0.2.1"],
            answered(&[], &["192.0.2.1"], Some(60)),
        ),
        (
            &["a.example = ::ffff:10.0.0.1"],
            answered(&[], &["10.0.0.1"], Some(60)),
        ),
        (&["b\\.x.example = 192.0.2.1"], answered(&[], &[], None)),
    ] {
        assert_eq!(ask(given), expected, "{given:?}");
    }
}

#[test]
fn what_cannot_be_followed_is_an_error() {
    use AnswerError as E;
    for (given, expected) in [
        (&["a.example -> a.example"][..], E::Loop),
        (
            &["a.example -> b.example", "b.example -> a.example"],
            E::Loop,
        ),
        (
            &[
                "a.example -> b.example",
                "b.example -> c.example",
                "c.example -> b.example",
            ],
            E::Loop,
        ),
        (
            &["a.example -> b.example", "a.example -> c.example"],
            E::TwoAliases,
        ),
        (
            &["a.example -> b.example", "a.example = 192.0.2.1"],
            E::AliasAndAddress,
        ),
        (
            &["a.example = 192.0.2.1", "a.example -> b.example"],
            E::AliasAndAddress,
        ),
        (&["a.example -> ."], E::HopName(NameError::Empty)),
        (
            &["a.example -> b\\.c.example"],
            E::HopName(NameError::Character),
        ),
        (&["a.example -> 192.0.2.1"], E::HopName(NameError::Address)),
    ] {
        assert_eq!(ask(given), Err(expected), "{given:?}");
    }
}

#[test]
fn long_chains_and_many_addresses_are_limited() {
    let chain = |hops: usize| {
        let mut records = vec![record("a.example -> h1.example", 9)];
        records
            .extend((1..hops).map(|n| record(&format!("h{n}.example -> h{}.example", n + 1), 9)));
        answer(&name("a.example"), &records)
    };
    assert_eq!(chain(MAX_HOPS).unwrap().chain.len(), MAX_HOPS);
    assert_eq!(chain(MAX_HOPS + 1), Err(AnswerError::TooManyHops));
    let many = |count: usize, first: &str| {
        let records: Vec<_> = (0..count)
            .map(|n| record(&format!("a.example = {first}{n:x}"), 9))
            .collect();
        answer(&name("a.example"), &records)
    };
    let full = many(MAX_ADDRESSES, "2001:db8::").unwrap();
    assert_eq!(
        many(MAX_ADDRESSES + 1, "2001:db8::"),
        Err(AnswerError::TooManyAddresses)
    );
    assert_eq!(full.clone().merge(full.clone()), Ok(full.clone()));
    let more = many(1, "2001:db8:1::").unwrap();
    assert_eq!(full.merge(more), Err(AnswerError::TooManyAddresses));
}

#[test]
fn halves_are_joined() {
    let v6 = ask(&["a.example -> b.example", "b.example = 2001:db8::1"]).unwrap();
    let v4 = ask(&["a.example -> c.example", "c.example = 192.0.2.1"]).unwrap();
    let joined = answered(
        &["b.example", "c.example"],
        &["2001:db8::1", "192.0.2.1"],
        Some(60),
    );
    assert_eq!(v6.clone().merge(v4), joined);
    // A half without any record says nothing about how long the other holds.
    assert_eq!(v6.clone().merge(Answer::default()), Ok(v6.clone()));
    assert_eq!(Answer::default().merge(v6.clone()), Ok(v6));
}

#[test]
fn other_classes_and_types_and_absurd_ttls() {
    let mut chaos = record("a.example = 192.0.2.1", 9);
    chaos.dns_class = DNSClass::CH;
    let text = Record::from_rdata(
        Name::from_ascii("a.example").unwrap(),
        1,
        RData::TXT(TXT::new(vec![])),
    );
    let old = record("a.example = 192.0.2.2", u32::MAX);
    let found = answer(&name("a.example"), &[chaos, text, old]);
    assert_eq!(found, answered(&[], &["192.0.2.2"], Some(0)));
}

#[test]
fn bytes_that_no_host_name_has_do_not_pass_for_dots_or_nothing() {
    for label in [&b"b c"[..], b"b\0", b"b.c", b"b\\", b"\xe9", b"b%2e"] {
        let alias = Name::from_labels([label, b"example"]).unwrap();
        let asked = Name::from_ascii("a.example").unwrap();
        let record = Record::from_rdata(asked, 9, RData::CNAME(CNAME(alias)));
        let found = answer(&name("a.example"), &[record]);
        assert_eq!(
            found,
            Err(AnswerError::HopName(NameError::Character)),
            "{}",
            label.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn any_message_is_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::from_vec(&bytes) {
            let _ = answer(&name("a.example"), &message.answers);
        }
    }

    #[test]
    fn any_tangle_of_names_ends(
        links in prop::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..12),
    ) {
        let records: Vec<Record> = links
            .iter()
            .map(|(from, to, alias)| match alias {
                true => record(&format!("{}.example -> {}.example", (b'a' + from) as char, (b'a' + to) as char), 9),
                false => record(&format!("{}.example = 192.0.2.{to}", (b'a' + from) as char), 9),
            })
            .collect();
        if let Ok(found) = answer(&name("a.example"), &records) {
            prop_assert!(found.chain.len() <= MAX_HOPS && found.addresses.len() <= MAX_ADDRESSES);
            prop_assert!(!found.chain.contains(&name("a.example")));
            prop_assert_eq!(found.ttl.is_none(), found.chain.is_empty() && found.addresses.is_empty());
        }
    }
}

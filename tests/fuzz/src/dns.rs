//! DNS answers: the chain and the addresses that a naive walk finds, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use octroi_policy::DomainName;
use octroi_wire::dns::{Answer, MAX_ADDRESSES, MAX_HOPS, answer};

/// The first byte chooses: a message as it comes from the wire, or records of a zone with few names.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let asked_and_records = if choice.is_multiple_of(2) {
        from_message(rest)
    } else {
        from_zone(&mut Unstructured::new(rest)).ok()
    };
    if let Some((asked, records)) = asked_and_records {
        holds(&asked, records);
    }
}

fn from_message(bytes: &[u8]) -> Option<(DomainName, Vec<Record>)> {
    let message = Message::from_vec(bytes).ok()?;
    let asked = message.queries.first()?.name().to_ascii();
    Some((DomainName::parse(&asked).ok()?, message.answers))
}

const NAMES: [&str; 12] = [
    "a.example.",
    "A.Example.",
    "b.example.",
    "c.example.",
    "d.example.",
    "e.example.",
    "xn--caf-dma.example.",
    "_x.example.",
    "b.example.org.",
    "7.",
    "-a.example.",
    "a\\.b.example.",
];

fn any_name(u: &mut Unstructured<'_>) -> Result<Name> {
    let text = if u.ratio(1, 3)? {
        // Long chains need many names.
        format!("n{}.example.", u.int_in_range(0..=30)?)
    } else {
        (*u.choose(&NAMES)?).to_owned()
    };
    Ok(Name::from_ascii(text).unwrap_or_else(|_| Name::root()))
}

fn from_zone(u: &mut Unstructured<'_>) -> Result<(DomainName, Vec<Record>)> {
    let mut records = Vec::new();
    while !u.is_empty() && records.len() < 200 {
        let owner = any_name(u)?;
        let data = match u.int_in_range(0..=6)? {
            0..=2 => RData::CNAME(CNAME(any_name(u)?)),
            3 => RData::A(A(u32::from(u.arbitrary::<u16>()?).into())),
            4 => RData::AAAA(AAAA(u.arbitrary::<u128>()?.into())),
            5 => RData::AAAA(AAAA(
                (0xffff_0000_0000 | u128::from(u.arbitrary::<u8>()?)).into(),
            )),
            _ => RData::TXT(TXT::new(vec!["x".to_owned()])),
        };
        let mut record = Record::from_rdata(owner, u.arbitrary()?, data);
        if u.ratio(1, 10)? {
            record.dns_class = DNSClass::CH;
        }
        records.push(record);
    }
    Ok((
        DomainName::parse("a.example").unwrap_or_else(|e| panic!("{e}")),
        records,
    ))
}

fn holds(asked: &DomainName, mut records: Vec<Record>) {
    let found = answer(asked, &records);
    let expected = walk(asked, &records);
    assert_eq!(
        found.as_ref().ok().map(|a| (&a.chain, set(a))),
        expected.as_ref().map(|(c, a)| (c, a.clone()))
    );
    if let Err(error) = &found {
        assert!(!error.reason().is_empty() && !error.to_string().is_empty());
    }
    records.reverse();
    let reversed = answer(asked, &records);
    assert_eq!(
        found.is_ok(),
        reversed.is_ok(),
        "the order of the records matters"
    );
    let (Ok(found), Ok(reversed)) = (found, reversed) else {
        return;
    };
    assert_eq!(
        (&found.chain, found.ttl, set(&found)),
        (&reversed.chain, reversed.ttl, set(&reversed))
    );
    assert!(found.chain.len() <= MAX_HOPS && found.addresses.len() <= MAX_ADDRESSES);
    assert!(!found.chain.contains(asked));
    assert_eq!(found.addresses.len(), set(&found).len(), "an address twice");
    assert!(found.addresses.iter().all(|a| *a == a.to_canonical()));
    // Joined with itself it is itself.
    assert_eq!(
        found
            .clone()
            .merge(reversed)
            .map(|a| (a.chain.clone(), a.addresses.len())),
        Ok((found.chain.clone(), found.addresses.len()))
    );
}

fn set(answer: &Answer) -> BTreeSet<IpAddr> {
    answer.addresses.iter().copied().collect()
}

/// One name of the zone: where it leads, and what stands there.
#[derive(Default)]
struct Node {
    /// `None` for an alias to what is no host name.
    aliases: BTreeSet<Option<DomainName>>,
    addresses: BTreeSet<IpAddr>,
}

fn walk(asked: &DomainName, records: &[Record]) -> Option<(Vec<DomainName>, BTreeSet<IpAddr>)> {
    let mut zone: BTreeMap<String, Node> = BTreeMap::new();
    for record in records.iter().filter(|r| r.dns_class == DNSClass::IN) {
        let owner = record.name.to_ascii().to_ascii_lowercase();
        let node = zone
            .entry(owner.trim_end_matches('.').to_owned())
            .or_default();
        match &record.data {
            RData::A(a) => drop(node.addresses.insert(a.0.into())),
            RData::AAAA(a) => drop(node.addresses.insert(IpAddr::V6(a.0).to_canonical())),
            RData::CNAME(c) => drop(node.aliases.insert(DomainName::parse(&c.0.to_ascii()).ok())),
            _ => {}
        }
    }
    let mut chain: Vec<DomainName> = Vec::new();
    loop {
        let at = chain.last().unwrap_or(asked);
        let Some(node) = zone.get(at.as_str()) else {
            return Some((chain, BTreeSet::new()));
        };
        let mut aliases = node.aliases.iter();
        match (aliases.next(), aliases.next()) {
            (None, _) if node.addresses.len() > MAX_ADDRESSES => return None,
            (None, _) => return Some((chain, node.addresses.clone())),
            (Some(Some(alias)), None) if node.addresses.is_empty() => {
                if alias == asked || chain.contains(alias) || chain.len() == MAX_HOPS {
                    return None;
                }
                chain.push(alias.clone());
            }
            _ => return None,
        }
    }
}

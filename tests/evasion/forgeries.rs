//! Answers of a name service that are not to be believed, and answers that change.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record as Resource, RecordType};

use super::case::{Leak, Table};
use super::resolver::{reached, unresolved};
use crate::harness::dns::Transport;

pub(super) fn cases(table: &mut Table) {
    forgeries(table);
    changes(table);
}

/// Makes of an honest reply something that leads to an address.
type Forge = fn(Message, Transport, Ipv4Addr) -> Option<Vec<u8>>;

/// Answers that are not to be believed; behind each stands an address that must not be dialled.
fn forgeries(table: &mut Table) {
    let mut forged = |what: &str, status, reason, forge: Forge| {
        table.add(format!("an answer {what}"), |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.bad_ip);
            let case = case.forged(&www, move |reply, over| forge(reply, over, ip));
            let case = unresolved(case, status, reason);
            // What the trusted server itself says leads nowhere that it could not lead to in good order.
            if reason == "dns-timeout" {
                case
            } else {
                case.ours_alone()
            }
        });
    };
    forged(
        "with another identifier",
        504,
        "dns-timeout",
        |mut reply, over, ip| {
            only_udp(over)?;
            reply.metadata.id = reply.metadata.id.wrapping_add(1);
            with(reply, |name| vec![address(name, ip)])
        },
    );
    forged(
        "to another question",
        504,
        "dns-timeout",
        |mut reply, over, ip| {
            only_udp(over)?;
            let asked = reply.queries.remove(0);
            let other = Name::from_ascii("other.example.").unwrap();
            reply.add_query(Query::query(other.clone(), asked.query_type()));
            reply.add_answer(address(&other, ip));
            reply.to_vec().ok()
        },
    );
    forged("about another name", 502, "dns-no-data", |reply, _, ip| {
        with(reply, |_| {
            vec![address(&Name::from_ascii("other.example.").unwrap(), ip)]
        })
    });
    forged(
        "about the name above",
        502,
        "dns-no-data",
        |reply, _, ip| with(reply, |name| vec![address(&name.base_name(), ip)]),
    );
    forged("of another class", 502, "dns-malformed", |reply, _, ip| {
        with(reply, |name| {
            let mut record = address(name, ip);
            record.dns_class = DNSClass::CH;
            vec![record]
        })
    });
    forged(
        "in the additional section only",
        502,
        "dns-no-data",
        |mut reply, _, ip| {
            let name = reply.queries[0].name().clone();
            reply.answers.clear();
            reply.add_additional(address(&name, ip));
            reply.to_vec().ok()
        },
    );
    forged(
        "with two aliases",
        502,
        "dns-contradiction",
        |reply, _, ip| {
            aliased(
                reply,
                "a.example",
                |name| Some(alias(name, "b.example")),
                ip,
            )
        },
    );
    forged(
        "with an alias and an address",
        502,
        "dns-contradiction",
        |reply, _, ip| aliased(reply, "a.example", |name| Some(address(name, ip)), ip),
    );
    forged(
        "with an alias that is no host name",
        502,
        "dns-contradiction",
        |reply, _, ip| aliased(reply, "a b.example", |_| None, ip),
    );
    forged(
        "with more addresses than anybody has",
        502,
        "dns-too-many-addresses",
        |mut reply, over, _| {
            reply.metadata.truncation = over == Transport::Udp;
            let count = if over == Transport::Udp { 1 } else { 129 };
            with(reply, |name| {
                (0..count)
                    .map(|last| address(name, Ipv4Addr::new(47, 1, 0, last)))
                    .collect()
            })
        },
    );
    forged(
        "that is cut in the middle",
        504,
        "dns-timeout",
        |reply, over, ip| {
            only_udp(over)?;
            let mut bytes = with(reply, |name| vec![address(name, ip)])?;
            bytes.truncate(bytes.len() - 3);
            Some(bytes)
        },
    );
    table.add("an address for another name beside the good one", |case| {
        let (www, ip, bad) = (case.cast.name("www"), case.cast.ok_ip, case.cast.private_ip);
        let case = case.forged(&www, move |reply, _| {
            with(reply, |name| {
                vec![address(name, ip), address(&ascii("other.example"), bad)]
            })
        });
        reached(case, ip, |flow| flow).leaks(Leak::At(bad.into()))
    });
}

/// A name that leads elsewhere each time it is asked for.
fn changes(table: &mut Table) {
    table.add("an answer that leads inwards the second time", |case| {
        let (www, ip, inner) = (case.cast.name("www"), case.cast.ok_ip, case.cast.private_ip);
        let times = AtomicUsize::new(0);
        let case = case.forged(&www, move |reply, _| {
            let is_first = times.fetch_add(usize::from(is_a(&reply)), Ordering::Relaxed) == 0;
            with(reply, |name| {
                vec![address(name, if is_first { ip } else { inner })]
            })
        });
        reached(case, ip, |flow| flow).leaks(Leak::At(inner.into()))
    });
}

/// The honest reply with these answers instead, for A; for AAAA with none.
fn with(mut reply: Message, answers: impl FnOnce(&Name) -> Vec<Resource>) -> Option<Vec<u8>> {
    let name = reply.queries[0].name().clone();
    reply.answers.clear();
    if is_a(&reply) {
        reply.add_answers(answers(&name));
    }
    reply.to_vec().ok()
}

/// The honest reply with an alias and its address instead, and something beside the alias.
fn aliased(
    reply: Message,
    to: &str,
    beside: impl FnOnce(&Name) -> Option<Resource>,
    ip: Ipv4Addr,
) -> Option<Vec<u8>> {
    with(reply, |name| {
        let records = [
            Some(alias(name, to)),
            beside(name),
            Some(address(&ascii(to), ip)),
        ];
        records.into_iter().flatten().collect()
    })
}

/// Over TCP the server keeps silent: nobody else can answer there.
fn only_udp(over: Transport) -> Option<()> {
    (over == Transport::Udp).then_some(())
}

fn is_a(reply: &Message) -> bool {
    reply.queries[0].query_type() == RecordType::A
}

/// A chain through these names, and an address at its end, all in one answer.
pub(super) fn chained(
    names: Vec<String>,
    ip: Ipv4Addr,
) -> impl Fn(Message, Transport) -> Option<Vec<u8>> {
    move |reply, _| {
        with(reply, |asked| {
            let mut answers = Vec::new();
            let mut at = asked.clone();
            for name in &names {
                answers.push(alias(&at, name));
                at = ascii(name);
            }
            answers.push(address(&at, ip));
            answers
        })
    }
}

pub(super) fn address(name: &Name, ip: Ipv4Addr) -> Resource {
    Resource::from_rdata(name.clone(), 0, RData::A(A(ip)))
}

pub(super) fn alias(name: &Name, to: &str) -> Resource {
    Resource::from_rdata(name.clone(), 0, RData::CNAME(CNAME(ascii(to))))
}

/// A name with any bytes in its labels.
fn ascii(text: &str) -> Name {
    let mut name = Name::from_labels(text.split('.').map(str::as_bytes)).unwrap();
    name.set_fqdn(true);
    name
}

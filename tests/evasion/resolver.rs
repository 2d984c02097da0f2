//! What a name service may answer: chains, addresses, and answers that are none.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::rr::RecordType;

use super::case::{Case, Leak, Record, Table};
use super::flow::{Flow, allowed, denied, denied_drop};
use super::forgeries::{address, alias, chained};
use super::octroi::GATE;
use crate::harness::dns::{Fault, Transport};
use crate::harness::hello::Hello;

/// Where names are that the case has no address for.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(47, 2, 0, 1);

pub(super) fn cases(table: &mut Table) {
    chains(table);
    addresses(table);
    forbidden(table);
    failures(table);
    controls(table);
}

/// CONNECT to a name of the case's own, which is refused once it is resolved.
fn refused(case: Case, flow: impl FnOnce(&str) -> Flow) -> Case {
    let host = case.cast.name("www");
    let flow = flow(&host);
    case.connects(&format!("{host}:443"))
        .answered(403)
        .flow(flow)
}

/// CONNECT to a name of the case's own, which is permitted and cannot be reached.
pub(super) fn unresolved(case: Case, status: u16, reason: &'static str) -> Case {
    let host = case.cast.name("www");
    let case = case.connects(&format!("{host}:443")).answered(status);
    case.flow(allowed(&host).undecided().failed(reason))
}

/// CONNECT to a name of the case's own, which is permitted and reached at `to`.
pub(super) fn reached(case: Case, to: Ipv4Addr, flow: impl FnOnce(Flow) -> Flow) -> Case {
    let host = case.cast.name("www");
    let hello = Hello::named(&host).bytes();
    let case = case.enters(&host).echoes(to, 443, &hello);
    case.flow(flow(allowed(&host).sni("match")))
}

fn cloaked(host: &str) -> Flow {
    denied_drop(host).outcome("cloaked")
}

fn chains(table: &mut Table) {
    table.add("an alias of a denied name", |case| {
        let (www, bad) = (case.cast.name("www"), case.cast.bad.clone());
        refused(case.alias(&www, &bad), cloaked)
    });
    table.add("an alias of a denied name, in capitals", |case| {
        let (www, bad) = (case.cast.name("www"), case.cast.bad.clone());
        let case = case.forged(&www, chained(vec![bad.to_uppercase()], ELSEWHERE));
        refused(case, cloaked)
    });
    table.add("a denied name at the end of a long chain", |case| {
        let bad = case.cast.bad.clone();
        refused(chain(case, 14, &bad), cloaked)
    });
    table.add(
        "a denied name in the middle, and a good one behind",
        |case| {
            let (www, mid, bad, ok) = (
                case.cast.name("www"),
                case.cast.name("mid"),
                case.cast.bad.clone(),
                case.cast.ok.clone(),
            );
            let below = format!("cdn.{bad}");
            let case = case
                .alias(&www, &mid)
                .alias(&mid, &below)
                .alias(&below, &ok);
            refused(case, cloaked).leaks(Leak::AnyByte)
        },
    );
    table.add("a denied name in the answer for AAAA only", |case| {
        let (www, ip, bad) = (
            case.cast.name("www"),
            case.cast.ok_ip,
            case.cast.bad.clone(),
        );
        let case = case.forged(&www, move |mut reply, _| {
            let asked = reply.queries[0].clone();
            reply.answers.clear();
            match asked.query_type() {
                RecordType::AAAA => reply.add_answer(alias(asked.name(), &bad)),
                _ => reply.add_answer(address(asked.name(), ip)),
            };
            reply.to_vec().ok()
        });
        refused(case, cloaked).leaks(Leak::AnyByte)
    });
    table.add("an indicator in the chain", |case| {
        let www = case.cast.name("www");
        let case = case
            .alias(&www, "c2.malware.example")
            .at("c2.malware.example", &[ELSEWHERE]);
        refused(case, |host| {
            denied(host, "block").rule("indicators").outcome("unknown")
        })
    });
    table.add("a chain of seventeen", |case| {
        let ok = case.cast.ok.clone();
        unresolved(chain(case, 16, &ok), 502, "dns-too-many-hops").ours_alone()
    });
    table.add("a chain that ends in itself", |case| {
        let (www, mid) = (case.cast.name("www"), case.cast.name("mid"));
        unresolved(
            case.alias(&www, &mid).alias(&mid, &www),
            502,
            "dns-alias-loop",
        )
    });
    table.add("an alias of itself", |case| {
        let www = case.cast.name("www");
        unresolved(case.alias(&www, &www), 502, "dns-alias-loop")
    });
    table.add("a chain that turns in circles behind the name", |case| {
        let (www, a, b) = (
            case.cast.name("www"),
            case.cast.name("a"),
            case.cast.name("b"),
        );
        unresolved(
            case.alias(&www, &a).alias(&a, &b).alias(&b, &a),
            502,
            "dns-alias-loop",
        )
    });
    table.add("a denied name by itself is never looked up", |case| {
        let bad = case.cast.bad.clone();
        case.connects(&format!("{bad}:443"))
            .answered(403)
            .flow(denied_drop(&bad))
            .never_asks(&bad)
    });
    table.add("a denied server name is never looked up", |case| {
        let (ok, ip, bad) = (case.cast.ok.clone(), case.cast.ok_ip, case.cast.bad.clone());
        let case = case
            .enters(&ok)
            .sends(Hello::named(&bad).bytes())
            .hears_alert();
        case.flow(denied_drop(&ok).outcome("fronted").sni("mismatch"))
            .reaches(ip, 443, b"")
            .never_asks(&bad)
    });
}

/// An alias through so many names more, to the last.
fn chain(case: Case, hops: usize, last: &str) -> Case {
    let hop = |number: usize, case: &Case| match number {
        0 => case.cast.name("www"),
        number => case.cast.name(&format!("hop{number}")),
    };
    (0..=hops).fold(case, |case, number| {
        let (from, next) = (hop(number, &case), hop(number + 1, &case));
        case.alias(&from, if number == hops { last } else { &next })
    })
}

/// Addresses in a denied range, however they come.
fn addresses(table: &mut Table) {
    let carried: [(&str, &[&str]); 7] = [
        ("plainly", &["66.220.3.1"]),
        (
            "as the last of four",
            &["46.0.9.1", "46.0.9.2", "46.0.9.3", "66.220.3.1"],
        ),
        ("as IPv6 beside a good IPv4", &["46.0.9.1", "2a03:2880::3"]),
        ("mapped", &["::ffff:66.220.3.1"]),
        (
            "mapped, beside a good one",
            &["46.0.9.1", "::ffff:66.220.3.1"],
        ),
        ("in NAT64", &["64:ff9b::66.220.3.1"]),
        ("in 6to4", &["2002:42dc:301::1"]),
    ];
    for (how, texts) in carried {
        table.add(format!("an address in a denied range, {how}"), |case| {
            let www = case.cast.name("www");
            let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            refused(case.at(&www, &addresses), cloaked)
        });
    }
    table.add(
        "an address in a denied range, compatible, beside a good one",
        |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case.at::<IpAddr>(&www, &[ip.into(), "::66.220.3.1".parse().unwrap()]);
            refused(case, |host| Flow {
                reason: "forbidden-address",
                what: "reserved",
                ..cloaked(host)
            })
        },
    );
    table.add("an address of the indicators among good ones", |case| {
        let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
        let case = case.at(&www, &[ip, Ipv4Addr::new(185, 220, 101, 7)]);
        refused(case, |host| {
            denied(host, "block").rule("indicators").outcome("unknown")
        })
    });
    table.add(
        "an address in a range that a truncated answer hides",
        |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case
                .at(&www, &[ip, Ipv4Addr::new(66, 220, 3, 1)])
                .has(&www, Record::Wrong(Fault::Truncated));
            refused(case, cloaked)
        },
    );
    table.add(
        "the tail of a truncated answer, which holds a good address",
        |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case.forged(&www, move |mut reply, over| {
                let asked = reply.queries[0].clone();
                reply.answers.clear();
                if asked.query_type() == RecordType::A {
                    reply.add_answer(address(asked.name(), ip));
                    reply.metadata.truncation = over == Transport::Udp;
                    if over == Transport::Tcp {
                        reply.add_answer(address(asked.name(), Ipv4Addr::new(66, 220, 3, 1)));
                    }
                }
                reply.to_vec().ok()
            });
            refused(case, cloaked)
        },
    );
}

/// A name of the internet that leads inwards.
fn forbidden(table: &mut Table) {
    let inwards: [(&str, &str, &'static str); 14] = [
        ("a private network", "10.7.7.7", "private"),
        ("another private network", "192.168.7.7", "private"),
        ("loopback", "127.0.0.1", "loopback"),
        ("the metadata service", "169.254.169.254", "metadata"),
        ("link-local", "169.254.7.7", "link-local"),
        ("a carrier's network", "100.64.7.7", "shared"),
        ("nowhere", "0.0.0.0", "unspecified"),
        ("everybody", "255.255.255.255", "broadcast"),
        ("IPv6 loopback", "::1", "loopback"),
        ("unique local", "fd00::7", "private"),
        ("mapped loopback", "::ffff:127.0.0.1", "loopback"),
        ("mapped metadata", "::ffff:169.254.169.254", "metadata"),
        ("NAT64 of a private network", "64:ff9b::10.7.7.7", "private"),
        ("6to4 of loopback", "2002:7f00:1::1", "loopback"),
    ];
    for (what, text, class) in inwards {
        table.add(format!("a name that leads to {what}"), |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case.at(&www, &[text.parse::<IpAddr>().unwrap(), ip.into()]);
            refused(case, |host| {
                denied(host, "forbidden-address")
                    .because(class)
                    .outcome("unknown")
            })
        });
    }
    for (what, port) in [("the gate", 3128), ("the gate's admin listener", 9128)] {
        table.add(format!("a name that leads to {what} itself"), |case| {
            let www = case.cast.name("www");
            let case = case
                .at(&www, &[GATE.ip()])
                .connects(&format!("{www}:{port}"));
            let flow = denied(&www, "forbidden-address")
                .because("gate")
                .outcome("unknown");
            case.answered(403).flow(flow.sni("not_expected"))
        });
    }
    for text in ["localhost", "www.localhost", "LOCALHOST."] {
        table.add(format!("a name of this machine: {text}"), |case| {
            let host = text.trim_end_matches('.').to_lowercase();
            let flow = denied(&host, "forbidden-address")
                .because("loopback")
                .outcome("unknown");
            case.connects(&format!("{text}:443"))
                .answered(403)
                .flow(flow)
                .never_asks(&host)
        });
    }
}

fn failures(table: &mut Table) {
    let wrong = [
        ("no such name", Fault::NxDomain, 502, "dns-nxdomain"),
        ("a server that fails", Fault::ServFail, 502, "dns-servfail"),
        ("silence", Fault::Silence, 504, "dns-timeout"),
    ];
    for (what, fault, status, reason) in wrong {
        table.add(format!("a name service with {what}"), |case| {
            let www = case.cast.name("www");
            unresolved(case.has(&www, Record::Wrong(fault)), status, reason).ours_alone()
        });
    }
    table.add("a name without an address", |case| {
        let www = case.cast.name("www");
        unresolved(case.has(&www, Record::At(Vec::new())), 502, "dns-no-data").ours_alone()
    });
    for name in ["www.invalid", "hidden.onion"] {
        table.add(
            format!("a name that nobody is asked about: {name}"),
            |case| {
                let case = case
                    .connects(&format!("{name}:443"))
                    .answered(502)
                    .never_asks(name)
                    .ours_alone();
                case.flow(allowed(name).undecided().failed("dns-nxdomain"))
            },
        );
    }
}

fn controls(table: &mut Table) {
    table.add("control: a chain of sixteen", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        reached(chain(case, 15, &ok), ip, |flow| flow).ours_alone()
    });
    table.add("control: a chain of three", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        reached(chain(case, 2, &ok), ip, |flow| flow).must_serve()
    });
    table.add(
        "control: a truncated answer, and the same over TCP",
        |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case
                .at(&www, &[ip])
                .has(&www, Record::Wrong(Fault::Truncated));
            reached(case, ip, |flow| flow).must_serve()
        },
    );
    table.add("control: a name behind a CDN", |case| {
        let (www, ip, front) = (
            case.cast.name("www"),
            case.cast.ok_ip,
            format!("{}.azurefd.net", case.cast.name("x").replace('.', "-")),
        );
        let case = case.alias(&www, &front).at(&front, &[ip]);
        reached(case, ip, |flow| flow.outcome("masked")).must_serve()
    });
}

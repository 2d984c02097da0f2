//! The same on connections that the gateway captures: nothing is announced, and the address proves nothing.

pub(super) mod requests;

use std::net::{IpAddr, Ipv4Addr};

use super::case::{Case, Record, Step, Table, Who};
use super::flow::{Flow, allowed, denied, denied_drop};
use super::hellos::{TARGET, THERE, WRAPPINGS};
use crate::harness::dns::Fault;
use crate::harness::hello::{Hello, Says, Spoken, ech, spoken};
use crate::harness::origin::{RETRY, retries, server_first};

/// Every hello there is, on its way to the host that most of them name.
pub(super) fn hellos(table: &mut Table) {
    // Those that look like HTTP are read as that.
    let is_other =
        |spoken: &Spoken| !spoken.bytes.starts_with(b"GET ") && !spoken.bytes.starts_with(b"PRI ");
    for (index, spoken) in spoken(TARGET).into_iter().filter(is_other).enumerate() {
        table.add(format!("{} ({index})", spoken.what), |case| {
            said(case, &spoken)
        });
    }
}

fn said(case: Case, spoken: &Spoken) -> Case {
    let case = case
        .at(TARGET, &[THERE])
        .straight_to(THERE, 443)
        .speaks(spoken);
    let refused = |case: Case, outcome| case.hears_its_refusal(spoken).flow(nameless(outcome));
    match &spoken.says {
        Says::Name(name) if name == TARGET => passed(case, spoken, allowed(name).sni("match")),
        Says::Outer(name) if name == TARGET => {
            passed(case, spoken, allowed(name).sni("match").ech())
        }
        Says::Name(name) => other(case, allowed(name).sni("match")),
        Says::Outer(name) => other(case, allowed(name).ech()),
        Says::NoName => refused(case, "absent"),
        Says::NotTls => case.flow(nameless("not_tls")),
        // By its version it is no record of TLS: nothing announced that one comes.
        Says::Malformed if !speaks_tls(&spoken.bytes) => case.flow(nameless("not_tls")),
        Says::Malformed => refused(case, "malformed"),
        Says::NothingInTime => refused(case, "timeout"),
    }
}

fn speaks_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=24, 3, ..] | [20..=24])
}

fn passed(case: Case, spoken: &Spoken, flow: Flow) -> Case {
    let mut case = case.step(Step::Take(spoken.bytes.len()));
    case.expect.tail = spoken.bytes.clone();
    case.reaches(THERE, 443, &spoken.bytes).stays().flow(flow)
}

/// A name that leads nowhere: it is asked for all the same.
fn other(case: Case, flow: Flow) -> Case {
    case.flow(flow.undecided().failed("dns-nxdomain"))
}

/// What names nobody is for the address.
fn nameless(outcome: &'static str) -> Flow {
    denied(&THERE.to_string(), "sni-outcome")
        .because(outcome)
        .outcome("unknown")
        .sni(outcome)
}

/// Names, and addresses that are not theirs.
pub(super) fn names(table: &mut Table) {
    for (how, wrap) in WRAPPINGS {
        table.add(
            format!("a denied name on the way to a permitted host, {how}"),
            |case| {
                let (ip, hello) = (case.cast.ok_ip, wrap(&case.cast.bad));
                let host = if how == "below it" {
                    format!("a.b.{}", case.cast.bad)
                } else {
                    case.cast.bad.clone()
                };
                let case = case.straight_to(ip, 443).sends(hello).hears_alert();
                case.flow(denied_drop(&host).sni("match"))
            },
        );
    }
    table.add(
        "a denied name on a port where no hello is awaited",
        |case| {
            let (ip, bad) = (case.cast.ok_ip, case.cast.bad.clone());
            let case = case
                .straight_to(ip, 22)
                .sends(Hello::named(&bad).bytes())
                .hears_alert();
            case.flow(denied_drop(&bad).sni("match"))
        },
    );
    for (what, port) in [("a port for TLS", 443), ("another port", 22)] {
        table.add(
            format!("another record before the hello, on {what}"),
            |case| {
                let (ip, bad) = (case.cast.ok_ip, case.cast.bad.clone());
                let bytes = [&[20, 3, 3, 0, 1, 1][..], &Hello::named(&bad).bytes()].concat();
                let case = case.straight_to(ip, port).sends(bytes);
                case.flow(unreadable(ip))
            },
        );
    }
    table.add("a denied name outside an encrypted hello", |case| {
        let (ip, bad) = (case.cast.ok_ip, case.cast.bad.clone());
        let hello = Hello::named(&bad).with(ech()).bytes();
        let case = case.straight_to(ip, 443).sends(hello).hears_alert();
        case.flow(denied_drop(&bad).ech())
    });
    table.add(
        "a permitted name outside an encrypted hello, on the way elsewhere",
        |case| {
            let (elsewhere, ok) = (case.cast.partner_ip, case.cast.ok.clone());
            let hello = Hello::named(&ok).with(ech()).bytes();
            let case = case.straight_to(elsewhere, 443).sends(hello).hears_alert();
            let flow = denied(&ok, "sni-outcome")
                .because("ech_hidden")
                .sni("ech_hidden");
            case.flow(flow.outcome("misdirected").ech())
        },
    );
    table.add(
        "a permitted name on the way to another host gets to its own",
        |case| {
            let (elsewhere, ok, ip) = (case.cast.bad_ip, case.cast.ok.clone(), case.cast.ok_ip);
            misdirected(case, elsewhere, &ok, ip, |flow| flow)
        },
    );
    table.add(
        "the permitted partner's name on the way to another host gets to the partner",
        |case| {
            let (elsewhere, partner, ip) = (
                case.cast.ok_ip,
                case.cast.partner.clone(),
                case.cast.partner_ip,
            );
            misdirected(case.of(Who::Paie), elsewhere, &partner, ip, |flow| {
                flow.rule("partners")
            })
        },
    );
    table.add("a permitted name on the way to a denied range", |case| {
        let ok = case.cast.ok.clone();
        let flow = denied_drop(&ok).outcome("misdirected").sni("match");
        towards(case, "66.220.5.5", &ok, flow)
    });
    table.add("a permitted name on the way to an indicator", |case| {
        let ok = case.cast.ok.clone();
        let flow = denied(&ok, "block")
            .rule("indicators")
            .outcome("misdirected")
            .sni("match");
        towards(case, "185.220.101.5", &ok, flow)
    });
    table.add(
        "a name that leads inwards, on the way to a permitted host",
        |case| {
            let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
            let case = case.at(&www, &[Ipv4Addr::new(10, 7, 7, 7)]);
            let flow = denied(&www, "forbidden-address")
                .because("private")
                .outcome("misdirected");
            towards(case, &ip.to_string(), &www, flow.sni("match"))
        },
    );
    table.add(
        "an alias of a denied name, on the way to where it leads",
        |case| {
            let (www, bad, ip) = (
                case.cast.name("www"),
                case.cast.bad.clone(),
                case.cast.bad_ip,
            );
            let flow = denied_drop(&www).outcome("cloaked").sni("match");
            towards(case.alias(&www, &bad), &ip.to_string(), &www, flow)
        },
    );
    table.add(
        "a name that is not permitted, on the way to the partner",
        |case| {
            let (ok, ip) = (case.cast.ok.clone(), case.cast.partner_ip);
            let flow = denied(&ok, "default").sni("match");
            towards(case.of(Who::Paie), &ip.to_string(), &ok, flow)
        },
    );
    table.add("a name that nobody answers for", |case| {
        let (www, ip) = (case.cast.name("www"), case.cast.ok_ip);
        let case = case.has(&www, Record::Wrong(Fault::ServFail));
        let case = case.straight_to(ip, 443).sends(Hello::named(&www).bytes());
        case.flow(
            allowed(&www)
                .undecided()
                .sni("match")
                .failed("dns-servfail"),
        )
    });
    table.add("a second hello with a denied name", |case| {
        let (ok, bad, ip) = (case.cast.ok.clone(), case.cast.bad.clone(), case.cast.ok_ip);
        let first = Hello::named(&ok).bytes();
        let case = case
            .behaves(ip, retries())
            .straight_to(ip, 443)
            .sends(&first);
        let case = case
            .step(Step::Take(RETRY.len()))
            .sends(Hello::named(&bad).bytes());
        let mut case = case.hears_alert().reaches(ip, 443, first);
        case.expect.tail.splice(0..0, RETRY.iter().copied());
        let flow = allowed(&ok).sni("match").broken("other-name");
        case.flow(flow.counted_in("octroi_second_hellos_refused_total"))
    });
    addresses(table);
}

/// No name: the address is what is asked for.
fn addresses(table: &mut Table) {
    for (text, class) in [
        ("10.7.7.7", "private"),
        ("169.254.169.254", "metadata"),
        ("100.64.7.7", "shared"),
    ] {
        table.add(format!("no name, on the way inwards: {text}"), |case| {
            let case = case
                .straight_to(text.parse::<IpAddr>().unwrap(), 22)
                .sends("SSH-2.0-x\r\n");
            let flow = denied(text, "forbidden-address")
                .because(class)
                .outcome("unknown");
            case.flow(flow.sni("not_expected"))
        });
    }
    table.add("no name, on the way to a denied range", |case| {
        let case = case
            .straight_to(Ipv4Addr::new(66, 220, 6, 6), 22)
            .sends("SSH-2.0-x\r\n");
        case.flow(
            denied_drop("66.220.6.6")
                .outcome("agrees")
                .sni("not_expected"),
        )
    });
    table.add("no name, on the way to the partner's address", |case| {
        let ip = case.cast.partner_ip;
        let case = case
            .of(Who::Paie)
            .straight_to(ip, 443)
            .sends(Hello::new().bytes())
            .hears_alert();
        case.flow(
            denied(&ip.to_string(), "sni-outcome")
                .because("absent")
                .outcome("unknown")
                .sni("absent"),
        )
    });
    table.add("a port that is not permitted", |case| {
        let ip = case.cast.ok_ip;
        let case = case.straight_to(ip, 25).sends("EHLO x\r\n");
        case.flow(
            denied(&ip.to_string(), "port")
                .because("25")
                .outcome("unknown")
                .sni("not_expected"),
        )
    });
    table.add("the gate's own port", |case| {
        let mut case = case.straight_to(Ipv4Addr::new(46, 9, 9, 9), 3130);
        case.expect.rejects.push("loop");
        case
    });
    table.add("control: a server that speaks first", |case| {
        let ip = case.cast.ok_ip;
        let case = case
            .behaves(ip, server_first("SSH-2.0-x\r\n"))
            .straight_to(ip, 22);
        let mut case = case.step(Step::Take(11)).stays();
        case.expect.tail = b"SSH-2.0-x\r\n".to_vec();
        case.flow(allowed(&ip.to_string()).sni("not_expected"))
            .reaches(ip, 22, b"")
    });
}

/// A hello that cannot be read, for an address.
fn unreadable(ip: Ipv4Addr) -> Flow {
    denied(&ip.to_string(), "sni-outcome")
        .because("malformed")
        .outcome("unknown")
        .sni("malformed")
}

/// A hello for `name` on a connection to `address`, which goes no further.
fn towards(case: Case, address: &str, name: &str, flow: Flow) -> Case {
    let case = case.straight_to(address.parse::<IpAddr>().unwrap(), 443);
    case.sends(Hello::named(name).bytes())
        .hears_alert()
        .flow(flow)
}

/// A hello for `name`, which is at `there`, on a connection to somewhere else.
fn misdirected(
    case: Case,
    elsewhere: Ipv4Addr,
    name: &str,
    there: Ipv4Addr,
    more: fn(Flow) -> Flow,
) -> Case {
    let hello = Hello::named(name).bytes();
    let case = case.straight_to(elsewhere, 443).echoes(there, 443, &hello);
    case.flow(more(allowed(name).outcome("misdirected").sni("match")))
}

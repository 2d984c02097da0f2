//! First words inside a tunnel: every hello of [`crate::harness::hello`], and names that are not the target's.

use std::net::Ipv4Addr;

use super::case::{Case, Leak, Step, Table};
use super::flow::{Flow, allowed, denied, denied_drop, observed};
use crate::harness::hello::{Hello, Manner, Says, Spoken, ech, records, sni, spoken};

/// The permitted host that most hellos name, and where it is.
pub(super) const TARGET: &str = "hello.news.example";
pub(super) const THERE: Ipv4Addr = Ipv4Addr::new(46, 0, 1, 0);

/// Every hello that can be read, and what is surely none, in a tunnel to a permitted host.
pub(super) fn readable(table: &mut Table) {
    each(table, |says| *says != Says::Malformed);
}

/// Every hello that cannot be read to its end. Where a proxy lets one pass, a name may pass with it.
pub(super) fn unreadable(table: &mut Table) {
    each(table, |says| *says == Says::Malformed);
}

fn each(table: &mut Table, is_meant: fn(&Says) -> bool) {
    for (index, spoken) in spoken(TARGET).into_iter().enumerate() {
        if is_meant(&spoken.says) {
            let name = format!("{} ({index})", spoken.what);
            table.add(name, |case| said(case, &spoken));
        }
    }
}

fn said(case: Case, spoken: &Spoken) -> Case {
    let (host, ip) = (TARGET, THERE);
    let case = case.at(host, &[ip]).enters(host).speaks(spoken);
    let outcome = spoken.says.outcome(host);
    let has_ech = matches!(spoken.says, Says::Outer(_));
    let flow = Flow {
        has_ech,
        ..flow_of(host, outcome)
    };
    if spoken.says.passes(host) {
        let mut case = case.step(Step::Take(spoken.bytes.len()));
        case.expect.tail = spoken.bytes.clone();
        let leak = if is_said_by_clients(spoken) {
            Leak::Served
        } else {
            Leak::Ours
        };
        case.reaches(ip, 443, &spoken.bytes)
            .stays()
            .flow(flow)
            .leaks(leak)
    } else {
        let case = case.hears_its_refusal(spoken);
        case.reaches(ip, 443, b"").flow(flow).leaks(Leak::AnyByte)
    }
}

/// Whether other proxies must serve it too: what some client may say, and no policy of one's own lets through.
fn is_said_by_clients(spoken: &Spoken) -> bool {
    let is_odd = |odd: &str| spoken.what.contains(odd);
    let is_watched = matches!(&spoken.says, Says::Outer(name) if name != TARGET);
    spoken.manner != Manner::ThenEnd && !is_watched && !is_odd("version 9.9") && !is_odd("example.")
}

fn flow_of(host: &str, outcome: &'static str) -> Flow {
    match outcome {
        "match" => allowed(host),
        "ech_outer" => observed(host, "sni-outcome").because("ech_outer"),
        "mismatch" => return fronted(host),
        _ => denied(host, "sni-outcome")
            .because(outcome)
            .outcome("unknown"),
    }
    .sni(outcome)
}

/// A server name that is permitted, and not the target's.
fn fronted(host: &str) -> Flow {
    denied(host, "evidence-outcome")
        .because("fronted")
        .outcome("fronted")
        .sni("mismatch")
}

/// A server name of the denied service in a tunnel to a permitted host.
fn denied_name(host: &str) -> Flow {
    denied_drop(host).outcome("fronted").sni("mismatch")
}

/// How a name is wrapped into a hello.
pub(super) type Wrapping = (&'static str, fn(&str) -> Vec<u8>);

/// The ways to wrap a name.
pub(super) const WRAPPINGS: [Wrapping; 7] = [
    ("plainly", |name| Hello::named(name).bytes()),
    ("in capitals", |name| {
        Hello::named(&name.to_uppercase()).bytes()
    }),
    ("with a dot behind", |name| {
        Hello::named(&format!("{name}.")).bytes()
    }),
    ("below it", |name| {
        Hello::named(&format!("a.b.{name}")).bytes()
    }),
    ("in records of one byte", |name| {
        records(&Hello::named(name).message(), 1)
    }),
    ("in two records", |name| {
        records(&Hello::named(name).message(), 70)
    }),
    ("as the last of many extensions", |name| {
        let others = (0..40).map(|kind| (0x7000 + kind, vec![0; 30]));
        others
            .fold(Hello::new(), Hello::with)
            .with(sni(&[name.as_bytes()]))
            .bytes()
    }),
];

/// Names other than the target's, in every wrapping.
pub(super) fn names(table: &mut Table) {
    for (how, wrap) in WRAPPINGS {
        table.add(format!("a denied name in the hello, {how}"), |case| {
            let (ok, hello) = (case.cast.ok.clone(), wrap(&case.cast.bad));
            inside(case, &hello).hears_alert().flow(denied_name(&ok))
        });
    }
    table.add("a denied name in the hello, in single bytes", |case| {
        let (ok, ip, hello) = (
            case.cast.ok.clone(),
            case.cast.ok_ip,
            Hello::named(&case.cast.bad).bytes(),
        );
        let case = case.enters(&ok).step(Step::Drip(hello)).hears_alert();
        case.flow(denied_name(&ok))
            .reaches(ip, 443, b"")
            .leaks(Leak::AnyByte)
    });
    table.add(
        "a denied name in the hello, sent with the CONNECT",
        |case| {
            let (ok, ip, hello) = (
                case.cast.ok.clone(),
                case.cast.ok_ip,
                Hello::named(&case.cast.bad).bytes(),
            );
            let head = format!("CONNECT {ok}:443 HTTP/1.1\r\nHost: {ok}\r\n\r\n").into_bytes();
            let case = case
                .sends([head, hello].concat())
                .step(Step::Established)
                .answered(200);
            case.hears_alert()
                .flow(denied_name(&ok))
                .reaches(ip, 443, b"")
                .leaks(Leak::AnyByte)
        },
    );
    table.add("a denied name outside an encrypted hello", |case| {
        let (ok, hello) = (
            case.cast.ok.clone(),
            Hello::named(&case.cast.bad).with(ech()).bytes(),
        );
        let flow = denied_drop(&ok).outcome("unknown").sni("ech_outer").ech();
        inside(case, &hello).hears_alert().flow(flow)
    });
    table.add("another permitted name in the hello", |case| {
        let (ok, hello) = (
            case.cast.ok.clone(),
            Hello::named(&case.cast.name("other")).bytes(),
        );
        inside(case, &hello).hears_alert().flow(fronted(&ok))
    });
    table.add("the target's parent in the hello", |case| {
        let (ok, hello) = (case.cast.ok.clone(), Hello::named("news.example").bytes());
        inside(case, &hello).hears_alert().flow(fronted(&ok))
    });
    table.add("a name below the target in the hello", |case| {
        let (ok, hello) = (
            case.cast.ok.clone(),
            Hello::named(&case.cast.name("www")).bytes(),
        );
        inside(case, &hello).hears_alert().flow(fronted(&ok))
    });
    table.add(
        "a denied name in the hello, on another port for TLS",
        |case| {
            let (ok, ip, hello) = (
                case.cast.ok.clone(),
                case.cast.ok_ip,
                Hello::named(&case.cast.bad).bytes(),
            );
            let case = case
                .connects(&format!("{ok}:8443"))
                .answered(200)
                .sends(hello);
            case.hears_alert()
                .flow(denied_name(&ok))
                .reaches(ip, 8443, b"")
                .leaks(Leak::AnyByte)
        },
    );
    table.add(
        "a denied name in the hello, in a tunnel to an address",
        |case| {
            let (ip, hello) = (case.cast.ok_ip, Hello::named(&case.cast.bad).bytes());
            let case = case
                .connects(&format!("{ip}:443"))
                .answered(200)
                .sends(hello);
            case.hears_alert()
                .flow(denied_name(&ip.to_string()))
                .reaches(ip, 443, b"")
                .leaks(Leak::AnyByte)
        },
    );
    others(table);
}

/// Words that are no hello, or none at all.
fn others(table: &mut Table) {
    table.add("a request of HTTP inside the tunnel", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let case = case
            .enters(&ok)
            .writes("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        case.flow(flow_of(&ok, "not_tls"))
            .reaches(ip, 443, b"")
            .leaks(Leak::AnyByte)
    });
    table.add("a CONNECT inside the tunnel", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let case = case
            .enters(&ok)
            .writes("CONNECT {bad}:443 HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        case.flow(flow_of(&ok, "not_tls"))
            .reaches(ip, 443, b"")
            .leaks(Leak::AnyByte)
    });
    table.add("a hello that drips beyond the time there is", |case| {
        let (ok, ip, hello) = (
            case.cast.ok.clone(),
            case.cast.ok_ip,
            Hello::named(&case.cast.ok).bytes(),
        );
        let case = case.enters(&ok).step(Step::Linger(hello)).hears_alert();
        case.flow(flow_of(&ok, "timeout"))
            .reaches(ip, 443, b"")
            .ours_alone()
    });
    table.add("a tunnel that is left without a word", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let case = case.enters(&ok).step(Step::Finish);
        case.flow(allowed(&ok)).reaches(ip, 443, b"").ours_alone()
    });
    table.add("control: a hello sent with the CONNECT", |case| {
        let (ok, ip, hello) = (
            case.cast.ok.clone(),
            case.cast.ok_ip,
            Hello::named(&case.cast.ok).bytes(),
        );
        let head = format!("CONNECT {ok}:443 HTTP/1.1\r\nHost: {ok}\r\n\r\n").into_bytes();
        let case = case
            .sends([head, hello.clone()].concat())
            .step(Step::Established)
            .answered(200);
        let mut case = case.step(Step::Take(hello.len())).stays().must_serve();
        case.expect.tail = hello.clone();
        case.flow(flow_of(&ok, "match")).reaches(ip, 443, hello)
    });
    table.add(
        "control: a server that speaks first, on a port without TLS",
        |case| {
            let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
            let banner = crate::harness::origin::server_first("SSH-2.0-x\r\n");
            let case = case
                .behaves(ip, banner)
                .connects(&format!("{ok}:22"))
                .answered(200);
            let mut case = case.step(Step::Take(11)).stays().must_serve();
            case.expect.tail = b"SSH-2.0-x\r\n".to_vec();
            case.flow(allowed(&ok).sni("not_expected"))
                .reaches(ip, 22, b"")
        },
    );
}

/// Into a tunnel to the permitted host, where it must not come through.
fn inside(case: Case, bytes: &[u8]) -> Case {
    let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
    case.enters(&ok)
        .sends(bytes)
        .reaches(ip, 443, b"")
        .leaks(Leak::AnyByte)
}

//! A server asks for another ClientHello: it must say what the first one said (RFC 8446 section 4.1.2).

use super::case::{Case, Leak, Step, Table};
use super::flow::{Flow, allowed};
use crate::harness::hello::{Hello, ech, record, records, sni};
use crate::harness::origin::{RETRY, retries};

/// What a client says second, what is wrong with it, and whether it names a host that is denied.
type Second = (&'static str, fn(&Case) -> Vec<u8>, &'static str, bool);

const SECONDS: &[Second] = &[
    (
        "a denied name",
        |case| Hello::named(&case.cast.bad).bytes(),
        "other-name",
        true,
    ),
    (
        "another permitted name",
        |case| Hello::named(&case.cast.name("www")).bytes(),
        "other-name",
        false,
    ),
    (
        "a denied name in small records",
        |case| records(&Hello::named(&case.cast.bad).message(), 7),
        "other-name",
        true,
    ),
    (
        "a denied name behind a change_cipher_spec",
        |case| [record(20, &[1]), Hello::named(&case.cast.bad).bytes()].concat(),
        "other-name",
        true,
    ),
    ("no name", |_| Hello::new().bytes(), "other-name", false),
    (
        "the name, and a denied one beside it",
        |case| {
            Hello::new()
                .with(sni(&[case.cast.ok.as_bytes(), case.cast.bad.as_bytes()]))
                .bytes()
        },
        "server-name-list",
        true,
    ),
    (
        "the name, and an encrypted hello with it",
        |case| Hello::named(&case.cast.ok).with(ech()).bytes(),
        "other-ech",
        false,
    ),
    (
        "a request of HTTP",
        |case| format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", case.cast.bad).into_bytes(),
        "not-a-hello",
        false,
    ),
];

pub(super) fn cases(table: &mut Table) {
    for &(what, second, detail, names_denied) in SECONDS {
        table.add(format!("a second hello with {what}"), |case| {
            let bytes = second(&case);
            // A change_cipher_spec may go on: it says nothing.
            let seen = if bytes.starts_with(&[20]) {
                &bytes[..6]
            } else {
                &[]
            };
            let seen = seen.to_vec();
            let case = asked_again(case, &seen).sends(bytes);
            let leak = match names_denied {
                true => beyond(&case),
                false => Leak::Ours,
            };
            ended(case, detail).leaks(leak)
        });
    }
    table.add(
        "a second hello with a denied name, in single bytes",
        |case| {
            let bytes = Hello::named(&case.cast.bad).bytes();
            let case = asked_again(case, &[]).step(Step::Drip(bytes));
            let leak = beyond(&case);
            ended(case, "other-name").leaks(leak)
        },
    );
    table.add(
        "a second hello with a denied name, sent with the first",
        |case| {
            let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
            let first = Hello::named(&ok).bytes();
            let both = [first.clone(), Hello::named(&case.cast.bad).bytes()].concat();
            let case = case
                .behaves(ip, retries())
                .enters(&ok)
                .sends(both)
                .reaches(ip, 443, first);
            let leak = beyond(&case);
            ended(case, "other-name").leaks(leak)
        },
    );
    table.add("a second hello that stops half-way", |case| {
        let half = Hello::named(&case.cast.ok).bytes()[..60].to_vec();
        let case = asked_again(case, &[]).sends(half);
        ended(case, "timeout").ours_alone()
    });
    table.add("control: a second hello that says the same", |case| {
        let ok = case.cast.ok.clone();
        let second = Hello::named(&ok).with((44, vec![0, 1, 9])).bytes();
        let case = asked_again(case, &second).sends(&second).step(Step::Finish);
        let mut case = case.flow(allowed(&ok).sni("match")).must_serve();
        case.expect.tail = RETRY.to_vec();
        case
    });
}

/// More than the origin gets through this gate.
fn beyond(case: &Case) -> Leak {
    Leak::Beyond(case.expect.origins[0].1.len())
}

/// A tunnel to a server that asks again, past its answer; of what follows it gets this.
fn asked_again(case: Case, then: &[u8]) -> Case {
    let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
    let first = Hello::named(&ok).bytes();
    let seen = [&first[..], then].concat();
    let case = case.behaves(ip, retries()).enters(&ok).sends(first);
    case.step(Step::Take(RETRY.len())).reaches(ip, 443, seen)
}

/// The tunnel ends there, and its client is told.
fn ended(case: Case, detail: &'static str) -> Case {
    let ok = case.cast.ok.clone();
    let mut case = case.hears_alert().flow(ended_flow(&ok, detail));
    case.expect.tail.splice(0..0, RETRY.iter().copied());
    case
}

fn ended_flow(host: &str, detail: &'static str) -> Flow {
    let flow = allowed(host).sni("match").broken(detail);
    flow.counted_in("octroi_second_hellos_refused_total")
}

//! Spellings of addresses, in every place where one may stand.

use std::net::IpAddr;

use super::case::{Case, Table, Who};
use super::flow::{allowed, denied, denied_drop};
use crate::harness::hello::Hello;

/// What is no address and no name, though some reader takes it for 10.0.0.1, 127.0.0.1 or the like.
const SPELLINGS: &[(&str, &str)] = &[
    ("octal", "012.0.0.1"),
    ("octal to the end", "012.00.00.01"),
    ("long octal", "00000012.0.0.1"),
    ("hexadecimal", "0xa.0.0.1"),
    ("hexadecimal, capital", "0XA.0.0.1"),
    ("hexadecimal in one", "0x0a000001"),
    ("one decimal", "167772161"),
    ("one octal", "01200000001"),
    ("two parts", "10.1"),
    ("three parts", "10.0.1"),
    ("mixed bases", "10.0x0.00.1"),
    ("a last part in hexadecimal", "10.0.0.0x1"),
    ("a part over 255", "266.0.0.1"),
    ("a decimal that overflows", "4462739457"),
    ("five parts", "10.0.0.1.1"),
    ("an empty part", "10..0.1"),
    ("a sign", "+10.0.0.1"),
    ("loopback, short", "127.1"),
    ("loopback, one decimal", "2130706433"),
    ("loopback, hexadecimal", "0x7f000001"),
    ("nothing, short", "0"),
    ("metadata, one decimal", "2852039166"),
    ("metadata, octal", "0251.0376.0251.0376"),
    ("a percent sign before the end", "10.0.0.1%25eth0"),
    ("an encoded dot", "10%2e0.0.1"),
    ("an encoded digit", "%310.0.0.1"),
    ("IPv6 without brackets", "2001:db8::1"),
    ("IPv6 with a zone", "[fe80::1%eth0]"),
    ("IPv6 with an encoded zone", "[fe80::1%25eth0]"),
    ("IPv6 with two gaps", "[2001::db8::1]"),
    ("IPv6 of nine groups", "[1:2:3:4:5:6:7:8:9]"),
    ("IPv6 with a long group", "[02001:db8::1]"),
    ("IPv6 with octal inside", "[::ffff:012.0.0.1]"),
    ("IPv6 not closed", "[2001:db8::1"),
    ("IPv4 in brackets", "[10.0.0.1]"),
    ("a future version in brackets", "[v1.10]"),
    ("nothing in brackets", "[]"),
    ("a dot behind it", "10.0.0.1."),
];

/// What is an address, and is not to be dialled: what it is, how it is written, its class.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("a private address", "10.200.0.1", "private"),
    ("a private address, 172.16", "172.16.0.1", "private"),
    ("a private address, 192.168", "192.168.0.1", "private"),
    ("loopback", "127.0.0.1", "loopback"),
    ("loopback elsewhere", "127.8.8.8", "loopback"),
    ("link-local", "169.254.1.1", "link-local"),
    ("the metadata service", "169.254.169.254", "metadata"),
    (
        "the metadata service of containers",
        "169.254.170.2",
        "metadata",
    ),
    ("the wire server", "168.63.129.16", "metadata"),
    ("a carrier's network", "100.64.0.1", "shared"),
    ("this network", "0.0.0.0", "unspecified"),
    ("multicast", "224.0.0.1", "multicast"),
    ("broadcast", "255.255.255.255", "broadcast"),
    ("class E", "240.0.0.1", "reserved"),
    ("IPv6 loopback", "[::1]", "loopback"),
    ("IPv6 unspecified", "[::]", "unspecified"),
    ("IPv6 link-local", "[fe80::1]", "link-local"),
    ("unique local", "[fd00::1]", "private"),
    ("the metadata service, IPv6", "[fd00:ec2::254]", "metadata"),
    ("IPv6 multicast", "[ff02::1]", "multicast"),
    ("mapped private", "[::ffff:10.200.0.1]", "private"),
    ("mapped private in groups", "[::ffff:ac8:1]", "private"),
    (
        "mapped, written out",
        "[0:0:0:0:0:ffff:10.200.0.1]",
        "private",
    ),
    ("compatible private", "[::10.200.0.1]", "private"),
    ("NAT64 private", "[64:ff9b::10.200.0.1]", "private"),
    ("NAT64 metadata", "[64:ff9b::a9fe:a9fe]", "metadata"),
    ("local NAT64", "[64:ff9b:1::10.200.0.1]", "private"),
    ("6to4 private", "[2002:ac8:1::1]", "private"),
    ("Teredo", "[2001:0:ac8:1::1]", "reserved"),
    ("the discard block", "[100::1]", "reserved"),
];

/// Addresses in the range of a denied service, in each carrier.
const DENIED: &[(&str, &str)] = &[
    ("the range itself", "66.220.1.1"),
    ("mapped", "[::ffff:66.220.1.1]"),
    ("NAT64", "[64:ff9b::66.220.1.1]"),
    ("6to4", "[2002:42dc:101::1]"),
    ("IPv6", "[2a03:2880::1]"),
    ("IPv6, written out", "[2A03:2880:0:0:0:0:0:1]"),
];

pub(super) fn cases(table: &mut Table) {
    for (what, text) in SPELLINGS {
        table.add(format!("CONNECT to {what}: {text}"), |case| {
            case.connects(&format!("{text}:443"))
                .rejected(400, "target-host")
        });
    }
    for (what, text) in SPELLINGS.iter().take(26) {
        table.add(format!("absolute form with {what}: {text}"), |case| {
            case.gets(text, "/", "").rejected(400, "target-host")
        });
    }
    for (what, text, class) in FORBIDDEN {
        table.add(format!("CONNECT to {what}: {text}"), |case| {
            forbidden(case, text, class)
        });
    }
    for (what, text) in DENIED {
        table.add(
            format!("CONNECT to a denied range, {what}: {text}"),
            |case| {
                let flow = denied_drop(&canonical(text)).outcome("agrees");
                case.connects(&format!("{text}:443"))
                    .answered(403)
                    .flow(flow)
            },
        );
    }
    table.add(
        "control: an address of the internet, on a port without TLS",
        |case| {
            let to = case.cast.ok_ip;
            let case = case
                .connects(&format!("{to}:22"))
                .answered(200)
                .must_serve();
            case.flow(allowed(&to.to_string()).sni("not_expected"))
                .echoes(to, 22, b"SSH-2.0-x\r\n")
        },
    );
    table.add("an address where only names are permitted", |case| {
        let to = case.cast.ok_ip;
        let case = case
            .of(Who::Paie)
            .connects(&format!("{to}:443"))
            .answered(403);
        case.flow(denied(&to.to_string(), "default").outcome("unknown"))
    });
    table.add(
        "the address of a permitted name, asked for as such",
        |case| {
            let to = case.cast.partner_ip;
            let case = case
                .of(Who::Paie)
                .connects(&format!("{to}:443"))
                .answered(403);
            case.flow(denied(&to.to_string(), "default").outcome("unknown"))
        },
    );
    table.add("an address, and a hello for it", |case| {
        let to = case.cast.ok_ip;
        let hello = Hello::named(&to.to_string()).bytes();
        let case = case
            .connects(&format!("{to}:443"))
            .answered(200)
            .sends(hello)
            .hears_alert();
        case.flow(
            denied(&to.to_string(), "sni-outcome")
                .because("absent")
                .outcome("unknown")
                .sni("absent"),
        )
        .reaches(to, 443, b"")
        .ours_alone()
    });
}

fn forbidden(case: Case, text: &str, class: &'static str) -> Case {
    let flow = denied(&canonical(text), "forbidden-address").because(class);
    case.connects(&format!("{text}:443"))
        .answered(403)
        .flow(flow.outcome("unknown"))
}

/// As the ledger writes it: IPv4-mapped addresses as what they carry, IPv6 in brackets.
fn canonical(text: &str) -> String {
    let address: IpAddr = text.trim_matches(['[', ']']).parse().unwrap();
    match address.to_canonical() {
        IpAddr::V6(address) => format!("[{address}]"),
        address => address.to_string(),
    }
}

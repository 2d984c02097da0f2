//! What is found behind a name: the hops of its chain and the addresses of its answer.

use std::net::IpAddr;

use crate::harness::client::client_hello;
use crate::harness::dns::{Fault, Transport};
use crate::harness::eventually;
use crate::harness::ledger::{Became, field};
use crate::harness::origin::{Origin, echo, http, silent};
use crate::harness::world::{Plan, World};

const HOP: &str = "contoso.mail.protection.outlook.com";

#[test]
fn a_french_name_that_is_exchange_underneath_is_refused_and_the_hop_is_named() {
    let world = World::new();
    let origin = world.origin(HOP, 10, 443, silent());
    world
        .dns
        .alias("mail.vendor.example", "mx.vendor.example")
        .alias("mx.vendor.example", HOP);
    let head = world
        .wire(world.block.sensitive())
        .connect("mail.vendor.example:443");
    assert_eq!(head.status, 403);
    let status = head.field("proxy-status").unwrap_or_default();
    assert!(status.contains("r9-sensitive-data"), "{}", head.text);
    origin.assert_untouched();
    let line = world.recorded("mail.vendor.example", "interieur", Became::Refused);
    assert!(
        line.0.to_string().contains(HOP),
        "the reason names the hop: {line:?}"
    );
    assert_eq!(line.text(field::SERVICE), "exchange-online");
    assert_eq!(line.text(field::OUTCOME), "cloaked");
    let page = world.curl(world.block.sensitive(), &["http://mail.vendor.example/"]);
    assert!(page.body.contains(HOP), "so does the page: {}", page.body);
}

#[test]
fn an_address_in_the_published_range_is_refused_and_the_range_is_named() {
    let world = World::new();
    world
        .dns
        .v4("mail.vendor.example", "52.97.1.2".parse().unwrap());
    let head = world
        .wire(world.block.sensitive())
        .connect("mail.vendor.example:443");
    assert_eq!(head.status, 403);
    let line = world.recorded("mail.vendor.example", "interieur", Became::Refused);
    let all = line.0.to_string();
    assert!(all.contains("52.97.1.2"), "{line:?}");
    assert!(all.contains("52.96.0.0/14"), "{line:?}");
    assert!(all.contains("exchange-online"), "{line:?}");
    let page = world.curl(world.block.sensitive(), &["http://mail.vendor.example/"]);
    assert!(page.body.contains("52.96.0.0/14"), "{}", page.body);
}

#[test]
fn the_example_bundle_sees_both() {
    let world = Plan::example().start();
    let from = [127, 0, 0, 1].into();
    world
        .dns
        .alias("mail.vendor.example", HOP)
        .v4(HOP, world.block.ip(10));
    world
        .dns
        .v4("intranet.vendor.example", "52.101.8.1".parse().unwrap());
    for host in ["mail.vendor.example", "intranet.vendor.example"] {
        let answer = world.curl(from, &[&format!("https://{host}/")]);
        assert_eq!(answer.connect, 403, "{host}");
        let line = world.recorded(host, "essai", Became::Refused);
        assert!(line.text(field::RULE).starts_with("r9-"), "{line:?}");
    }
}

#[test]
fn one_denied_address_among_good_ones_is_enough() {
    let world = World::new();
    let good = world.block.ip(10);
    let origin = Origin::tcp(good, 443, silent());
    for carried in [
        "52.97.1.2",
        "::ffff:52.97.1.2",
        "64:ff9b::3461:102",
        "2002:3461:102::1",
    ] {
        let host = format!("n{}.vendor.example", carried.len());
        world
            .dns
            .name(&host, &[good.into(), carried.parse::<IpAddr>().unwrap()]);
        let head = world
            .wire(world.block.sensitive())
            .connect(&format!("{host}:443"));
        assert_eq!(head.status, 403, "{carried}");
        world.recorded(&host, "interieur", Became::Refused);
    }
    origin.assert_untouched();
}

#[test]
fn the_ordinary_workload_goes_through_and_is_observed() {
    let world = World::new();
    let origin = world.origin(HOP, 10, 443, echo());
    world.dns.alias("mail.vendor.example", HOP);
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("mail.vendor.example:443").status, 200);
    let hello = client_hello(Some("mail.vendor.example"));
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.bytes(), hello);
    let line = world.recorded("mail.vendor.example", "culture", Became::Observed);
    assert_eq!(line.text(field::OUTCOME), "cloaked");
    let labels = [("rule", "office-watch"), ("mode", "observe")];
    let hits = world
        .gate
        .metrics()
        .total("octroi_rule_hits_total", &labels);
    assert!(hits <= 1);
    world.gate.counted(
        "octroi_rule_hits_total",
        &[("rule", "office-watch"), ("ministry", "culture")],
        1,
    );
}

#[test]
fn an_indicator_behind_a_name_blocks_everyone() {
    let world = World::new();
    let origin = world.origin("c2.malware.example", 10, 443, silent());
    world.dns.alias("cdn.news.example", "c2.malware.example");
    assert_eq!(world.ordinary().connect("cdn.news.example:443").status, 403);
    origin.assert_untouched();
    let line = world.recorded("cdn.news.example", "culture", Became::Refused);
    assert_eq!(line.text(field::REASON), "block");
    assert!(
        line.0.to_string().contains("c2.malware.example"),
        "{line:?}"
    );
}

#[test]
fn a_front_is_masked_and_let_through() {
    let world = World::new();
    let origin = world.origin("vendor.azurefd.net", 10, 443, echo());
    world
        .dns
        .alias("portal.vendor.example", "vendor.azurefd.net");
    let mut wire = world.wire(world.block.sensitive());
    assert_eq!(wire.connect("portal.vendor.example:443").status, 200);
    let hello = client_hello(Some("portal.vendor.example"));
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.connections(), 1);
    let line = world.recorded("portal.vendor.example", "interieur", Became::Allowed);
    assert_eq!(line.text(field::OUTCOME), "masked");
    world.gate.counted(
        "octroi_evidence_total",
        &[("ministry", "interieur"), ("outcome", "masked")],
        1,
    );
}

#[test]
fn an_answer_that_changes_is_judged_anew() {
    let world = World::new();
    let origin = world.origin("rebind.example", 10, 443, echo());
    world.dns.ttl("rebind.example", 0);
    assert_eq!(world.ordinary().connect("rebind.example:443").status, 200);
    world.dns.v4("rebind.example", "10.0.0.1".parse().unwrap());
    // The gate keeps an answer for some seconds at least, whatever its TTL: it dials what it judged.
    eventually("the new answer is judged", || {
        let status = world.ordinary().connect("rebind.example:443").status;
        (status == 403).then_some(())
    });
    assert!(origin.connections() >= 1);
    world.recorded("rebind.example", "culture", Became::Refused);
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp_and_judged_whole() {
    let world = World::new();
    let many: Vec<IpAddr> = (0..40).map(|n| IpAddr::from([127, 99, 0, n])).collect();
    let with_exchange = [&many[..], &["52.97.1.2".parse().unwrap()]].concat();
    world.dns.name("large.vendor.example", &with_exchange);
    world.dns.fault("large.vendor.example", Fault::Truncated);
    let head = world
        .wire(world.block.sensitive())
        .connect("large.vendor.example:443");
    assert_eq!(head.status, 403, "{}", head.text);
    assert!(world.dns.asked_over("large.vendor.example", Transport::Tcp) > 0);
    world.recorded("large.vendor.example", "interieur", Became::Refused);
}

#[test]
fn a_host_that_differs_from_the_target_is_fronting() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send("GET http://news.example/ HTTP/1.1\r\nHost: www.drop.example\r\n\r\n");
    assert_eq!(wire.head().status, 403);
    origin.assert_untouched();
    let line = world.recorded("news.example", "culture", Became::Refused);
    assert_eq!(line.text(field::OUTCOME), "fronted");
}

#[test]
fn look_alikes_are_not_the_service() {
    let world = World::new();
    for name in [
        "notoutlook.office.com.evil.example",
        "xoutlook.office365.com.example",
    ] {
        let origin = world.origin(
            name,
            if name.starts_with('n') { 10 } else { 11 },
            443,
            echo(),
        );
        assert_eq!(
            world
                .wire(world.block.sensitive())
                .connect(&format!("{name}:443"))
                .status,
            200
        );
        drop(origin);
    }
    for name in [
        "OUTLOOK.office.com",
        "outlook.office.com.",
        "outlook.office.com..",
    ] {
        let status = world
            .wire(world.block.sensitive())
            .connect(&format!("{name}:443"))
            .status;
        assert!([403, 400].contains(&status), "{name}: {status}");
    }
    world.recorded("outlook.office.com", "interieur", Became::Refused);
}

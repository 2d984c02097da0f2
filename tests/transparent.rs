//! Clients that know nothing of the gate, captured by the rule sets as they are shipped.

mod claims;

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::client::chromium_straight;
use crate::harness::netns::{Capture, Family, Net};
use crate::harness::origin::{http, server_first};
use crate::harness::world::{Plan, World};

const FAMILIES: [(&str, Family); 2] = [("-4", Family::V4), ("-6", Family::V6)];

fn captured(by: Capture) -> World {
    Plan::on_gateway().captured(by).start()
}

fn net(world: &World) -> &Net {
    world.net.as_deref().unwrap()
}

#[test]
fn clients_without_a_proxy_are_served_and_recorded() {
    for by in Capture::BOTH {
        let world = captured(by);
        let secure = world.tls_origin("www.partner.example", 10, http());
        let plain = world.origin("plain.partner.example", 11, 80, http());
        for (option, family) in FAMILIES {
            let client = family.client(201);
            for url in [
                "https://www.partner.example/a",
                "http://plain.partner.example/a",
            ] {
                let answer = world.curl_straight(client, &[option, url]);
                assert_eq!(answer.status, 200, "{by:?} {option} {url}: {}", answer.said);
                assert!(
                    answer.body.starts_with("GET /a HTTP/1.1"),
                    "{}",
                    answer.body
                );
            }
        }
        assert_eq!(
            (secure.connections() > 0, plain.connections() > 0),
            (true, true)
        );
        let labels = [("workload", "bureautique"), ("verdict", "allow")];
        assert_eq!(world.gate.counted("octroi_attempts_total", &labels, 4), 4);
        net(&world).assert_nothing_leaked();
    }
}

#[test]
fn a_denied_client_is_told_and_the_origin_hears_nothing() {
    for by in Capture::BOTH {
        let world = captured(by);
        let secure = world.tls_origin("outlook.office.com", 10, http());
        let plain = world.origin("outlook.office365.com", 11, 80, http());
        for (option, family) in FAMILIES {
            let client = family.client(200);
            let alert = world.curl_straight(client, &[option, "https://outlook.office.com/"]);
            assert_eq!(alert.exit, 35, "{by:?} {option}: {}", alert.said);
            let page = world.curl_straight(client, &[option, "http://outlook.office365.com/"]);
            assert_eq!(page.status, 403, "{by:?} {option}: {}", page.said);
            assert!(page.heads.contains("r9-sensitive-data"), "{}", page.heads);
        }
        secure.assert_untouched();
        plain.assert_untouched();
        net(&world).assert_nothing_leaked();
    }
}

/// An innocent name on the way to another address gets to the innocent host.
#[test]
fn a_name_leads_to_its_own_addresses_only() {
    for by in Capture::BOTH {
        let world = captured(by);
        let innocent = world.tls_origin("www.partner.example", 10, http());
        let other = world.tls_origin("other.example", 11, http());
        for (_, family) in FAMILIES {
            let elsewhere = format!("www.partner.example:443:{}", bracketed(family, 11));
            let answer = world.curl_straight(
                family.client(201),
                &["--resolve", &elsewhere, "https://www.partner.example/"],
            );
            assert_eq!(answer.status, 200, "{by:?} {family:?}: {}", answer.said);
        }
        assert_eq!(innocent.connections(), 2, "{by:?}");
        other.assert_untouched();
        let labels = [("outcome", "misdirected")];
        assert_eq!(world.gate.counted("octroi_evidence_total", &labels, 2), 2);
    }
}

fn bracketed(family: Family, last: u16) -> String {
    match family {
        Family::V4 => family.origin(last).to_string(),
        Family::V6 => format!("[{}]", family.origin(last)),
    }
}

#[test]
fn a_server_may_speak_first() {
    for by in Capture::BOTH {
        let world = captured(by);
        let _mail = world.origin(
            "mail.partner.example",
            10,
            2525,
            server_first("220 mail\r\n"),
        );
        for (_, family) in FAMILIES {
            let to = SocketAddr::from((family.origin(10), 2525));
            let mut wire = world.straight(family.client(201), to);
            assert_eq!(wire.exactly(10), "220 mail\r\n", "{by:?} {family:?}");
            wire.send("EHLO\r\n");
            assert_eq!(wire.exactly(6), "EHLO\r\n", "{by:?} {family:?}");
        }
    }
}

#[test]
fn nothing_passes_once_the_gate_is_gone() {
    for by in Capture::BOTH {
        let mut world = captured(by);
        let origin = world.origin(
            "mail.partner.example",
            10,
            2525,
            server_first("220 mail\r\n"),
        );
        let open = FAMILIES.map(|(_, family)| {
            let to = SocketAddr::from((family.origin(10), 2525));
            let mut wire = world.straight(family.client(201), to);
            assert_eq!(wire.exactly(10), "220 mail\r\n", "{by:?} {family:?}");
            wire
        });
        world.gate.signal(Signal::KILL);
        world.gate.exit();
        for mut wire in open {
            assert_eq!(wire.rest(), b"", "{by:?}");
        }
        for (option, _) in FAMILIES {
            let url = "http://mail.partner.example:2525/";
            let refused = world.curl_straight(world.block.ordinary(), &[option, url]);
            assert_eq!(refused.exit, 7, "{by:?}: {}", refused.said);
        }
        assert_eq!(origin.connections(), 2, "{by:?}");
        net(&world).assert_nothing_leaked();
    }
}

#[test]
fn a_browser_needs_no_setting() {
    for by in Capture::BOTH {
        let world = captured(by);
        let origin = world.tls_origin("www.partner.example", 10, http());
        let seen = chromium_straight(net(&world), "https://www.partner.example/page");
        assert!(seen.contains("GET /page HTTP/1.1"), "{by:?}: {seen}");
        assert!(origin.connections() > 0);
    }
}

//! The rule sets of `examples/nftables`, as they are shipped, on a gateway between clients and an internet of
//! the test's own. Where the gate will listen, something stands in that only says what it was handed.

mod client;
mod closed;
mod networks;
mod packets;
mod stand_in;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use crate::harness::DEADLINE;
use crate::harness::netns::{Capture, Family, Net, Space, shipped};
use crate::harness::origin::{Origin, http, server_first};
use crate::harness::tools::tool;
use crate::harness::world::Plan;
use client::{PORTS, ask, assert_captured, assert_refused, datagram, dial, heard, origin, say};
use stand_in::StandIn;

#[test]
fn every_tcp_connection_is_captured_and_its_destination_is_known() {
    for by in Capture::BOTH {
        let net = Net::new();
        let gate = StandIn::start(&net, by);
        net.captures(by);
        let mut expected = Vec::new();
        for family in Family::BOTH {
            for port in PORTS {
                let to = SocketAddr::from((family.origin(10), port));
                let origin = origin(&net, to);
                assert_captured(&net, family, to);
                origin.assert_untouched();
                expected.push(to);
            }
        }
        assert_eq!(gate.captured(), expected, "{by:?}");
        net.assert_nothing_leaked();
    }
}

/// A service outside may well have the number of the gate's own port.
#[test]
fn the_numbers_of_the_gates_ports_mean_nothing_elsewhere() {
    for by in Capture::BOTH {
        let net = Net::new();
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        for family in Family::BOTH {
            for port in [Capture::PORT4, Capture::PORT6] {
                assert_captured(&net, family, (family.origin(10), port).into());
            }
        }
        net.assert_nothing_leaked();
    }
}

#[test]
fn the_gateways_own_connections_are_not_captured() {
    for by in Capture::BOTH {
        let net = Net::new();
        let gate = StandIn::start(&net, by);
        net.captures(by);
        for family in Family::BOTH {
            let to = SocketAddr::from((family.origin(10), 443));
            let origin = origin(&net, to);
            let stream = net.gateway.inside(|| TcpStream::connect(to).unwrap());
            assert_eq!(ask(&stream).unwrap(), "hello");
            assert_eq!(origin.text(), "hello\n");
        }
        assert_eq!(gate.captured(), []);
    }
}

#[test]
fn the_gateway_is_reached_for_itself_but_not_its_listeners() {
    for by in Capture::BOTH {
        let net = Net::new();
        let gate = StandIn::start(&net, by);
        net.captures(by);
        for family in Family::BOTH {
            let address = family.gateway();
            let ssh = net
                .gateway
                .inside(|| Origin::tcp(address, 22, server_first("SSH-2.0-gateway\n")));
            assert_eq!(
                heard(&net, family, (address, 22).into()).unwrap(),
                "SSH-2.0-gateway"
            );
            assert_eq!(ssh.connections(), 1);
            let udp = net
                .gateway
                .inside(|| UdpSocket::bind((address, 53)).unwrap());
            std::thread::spawn(move || {
                let (_, from) = udp.recv_from(&mut [0; 64]).unwrap();
                udp.send_to(b"resolved", from).unwrap();
            });
            let resolved = datagram(&net, family.client(200), (address, 53).into());
            assert_eq!(resolved.unwrap(), b"resolved");
            assert_listeners_closed(&net, family);
        }
        assert_eq!(gate.captured(), []);
    }
}

/// Nobody gets to the gate's own ports but by being captured: not clients, not the internet, not the gateway.
fn assert_listeners_closed(net: &Net, family: Family) {
    for port in [Capture::PORT4, Capture::PORT6] {
        assert_refused(net, family, (family.gateway(), port).into());
        let outside = SocketAddr::from((family.outside(), port));
        for space in [&net.internet, &net.gateway] {
            let refused = space.inside(|| TcpStream::connect(outside).unwrap_err());
            assert_eq!(
                refused.kind(),
                ErrorKind::ConnectionRefused,
                "{outside}: {refused}"
            );
        }
    }
}

#[test]
fn what_is_direct_is_reached_without_the_gate() {
    for by in Capture::BOTH {
        let net = Net::new();
        let gate = StandIn::start(&net, by);
        net.captures(by);
        for (family, set) in Family::BOTH.into_iter().zip(["direct4", "direct6"]) {
            let direct = SocketAddr::from((family.origin(20), 443));
            let origin = origin(&net, direct);
            assert_captured(&net, family, direct);
            let element = format!("{{ {} }}", direct.ip());
            net.gateway
                .nft(&["add", "element", "inet", "octroi", set, &element]);
            assert_eq!(heard(&net, family, direct).unwrap(), "hello");
            assert_eq!(origin.text(), "hello\n");
            assert_captured(&net, family, (family.origin(21), 443).into());
        }
        assert_eq!(gate.captured().len(), 4);
    }
}

/// A firewall of the administrator's, which tracks connections.
const THEIRS: &str = "
table inet theirs {
  chain seen { type filter hook prerouting priority filter; ct state established counter; }
}";

#[test]
fn loading_ends_what_went_past_and_loading_again_keeps_what_is_captured() {
    for by in Capture::BOTH {
        let net = Net::new();
        net.gateway.nft(&[THEIRS]);
        let to = Family::BOTH.map(|family| SocketAddr::from((family.origin(10), 443)));
        let origins = to.map(|to| origin(&net, to));
        let past =
            Family::BOTH.map(|f| dial(&net, f.client(200), (f.origin(10), 443).into()).unwrap());
        for stream in &past {
            assert_eq!(ask(stream).unwrap(), "hello");
        }
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        for (stream, origin) in past.iter().zip(&origins) {
            let ended = ask(stream).unwrap_err();
            assert_eq!(ended.kind(), ErrorKind::ConnectionReset, "{by:?}: {ended}");
            assert_eq!(origin.text(), "hello\n", "{by:?}");
        }
        let captured =
            Family::BOTH.map(|f| dial(&net, f.client(200), (f.origin(11), 443).into()).unwrap());
        for _ in 0..2 {
            for stream in &captured {
                assert!(ask(stream).unwrap().contains("captured"), "{by:?}");
            }
            net.captures(by);
        }
        let tables = net.gateway.nft(&["list", "tables"]);
        assert_eq!(tables, "table inet theirs\ntable inet octroi\n");
    }
}

/// "Fragmentation needed" is about the gate's socket, though it is sent to the origin's address.
#[test]
fn clients_behind_a_narrow_link_get_long_answers() {
    for by in Capture::BOTH {
        let net = Net::new();
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        let far = behind_a_narrow_link(&net);
        for family in Family::BOTH {
            let to = SocketAddr::from((family.origin(10), 443));
            let stream = far.inside(|| TcpStream::connect(to).unwrap());
            stream.set_read_timeout(Some(DEADLINE / 4)).unwrap();
            let long = "a".repeat(100_000);
            let answer = say(&stream, &long).unwrap();
            assert_eq!(answer, format!("{long}: captured on the way to {to}"));
        }
        net.assert_nothing_leaked();
    }
}

/// A client whose packets the client's network carries, as a tunnel would: it says that 1500 bytes reach it,
/// and 1280 do.
fn behind_a_narrow_link(net: &Net) -> Space {
    let far = Space::new("far client");
    for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        net.client.switch(name, "1");
    }
    for which in ["all", "default"] {
        far.switch(&format!("net.ipv6.conf.{which}.accept_dad"), "0");
    }
    let path = far.path();
    let link = format!("link add narrow mtu 1280 type veth peer name eth0 netns {path}");
    net.client.ip(&link);
    for (family, advertised) in [(Family::V4, 1460), (Family::V6, 1440)] {
        let (near, end) = (family.client(129), family.client(130));
        let length = if family == Family::V4 { 32 } else { 128 };
        far.ip(&format!(
            "link set eth0 up
address add {end}/{length} dev eth0
route add {near}/{length} dev eth0
route add default via {near} dev eth0 mtu 1280 advmss {advertised}"
        ));
        net.client.ip(&format!(
            "link set narrow up
address add {near}/{length} dev narrow
route add {end}/{length} dev narrow"
        ));
        let router = family.client(200);
        net.gateway
            .ip(&format!("route add {end}/{length} via {router}"));
    }
    far
}

/// Names from the resolver on the gateway, an explicit proxy on the gateway, and no other way.
#[test]
fn clients_that_know_the_gate_are_served_beside_the_rule_sets() {
    for by in Capture::BOTH {
        let world = Plan::on_gateway().start();
        let net = world.net.as_ref().unwrap();
        let (name, ordinary) = ("www.partner.example", world.block.ordinary());
        let origin = world.tls_origin(name, 10, http());
        let url = format!("https://{name}/");
        for (option, family) in [("-4", Family::V4), ("-6", Family::V6)] {
            let straight = world.curl_straight(family.client(201), &[option, &url]);
            assert_eq!(straight.status, 200, "{by:?} {family:?}: {}", straight.said);
        }
        let leaked = net.leaked();
        net.captures(by);
        let refused = world.curl_straight(ordinary, &[&url]);
        assert_eq!(refused.exit, 7, "{by:?}: {}", refused.said);
        assert_eq!(origin.connections(), 2, "{by:?}");
        let served = world.curl(ordinary, &[&url]);
        assert_eq!(served.status, 200, "{by:?}: {}", served.said);
        assert_eq!(origin.connections(), 3, "{by:?}");
        assert_eq!(net.leaked(), leaked, "{by:?}");
        let labels = [("workload", "bureautique"), ("verdict", "allow")];
        world.gate.counted("octroi_attempts_total", &labels, 1);
    }
}

#[test]
fn routes_are_set_once_and_taken_away_whole() {
    let net = Net::new();
    let routing = || {
        let shown = ["-4", "-6"].map(|family| {
            let rules = net.gateway.succeed(tool("ip").args([family, "rule"]));
            let routes = ["route", "show", "table", "all"];
            rules + &net.gateway.succeed(tool("ip").arg(family).args(routes))
        });
        shown.concat()
    };
    let before = routing();
    net.routes("up");
    let up = routing();
    assert_eq!(up.matches("fwmark 0xc7 lookup 199").count(), 2, "{up}");
    net.routes("up");
    assert_eq!(routing(), up, "again");
    net.routes("down");
    assert_eq!(routing(), before);
    net.routes("down");
    assert_eq!(routing(), before, "again");
    let mut command = tool("sh");
    let (code, said) = net
        .gateway
        .run(command.arg(shipped("tproxy-routes")).arg("sideways"));
    assert_eq!(
        (code, &*said),
        (Some(2), "usage: tproxy-routes up | down\n")
    );
}

#[test]
fn the_rule_sets_pass_the_check_that_they_advise() {
    let net = Net::new();
    for by in Capture::BOTH {
        let mut command = tool("nft");
        let said = net
            .gateway
            .succeed(command.args(["-c", "-f"]).arg(by.rules()));
        assert_eq!(said, "", "{by:?}");
        assert_eq!(
            net.gateway.nft(&["list", "tables"]),
            "",
            "a check loads nothing"
        );
    }
}

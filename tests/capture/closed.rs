//! What is not captured goes nowhere, and says so at once.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rustix::io::Errno;

use super::client::{PORTS, ask, assert_captured, assert_refused, datagram, dial, failure, origin};
use super::packets::{
    ACK, FIN, PUSH, RESET, SYN, URGENT, echo_request, raw, send_fragmentation_needed, send_segment,
};
use super::stand_in::StandIn;
use crate::harness::DEADLINE;
use crate::harness::netns::{Capture, Family, Net};

#[test]
fn clients_are_refused_at_once_while_no_gate_listens() {
    for by in Capture::BOTH {
        let net = Net::new();
        net.captures(by);
        for family in Family::BOTH {
            for port in PORTS {
                let to = SocketAddr::from((family.origin(10), port));
                let origin = origin(&net, to);
                assert_refused(&net, family, to);
                origin.assert_untouched();
            }
        }
        net.assert_nothing_leaked();
    }
}

#[test]
fn quic_is_refused_at_once_however_often_it_is_tried() {
    for by in Capture::BOTH {
        let net = Net::new();
        net.captures(by);
        for family in Family::BOTH {
            for port in [443, 80, 853] {
                // More than the kernel answers by itself: six, then one a second.
                for last in 10..30 {
                    let to = SocketAddr::from((family.origin(last), port));
                    let refused = datagram(&net, family.client(200), to).unwrap_err();
                    let kind = refused.kind();
                    assert_eq!(kind, ErrorKind::ConnectionRefused, "{by:?} {to}: {refused}");
                }
            }
        }
        net.assert_nothing_leaked();
    }
}

/// What a refusal says that is a matter of policy: ICMP "administratively prohibited" of either family.
const PROHIBITED: [Errno; 2] = [Errno::HOSTUNREACH, Errno::ACCESS];

#[test]
fn nothing_else_gets_past_the_gate() {
    for by in Capture::BOTH {
        let net = Net::new();
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        for family in Family::BOTH {
            for port in [53, 123, 500, 51820] {
                let to = SocketAddr::from((family.origin(10), port));
                let refused = datagram(&net, family.client(200), to).unwrap_err();
                assert_prohibited(&refused, &format!("{by:?}: UDP to {to}"));
            }
            // A tunnel of the other family, GRE, ESP, SCTP: the kernel does not answer each of them.
            let other = if family == Family::V4 { 41 } else { 4 };
            for protocol in [other, 47, 50, 132] {
                net.client.inside(|| raw(family, protocol).unwrap());
            }
            let refused = net.client.inside(|| echo_request(family)).unwrap_err();
            assert_prohibited(&refused, &format!("{by:?}: ICMP echo, {family:?}"));
        }
        net.assert_nothing_leaked();
    }
}

fn assert_prohibited(refused: &std::io::Error, what: &str) {
    let code = refused.raw_os_error();
    let known = PROHIBITED.map(|errno| Some(errno.raw_os_error()));
    assert!(known.contains(&code), "{what}: {refused}");
}

/// Connection tracking finds such segments invalid, and NAT passes over them.
#[test]
fn segments_that_no_connection_has_do_not_slip_through() {
    for by in Capture::BOTH {
        let net = Net::new();
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        for family in Family::BOTH {
            let to = SocketAddr::from((family.origin(10), 443));
            for flags in [0, FIN | SYN, FIN | PUSH | URGENT, ACK, ACK | FIN, RESET] {
                net.client.inside(|| send_segment(family, to, flags));
            }
            // Later on the same way, and answered: what was before it, has been dealt with.
            datagram(&net, family.client(200), to).unwrap_err();
        }
        net.assert_nothing_leaked();
    }
}

#[test]
fn a_source_that_is_no_clients_goes_nowhere() {
    for by in Capture::BOTH {
        let net = Net::new();
        let gate = StandIn::start(&net, by);
        net.captures(by);
        net.client
            .ip("address add 10.9.9.9/32 dev eth0\naddress add 2001:db8:bad::9/128 dev eth0");
        let forged: [IpAddr; 2] = ["10.9.9.9", "2001:db8:bad::9"].map(|a| a.parse().unwrap());
        for (family, from) in Family::BOTH.into_iter().zip(forged) {
            let to = SocketAddr::from((family.origin(10), 443));
            let silence = datagram(&net, from, to).unwrap_err();
            assert_eq!(silence.kind(), ErrorKind::WouldBlock, "{to}: {silence}");
            let silence = failure(&net, from, to);
            assert_eq!(silence.kind(), ErrorKind::TimedOut, "{to}: {silence}");
        }
        assert_eq!(gate.captured(), []);
        net.assert_nothing_leaked();
    }
}

#[test]
fn captured_packets_without_their_routes_go_nowhere() {
    let net = Net::new();
    let gate = StandIn::start(&net, Capture::Tproxy);
    net.captures(Capture::Tproxy).routes("down");
    for family in Family::BOTH {
        let to = SocketAddr::from((family.origin(10), 443));
        let origin = origin(&net, to);
        let from = family.client(200);
        assert_eq!(failure(&net, from, to).kind(), ErrorKind::TimedOut, "{to}");
        origin.assert_untouched();
    }
    assert_eq!(gate.captured(), []);
    net.assert_nothing_leaked();
}

/// The kernel forwards no packet that it has given to a socket, but an ICMP error is not given to any.
#[test]
fn errors_about_captured_connections_do_not_go_astray_without_their_routes() {
    let net = Net::new();
    let _gate = StandIn::start(&net, Capture::Tproxy);
    net.captures(Capture::Tproxy);
    let to = SocketAddr::from((Family::V4.origin(10), 443));
    let stream = dial(&net, Family::V4.client(200), to).unwrap();
    assert!(ask(&stream).unwrap().contains("captured"));
    net.routes("down");
    let client = stream.local_addr().unwrap();
    net.client.inside(|| send_fragmentation_needed(client, to));
    // Later on the same way, and answered: what was before it, has been dealt with.
    datagram(&net, client.ip(), to).unwrap_err();
    net.assert_nothing_leaked();
}

#[test]
fn no_forwarding_is_needed() {
    for by in Capture::BOTH {
        let net = Net::new();
        let _gate = StandIn::start(&net, by);
        net.captures(by);
        for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            net.gateway.switch(name, "0");
        }
        for family in Family::BOTH {
            let to = SocketAddr::from((family.origin(10), 443));
            assert_captured(&net, family, to);
            let refused = datagram(&net, family.client(200), to).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{by:?} {to}");
        }
        // The second lock: nothing passes even without the rules.
        net.gateway.nft(&["flush", "ruleset"]);
        for family in Family::BOTH {
            let to = SocketAddr::from((family.origin(10), 443));
            let from = family.client(200);
            let unanswered = datagram(&net, from, to).unwrap_err();
            assert_ne!(unanswered.kind(), ErrorKind::ConnectionRefused, "{to}");
        }
        net.assert_nothing_leaked();
    }
}

/// The rules are about what comes from clients, and say nothing of the gateway's other neighbours.
#[test]
fn what_comes_from_elsewhere_passes_as_before() {
    for by in Capture::BOTH {
        let net = Net::new();
        net.captures(by);
        for family in Family::BOTH {
            let to = SocketAddr::from((family.client(200), 443));
            let receives = net.client.inside(|| UdpSocket::bind(to).unwrap());
            receives.set_read_timeout(Some(DEADLINE)).unwrap();
            let from = net
                .internet
                .inside(|| UdpSocket::bind((family.origin(10), 0)).unwrap());
            from.send_to(b"from outside", to).unwrap();
            let mut buffer = [0; 64];
            let (length, _) = receives.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"from outside", "{by:?} {family:?}");
        }
    }
}

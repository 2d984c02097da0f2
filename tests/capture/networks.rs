//! The networks of `harness::netns` are what the other tests take them for.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;

use super::client::{heard, origin};
use crate::harness::eventually;
use crate::harness::netns::{Family, Net};
use crate::harness::tools::{Running, tool};

#[test]
fn without_a_rule_set_clients_reach_the_internet_and_the_meter_sees_it() {
    let net = Net::new();
    for family in Family::BOTH {
        let before = net.leaked();
        let to = SocketAddr::from((family.origin(10), 443));
        let origin = origin(&net, to);
        assert_eq!(heard(&net, family, to).unwrap(), "hello");
        assert_eq!(origin.text(), "hello\n");
        assert!(net.leaked() > before, "{family:?}");
    }
}

#[test]
fn a_client_that_names_no_source_is_an_ordinary_one() {
    let net = Net::new();
    for family in Family::BOTH {
        let to = SocketAddr::from((family.origin(10), 443));
        let socket = net.client.inside(|| UdpSocket::bind(any(family)).unwrap());
        socket.connect(to).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), family.client(201));
    }
}

fn any(family: Family) -> SocketAddr {
    match family {
        Family::V4 => ([0; 4], 0).into(),
        Family::V6 => ([0_u16; 8], 0).into(),
    }
}

#[test]
fn networks_side_by_side_do_not_meet() {
    let (one, other) = (Net::new(), Net::new());
    let to = SocketAddr::from((Family::V4.origin(10), 443));
    let here = origin(&one, to);
    let there = origin(&other, to);
    assert_eq!(heard(&one, Family::V4, to).unwrap(), "hello");
    assert_eq!(here.connections(), 1);
    there.assert_untouched();
}

const INSIDE: &str = "OCTROI_INSIDE_NET";

/// The gate of a test that is killed would otherwise live on, and its networks with it.
#[test]
fn nothing_is_left_of_a_test_that_is_killed() {
    if std::env::var_os(INSIDE).is_some() {
        let net = Net::new();
        let mut sleep = tool("sleep");
        let start = || sleep.arg("600").spawn().unwrap();
        let left = Running(net.gateway.inside(start));
        println!("\nleft {}", left.0.id());
        loop {
            std::thread::park();
        }
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "capture::networks::nothing_is_left_of_a_test_that_is_killed",
        "--nocapture",
    ]);
    command.env(INSIDE, "1").stdout(Stdio::piped());
    let mut killed = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(killed.0.stdout.take().unwrap()).lines();
    let left = lines.find_map(|line| line.unwrap().strip_prefix("left ").map(str::to_owned));
    let network = format!("/proc/{}/ns/net", left.expect("a process is left"));
    assert!(std::fs::read_link(&network).is_ok(), "it runs");
    drop(killed);
    eventually("the process that was left is ended", || {
        std::fs::read_link(&network).err()
    });
}

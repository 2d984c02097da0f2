//! Packets as no well-behaved client sends them.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::client::AT_ONCE;
use crate::harness::netns::Family;

/// Sends one packet of a protocol. Its content is an ICMP echo request of the family.
pub(super) fn raw(family: Family, protocol: i32) -> std::io::Result<Socket> {
    let to = SocketAddr::from((family.origin(10), 0));
    let protocol = Protocol::from(protocol);
    let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(protocol))?;
    socket.connect(&to.into())?;
    let mut echo = match family {
        Family::V4 => [8, 0, 0, 0, 0, 1, 0, 1],
        Family::V6 => [128, 0, 0, 0, 0, 1, 0, 1],
    };
    let sum = checksum(&echo).to_be_bytes();
    echo[2..4].copy_from_slice(&sum);
    socket.send(&echo)?;
    Ok(socket)
}

/// What comes back for an ICMP echo request.
pub(super) fn echo_request(family: Family) -> std::io::Result<usize> {
    let protocol = if family == Family::V4 { 1 } else { 58 };
    let socket = raw(family, protocol)?;
    socket.set_read_timeout(Some(AT_ONCE))?;
    (&socket).read(&mut [0; 256])
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RESET: u8 = 4;
pub(super) const PUSH: u8 = 8;
pub(super) const ACK: u8 = 16;
pub(super) const URGENT: u8 = 32;

/// A TCP segment of eight bytes (RFC 9293 section 3.1) with these flags and a right checksum.
pub(super) fn send_segment(family: Family, to: SocketAddr, flags: u8) {
    let (from, port) = (family.client(200), to.port().to_be_bytes());
    let mut segment = vec![0x9c, 0x40, port[0], port[1], 0, 0, 0, 1, 0, 0, 0, 1];
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(b"smuggled");
    let mut summed = [from, to.ip()].map(octets).concat();
    summed.extend([0, 6, 0, u8::try_from(segment.len()).unwrap()]);
    summed.extend(&segment);
    segment[16..18].copy_from_slice(&checksum(&summed).to_be_bytes());
    let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    // The port of a raw socket is its protocol, or none.
    socket
        .send_to(&segment, &SocketAddr::from((to.ip(), 0)).into())
        .unwrap();
}

/// ICMP "fragmentation needed" (RFC 792) about a segment of the other side's.
pub(super) fn send_fragmentation_needed(to: SocketAddr, from: SocketAddr) {
    let mut message = vec![3, 4, 0, 0, 0, 0, 5, 0];
    message.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    message.extend([from.ip(), to.ip()].map(octets).concat());
    message.extend([from.port(), to.port()].map(u16::to_be_bytes).concat());
    message.extend([0, 0, 0, 1]);
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    let at = SocketAddr::from((from.ip(), 0));
    socket.send_to(&message, &at.into()).unwrap();
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

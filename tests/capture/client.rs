//! What a client tries, and what becomes of it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::netns::{Family, Net};
use crate::harness::origin::{Origin, echo};

/// An answer that takes longer is no refusal "at once": retransmissions and timeouts begin at a second.
pub(super) const AT_ONCE: Duration = Duration::from_millis(900);

/// The ports that are tried: names people know, and one that nobody does.
pub(super) const PORTS: [u16; 4] = [443, 80, 22, 49152];

/// An origin that echoes, in the internet.
pub(super) fn origin(net: &Net, to: SocketAddr) -> Origin {
    net.internet
        .inside(|| Origin::tcp(to.ip(), to.port(), echo()))
}

/// Connects from one address of the client.
pub(super) fn dial(net: &Net, from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    net.client.inside(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket.into())
    })
}

/// A line there, and the line that comes back.
pub(super) fn ask(stream: &TcpStream) -> std::io::Result<String> {
    say(stream, "hello")
}

pub(super) fn say(mut stream: &TcpStream, line: &str) -> std::io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// What a client hears that connects and says a line.
pub(super) fn heard(net: &Net, family: Family, to: SocketAddr) -> std::io::Result<String> {
    ask(&dial(net, family.client(200), to)?)
}

pub(super) fn assert_captured(net: &Net, family: Family, to: SocketAddr) {
    let expected = format!("hello: captured on the way to {to}");
    assert_eq!(heard(net, family, to).unwrap(), expected);
}

/// A connection is refused with a reset, at once.
pub(super) fn assert_refused(net: &Net, family: Family, to: SocketAddr) {
    let refused = failure(net, family.client(200), to);
    assert_eq!(
        refused.kind(),
        ErrorKind::ConnectionRefused,
        "{to}: {refused}"
    );
}

/// Why a connection is not made, within a moment.
pub(super) fn failure(net: &Net, from: IpAddr, to: SocketAddr) -> std::io::Error {
    net.client.inside(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect_timeout(&to.into(), AT_ONCE).unwrap_err()
    })
}

/// What comes back for a datagram.
pub(super) fn datagram(net: &Net, from: IpAddr, to: SocketAddr) -> std::io::Result<Vec<u8>> {
    net.client.inside(|| {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(AT_ONCE))?;
        socket.send(b"hello")?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(buffer[..length].to_vec())
    })
}

//! A proxy without a policy: it goes where it is told, so that it is seen that the table sees it.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::octroi::{DNS, GATE};

/// Serves for as long as the process lives, in the network of the calling thread.
pub(super) fn serve() {
    let listener = TcpListener::bind(GATE).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || pass(client));
        }
    });
}

/// One connection: whoever its first request names gets all of it.
fn pass(mut client: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 100_000 {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let (method, rest) = text.split_once(' ')?;
    let target = rest.split(' ').next()?;
    let is_tunnel = method == "CONNECT";
    let authority = target.trim_start_matches("http://").split('/').next()?;
    let mut origin =
        TcpStream::connect(place(authority, if is_tunnel { 443 } else { 80 })?).ok()?;
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    } else {
        origin.write_all(&head).ok()?;
    }
    let (mut up, mut down) = (client.try_clone().ok()?, origin.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut client);
        let _ = client.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut up, &mut origin);
    origin.shutdown(Shutdown::Write).ok()
}

fn place(authority: &str, usual: u16) -> Option<SocketAddr> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, usual),
    };
    let address = host.trim_matches(['[', ']']).parse().ok();
    Some(SocketAddr::new(address.or_else(|| resolve(host))?, port))
}

/// The first address that the resolver says.
fn resolve(host: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind((DNS, 0)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(format!("{}.", host.trim_end_matches('.'))).ok()?;
    question.add_query(Query::query(name, RecordType::A));
    socket.send_to(&question.to_vec().ok()?, (DNS, 53)).ok()?;
    let mut answer = [0; 4096];
    let size = socket.recv(&mut answer).ok()?;
    let answer = Message::from_vec(&answer[..size]).ok()?;
    answer.answers.iter().find_map(|record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        _ => None,
    })
}

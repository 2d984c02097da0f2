//! Something in the gate's place, which only says what it was handed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::netns::{Capture, Family, Net};

/// Stands where the gate will: takes what is captured, and answers each line with where it was going.
pub(super) struct StandIn {
    captured: Arc<Mutex<Vec<SocketAddr>>>,
}

impl StandIn {
    pub(super) fn start(net: &Net, by: Capture) -> Self {
        let captured = Arc::<Mutex<Vec<SocketAddr>>>::default();
        for family in Family::BOTH {
            let listener = net.gateway.inside(|| listen(by, family).unwrap());
            let captured = Arc::clone(&captured);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let to = destination(by, &stream).unwrap();
                    captured.lock().unwrap().push(to);
                    std::thread::spawn(move || answer(&stream, to));
                }
            });
        }
        Self { captured }
    }

    /// Where the connections were going that were captured so far.
    pub(super) fn captured(&self) -> Vec<SocketAddr> {
        self.captured.lock().unwrap().clone()
    }
}

/// One family a socket: with one for both, the original destination of IPv4 is lost.
fn listen(by: Capture, family: Family) -> std::io::Result<TcpListener> {
    let is_tproxy = by == Capture::Tproxy;
    let socket = match family {
        Family::V4 => {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_ip_transparent_v4(is_tproxy)?;
            socket.bind(&SocketAddr::from(([0; 4], Capture::PORT4)).into())?;
            socket
        }
        Family::V6 => {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
            socket.set_only_v6(true)?;
            socket.set_ip_transparent_v6(is_tproxy)?;
            socket.bind(&SocketAddr::from(([0_u16; 8], Capture::PORT6)).into())?;
            socket
        }
    };
    socket.listen(128)?;
    Ok(socket.into())
}

/// Where a client was going.
fn destination(by: Capture, stream: &TcpStream) -> std::io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    let socket = SockRef::from(stream);
    let original = match (by, local) {
        (Capture::Tproxy, _) => return Ok(local),
        (Capture::Redirect, SocketAddr::V4(_)) => socket.original_dst_v4()?,
        (Capture::Redirect, SocketAddr::V6(_)) => socket.original_dst_v6()?,
    };
    Ok(original.as_socket().unwrap())
}

fn answer(mut stream: &TcpStream, to: SocketAddr) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    for line in lines {
        if writeln!(stream, "{line}: captured on the way to {to}").is_err() {
            return;
        }
    }
}

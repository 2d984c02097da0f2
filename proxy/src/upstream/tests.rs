use std::net::Ipv4Addr;

use octroi_policy::catalogue::WorkloadIx;
use octroi_policy::decision::{Ground, Piece, PieceIx, Ruling, Who};
use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A decision on `addresses`, found behind a name.
fn decision(addresses: &[IpAddr], grounds: Vec<Ground>) -> Decision {
    let piece = |address: &IpAddr| Piece {
        kind: octroi_policy::flow::EvidenceKind::Address,
        value: Host::from(*address),
        class: Default::default(),
        local: None,
    };
    Decision {
        at: jiff::Timestamp::UNIX_EPOCH,
        who: Who {
            workloads: vec![WorkloadIx(0)],
            ministry: None,
        },
        pieces: addresses.iter().map(piece).collect(),
        hits: Vec::new(),
        lifts: Vec::new(),
        outcome: None,
        sni: None,
        enforced: Ruling { grounds },
        trial: Ruling::default(),
    }
}

fn permit(addresses: &[IpAddr], port: u16) -> Permit {
    Permit::new(&decision(addresses, Vec::new()), addresses, port).unwrap()
}

fn dialler(patience: Duration) -> Dialler {
    Dialler {
        connect_timeout: patience,
        own: OwnAddrs::default(),
        detour: None,
    }
}

/// A listening socket that answers nobody: its backlog is full.
#[expect(clippy::disallowed_methods, reason = "the test fills a backlog")]
async fn silent(address: &str, port: u16) -> (socket2::Socket, Vec<std::net::TcpStream>, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(ip(address), port).into())
        .unwrap();
    socket.listen(0).unwrap();
    let bound = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&bound, Duration::from_millis(100))
    {
        held.push(stream);
    }
    (socket, held, bound.port())
}

#[test]
fn a_denial_gives_no_permit() {
    let addresses = [ip("192.0.2.1")];
    let denied = decision(&addresses, vec![Ground::Default(PieceIx(0))]);
    assert_eq!(Permit::new(&denied, &addresses, 443), None);
}

#[test]
fn an_address_that_was_not_judged_gives_no_permit() {
    let allowed = decision(&[ip("192.0.2.1")], Vec::new());
    assert_eq!(
        Permit::new(&allowed, &[ip("192.0.2.1"), ip("192.0.2.2")], 443),
        None
    );
    assert_eq!(Permit::new(&allowed, &[], 443), None);
    assert!(Permit::new(&allowed, &[ip("::ffff:192.0.2.1")], 443).is_some());
}

#[test]
fn families_take_turns() {
    let addresses = [
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::3",
        "192.0.2.1",
        "192.0.2.2",
    ]
    .map(ip);
    let tried = permit(&addresses, 443);
    let tried: Vec<String> = tried
        .addresses()
        .iter()
        .map(|a| a.ip().to_string())
        .collect();
    assert_eq!(
        tried,
        [
            "2001:db8::1",
            "192.0.2.1",
            "2001:db8::2",
            "192.0.2.2",
            "2001:db8::3"
        ]
    );
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_refuses() {
    let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let permit = permit(&[ip("127.0.0.2"), ip("127.0.0.3")], port);
    let stream = dialler(PATIENCE).connect(&permit).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap().ip(), ip("127.0.0.3"));
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn the_next_address_joins_in_when_the_first_is_silent() {
    let (_socket, _held, port) = silent("127.0.0.4", 0).await;
    let _listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 5), port))
        .await
        .unwrap();
    let permit = permit(&[ip("127.0.0.4"), ip("127.0.0.5")], port);
    let began = Instant::now();
    let stream = dialler(PATIENCE).connect(&permit).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap().ip(), ip("127.0.0.5"));
    assert!(began.elapsed() >= ATTEMPT_DELAY);
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn silence_is_a_timeout_and_refusal_a_refusal() {
    let (_socket, _held, port) = silent("127.0.0.6", 0).await;
    let short = dialler(Duration::from_millis(200));
    let error = short
        .connect(&permit(&[ip("127.0.0.6")], port))
        .await
        .unwrap_err();
    assert_eq!((error, error.status()), (DialError::Timeout, 504));
    let error = short
        .connect(&permit(&[ip("127.0.0.7")], port))
        .await
        .unwrap_err();
    assert_eq!((error, error.status()), (DialError::Refused, 502));
}

#[tokio::test]
async fn it_does_not_dial_itself_even_as_one_address_of_several() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = OwnAddrs::new([SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)]);
    let dialler = Dialler {
        connect_timeout: PATIENCE,
        own,
        detour: None,
    };
    for addresses in [
        vec![ip("127.0.0.1")],
        vec![ip("192.0.2.1"), ip("127.0.0.1")],
    ] {
        let error = dialler
            .connect(&permit(&addresses, port))
            .await
            .unwrap_err();
        assert_eq!((error, error.status()), (DialError::Loop, 403));
    }
}

#[test]
fn errors_are_told_apart() {
    for (errno, expected) in [
        (Errno::CONNREFUSED, DialError::Refused),
        (Errno::HOSTUNREACH, DialError::Unreachable),
        (Errno::TIMEDOUT, DialError::Timeout),
        (Errno::CONNRESET, DialError::Reset),
        (Errno::PERM, DialError::Forbidden),
        (Errno::MFILE, DialError::Exhausted),
        (Errno::INVAL, DialError::Other),
    ] {
        assert_eq!(DialError::of(&io::Error::from(errno)), expected);
    }
}

use bytes::BytesMut;
use octroi_policy::flow::Source;
use pingora::protocols::l4::stream::Stream as L4Stream;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use octroi_wire::proxy_header::Transport;

use crate::addr::{ClientAddr, LocalAddr};
use crate::limits::Admission;
use crate::upstream::Lane;

fn parsed(text: &str) -> Result<Request, Refused> {
    match octroi_wire::head::read(text.as_bytes(), 64 * 1024).unwrap() {
        Status::Complete(head, _) => Request::new(head),
        Status::NeedMore => panic!("not a whole head: {text}"),
    }
}

#[test]
fn a_request_says_what_it_is_for() {
    for (text, protocol, asked) in [
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            Protocol::Connect,
            "a.example:443",
        ),
        (
            "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: x\r\n\r\n",
            Protocol::Connect,
            "[2001:db8::1]:8443",
        ),
        (
            "GET http://A.example./x HTTP/1.1\r\nHost: b.example\r\n\r\n",
            Protocol::Http,
            "a.example:80",
        ),
        (
            "POST http://a.example:8080/ HTTP/1.0\r\n\r\n",
            Protocol::Http,
            "a.example:8080",
        ),
        (
            "OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Protocol::Http,
            "a.example:80",
        ),
    ] {
        let request = parsed(text).unwrap();
        assert_eq!(
            (request.protocol, &*request.asked()),
            (protocol, asked),
            "{text}"
        );
    }
}

#[test]
fn what_no_proxy_serves_is_refused_in_its_own_words() {
    let via = crate::reply::pseudonym();
    let again =
        |line: &str| format!("{line} HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 {via}\r\n\r\n");
    for (text, fault) in [
        (
            "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::ORIGIN_FORM,
        ),
        (
            "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::HTTPS_WITHOUT_TUNNEL,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::ASTERISK_FORM,
        ),
        (
            "TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::METHOD,
        ),
        (&again("GET http://a.example/"), fault::VIA_LOOP),
        (&again("CONNECT a.example:443"), fault::VIA_LOOP),
    ] {
        let refused = parsed(text).unwrap_err();
        assert_eq!(refused.fault, fault, "{text}");
    }
}

/// A client and the gate's end of its connection.
#[expect(clippy::disallowed_methods, reason = "the test is the client")]
async fn connected() -> (TcpStream, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, address) = listener.accept().await.unwrap();
    let gate = Client {
        stream: Box::new(L4Stream::from(stream)),
        buffer: BytesMut::new(),
        address: ClientAddr::new(address),
        source: Source::from_address(address.ip()),
        balancer: None,
        original: None,
        transport: Transport::Plain,
        local: LocalAddr::new(listener.local_addr().unwrap()),
        listener: "explicit".into(),
        lane: Lane::draw(),
        visit: Admission::new(1, 1).visit(),
    };
    (client, gate)
}

fn limits(head: usize, head_timeout: Duration) -> Limits {
    Limits {
        head,
        head_timeout,
        ..Limits::default()
    }
}

const PATIENT: Duration = Duration::from_secs(30);
const GET: &[u8] = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";

#[tokio::test]
async fn what_follows_a_head_stays_for_later() {
    let (mut client, mut gate) = connected().await;
    let (_leave, shutdown) = watch::channel(false);
    client
        .write_all(&[GET, b"and then"].concat())
        .await
        .unwrap();
    let head = read_head(&mut gate, &limits(1024, PATIENT), Turn::First, &shutdown).await;
    assert_eq!(head.unwrap().unwrap().method, "GET");
    assert_eq!(&gate.buffer[..], b"and then");
}

#[tokio::test]
async fn two_heads_at_once_are_read_one_after_the_other() {
    let (mut client, mut gate) = connected().await;
    let (_leave, shutdown) = watch::channel(false);
    client.write_all(&[GET, GET].concat()).await.unwrap();
    for turn in [Turn::First, Turn::Next] {
        let head = read_head(&mut gate, &limits(1024, PATIENT), turn, &shutdown).await;
        assert_eq!(head.unwrap().unwrap().method, "GET");
    }
    assert!(gate.buffer.is_empty());
}

#[tokio::test]
async fn a_head_that_drips_runs_out_of_time() {
    let (mut client, mut gate) = connected().await;
    let (_leave, shutdown) = watch::channel(false);
    let drip = tokio::spawn(async move {
        for byte in GET.iter().cycle().take(40) {
            if client.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client
    });
    let limits = limits(1024, Duration::from_millis(500));
    let read = read_head(&mut gate, &limits, Turn::First, &shutdown).await;
    assert_eq!(read.unwrap_err(), fault::HEAD_TIMEOUT);
    drip.await.unwrap();
}

#[tokio::test]
async fn too_long_and_cut_off_are_faults_and_silence_is_none() {
    let (_leave, shutdown) = watch::channel(false);
    let (mut client, mut gate) = connected().await;
    client
        .write_all(&[GET, &[b'x'; 600]].concat()[..40])
        .await
        .unwrap();
    let read = read_head(&mut gate, &limits(32, PATIENT), Turn::First, &shutdown).await;
    assert_eq!(read.unwrap_err().status().as_u16(), 431);

    let (mut client, mut gate) = connected().await;
    client.write_all(&GET[..20]).await.unwrap();
    drop(client);
    let read = read_head(&mut gate, &limits(1024, PATIENT), Turn::First, &shutdown).await;
    assert_eq!(read.unwrap_err(), fault::HEAD_CUT);

    let (client, mut gate) = connected().await;
    let short = limits(1024, Duration::from_millis(100));
    assert!(
        read_head(&mut gate, &short, Turn::First, &shutdown)
            .await
            .unwrap()
            .is_none()
    );
    drop(client);
    assert!(
        read_head(&mut gate, &short, Turn::Next, &shutdown)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_waiting_connection_is_let_go_when_the_gate_leaves() {
    let (_client, mut gate) = connected().await;
    let (leave, shutdown) = watch::channel(false);
    let waiting = tokio::spawn(async move {
        read_head(&mut gate, &limits(1024, PATIENT), Turn::Next, &shutdown)
            .await
            .unwrap()
            .is_none()
    });
    leave.send(true).unwrap();
    assert!(waiting.await.unwrap());
}

fn captured(text: &str, original: &str) -> Result<Request, Refused> {
    let Ok(Status::Complete(head, _)) = octroi_wire::head::read(text.as_bytes(), 1 << 16) else {
        panic!("{text} is no head");
    };
    Request::captured(head, OriginalDst::new(original.parse().unwrap()))
}

#[test]
fn a_captured_request_is_for_its_host_on_the_port_it_was_on_its_way_to() {
    for (head, original, target, port, sent) in [
        (
            "GET /a HTTP/1.1\r\nHost: A.example\r\n\r\n",
            "192.0.2.9:80",
            "a.example",
            80,
            "a.example",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n",
            "192.0.2.9:8080",
            "a.example",
            8080,
            "a.example:8080",
        ),
        (
            "GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n",
            "192.0.2.9:80",
            "192.0.2.7",
            80,
            "192.0.2.7",
        ),
        (
            "GET / HTTP/1.0\r\n\r\n",
            "192.0.2.9:80",
            "192.0.2.9",
            80,
            "192.0.2.9",
        ),
        (
            "GET / HTTP/1.0\r\n\r\n",
            "[2001:db8::9]:8080",
            "[2001:db8::9]",
            8080,
            "[2001:db8::9]:8080",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "192.0.2.9:80",
            "a.example",
            80,
            "a.example",
        ),
        (
            "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "192.0.2.9:80",
            "a.example",
            80,
            "a.example",
        ),
    ] {
        let request = captured(head, original).unwrap();
        assert_eq!(
            (request.target.to_string().as_str(), request.port),
            (target, port),
            "{head}"
        );
        assert_eq!(request.protocol, Protocol::Http);
        let mut out = Vec::new();
        request.head.write_origin_form("octroi", &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(&format!("\r\nHost: {sent}\r\n")), "{out}");
    }
}

#[test]
fn a_captured_request_for_somebody_else_is_refused() {
    let via = crate::reply::pseudonym();
    let again = format!("GET / HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 {via}\r\n\r\n");
    for (head, fault) in [
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::FOREIGN_PROXY,
        ),
        (
            "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::FOREIGN_PROXY,
        ),
        (
            "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::MISDIRECTED,
        ),
        (
            "GET http://a.example:8080/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            fault::MISDIRECTED,
        ),
        ("TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n", fault::METHOD),
        (&again, fault::VIA_LOOP),
    ] {
        assert_eq!(
            captured(head, "192.0.2.9:80").unwrap_err().fault,
            fault,
            "{head}"
        );
    }
}

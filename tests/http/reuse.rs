//! Connections to origins that are used again: what was left on one is nobody's answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::{answer, answers, ask, get, read_request, say};
use crate::harness::eventually;
use crate::harness::origin::{Behaviour, http, read_head};
use crate::harness::world::World;

const HONEST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest";
const SURPLUS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";

#[test]
fn a_second_answer_to_one_request_is_nobodys() {
    const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
    let world = World::new();
    for (last, first) in (10..).zip([TWO, CHUNKED]) {
        let host = format!("two{last}.example");
        let origin = world.origin(&host, last, 80, answers(vec![first, HONEST].leak()));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/", &["Accept: a"]));
        assert_eq!(wire.head().status, 200);
        eventually("the answer is there", || {
            let mut byte = [0; 64];
            let seen = wire.stream.peek(&mut byte).unwrap();
            (seen >= 3).then_some(())
        });
        let mut other = world.wire(world.block.ip(203));
        other.send(get(&host, "/", &[]));
        assert_eq!(answer(&mut other), (200, "honest".into()));
        assert_eq!(origin.connections(), 2);
    }
}

/// Answers the first request, waits for a word, says more, says so; then answers honestly.
fn speaks_up(go: Receiver<()>, said: Sender<()>) -> Behaviour {
    let first = Mutex::new(Some((go, said)));
    Arc::new(move |conn| {
        let first = first.lock().unwrap().take();
        if let Some((go, said)) = first {
            read_request(conn).unwrap();
            say(conn, HONEST).unwrap();
            go.recv().unwrap();
            let _ = say(conn, SURPLUS);
            let _ = said.send(());
        }
        while read_request(conn).is_some() {
            let _ = say(conn, HONEST);
        }
    })
}

/// Many times, and asked at once: the bytes are in the gate's kernel, and perhaps nobody has looked.
#[test]
fn an_answer_that_nobody_asked_for_is_not_the_next_ones() {
    let world = World::new();
    for last in 10..60 {
        let host = format!("up{last}.example");
        let (go, gone) = channel();
        let (tell, told) = channel();
        world.origin(&host, last, 80, speaks_up(gone, tell));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/1", &[]));
        assert_eq!(answer(&mut wire), (200, "honest".into()));
        go.send(()).unwrap();
        told.recv().unwrap();
        wire.send(get(&host, "/2", &[]));
        assert_eq!(answer(&mut wire), (200, "honest".into()), "{host}");
    }
}

/// Even an answer that comes in the same instant as the next client's request cannot be that client's.
#[test]
fn a_connection_to_an_origin_serves_one_client_connection() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let ask = |wire: &mut crate::harness::client::Wire| {
        wire.send(get("news.example", "/", &[]));
        assert_eq!(answer(wire).0, 200);
    };
    let mut one = world.ordinary();
    ask(&mut one);
    ask(&mut one);
    assert_eq!(origin.connections(), 1, "kept for the same client");
    let mut two = world.ordinary();
    ask(&mut two);
    assert_eq!(origin.connections(), 2, "not lent to another");
    ask(&mut one);
    ask(&mut two);
    assert_eq!(origin.connections(), 2);
}

/// NTLM and Negotiate authenticate a connection: who comes next on it is taken for the same person.
#[test]
fn a_login_that_holds_for_a_connection_is_not_lent_to_others() {
    let world = World::new();
    world.origin(
        "sso.example",
        10,
        80,
        Arc::new(|conn| {
            let mut user = "nobody".to_owned();
            while let Some(head) = read_request(conn) {
                if let Some((_, token)) = head.split_once("Authorization: NTLM ") {
                    user = token.lines().next().unwrap_or_default().to_owned();
                }
                let length = user.len();
                let _ = say(
                    conn,
                    &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{user}"),
                );
            }
        }),
    );
    let mut alice = world.ordinary();
    alice.send(get("sso.example", "/", &["Authorization: NTLM alice"]));
    assert_eq!(answer(&mut alice).1, "alice");
    let mut mallory = world.ordinary();
    mallory.send(get("sso.example", "/", &[]));
    assert_eq!(answer(&mut mallory).1, "nobody");
    alice.send(get("sso.example", "/", &[]));
    assert_eq!(answer(&mut alice).1, "alice", "and for her it holds");
}

/// An answer before the request was whole: nobody knows for what the origin takes the rest of the body.
#[test]
fn after_an_answer_before_its_time_the_connection_is_not_used_again() {
    let world = World::new();
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(Some(gone));
    let origin = world.origin(
        "early.example",
        10,
        80,
        Arc::new(move |conn| {
            let first = gone.lock().unwrap().take();
            if let Some(gone) = first {
                let _ = read_head(conn);
                let _ = say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
                gone.recv().unwrap();
                let mut body = [0; 4];
                let _ = conn.read_exact(&mut body);
            }
            while read_request(conn).is_some() {
                let _ = say(conn, HONEST);
            }
        }),
    );
    let mut wire = world.ordinary();
    wire.send(ask("POST", "early.example", "/", &["Content-Length: 4"]));
    let head = wire.head();
    assert_eq!(wire.body(&head), "early");
    assert_eq!(head.field("connection"), Some("close"), "{}", head.text);
    go.send(()).unwrap();
    wire.send(format!("body{}", get("early.example", "/next", &[])));
    assert!(wire.rest().is_empty());
    let mut again = world.ordinary();
    again.send(get("early.example", "/", &[]));
    assert_eq!(answer(&mut again), (200, "honest".into()));
    assert_eq!(origin.connections(), 2);
    assert!(!origin.text().contains("/next"));
}

#[test]
fn what_an_origin_keeps_no_connection_for_is_not_kept() {
    const CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none";
    const OLD: &str = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none";
    let world = World::new();
    for (last, first) in (10..).zip([CLOSE, OLD]) {
        let host = format!("close{last}.example");
        let origin = world.origin(&host, last, 80, answers(vec![first, HONEST].leak()));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/", &[]));
        assert_eq!(answer(&mut wire), (200, "one".into()));
        wire.send(get(&host, "/", &[]));
        assert_eq!(
            answer(&mut wire),
            (200, "honest".into()),
            "the client keeps its own"
        );
        assert_eq!(origin.connections(), 2);
    }
}

//! Plain HTTP through the gate: one reading of every message, seen with bare sockets on both sides.

mod bodies;
mod hops;
mod responses;
mod reuse;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::client::Wire;
use crate::harness::origin::{Behaviour, Conn, read_body, read_head};

/// A GET in absolute form, with more field lines.
fn get(host: &str, path: &str, fields: &[&str]) -> String {
    ask("GET", host, path, fields)
}

fn ask(method: &str, host: &str, path: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

/// An origin that answers each request that it read whole with the next of these texts, whatever the connection,
/// and keeps the connection.
fn answers(texts: &'static [&'static str]) -> Behaviour {
    let next = AtomicUsize::new(0);
    Arc::new(move |conn| {
        while read_request(conn).is_some() {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let text = texts.get(at).copied().unwrap_or_default();
            if say(conn, text).is_none() {
                return;
            }
        }
    })
}

/// An origin that answers each head with the same text, and keeps the connection.
fn repeats(text: &'static str) -> Behaviour {
    Arc::new(move |conn| {
        while read_head(conn).is_some() {
            let _ = say(conn, text);
        }
    })
}

/// One whole request.
fn read_request(conn: &mut dyn Conn) -> Option<String> {
    let head = read_head(conn)?;
    read_body(conn, &head);
    Some(head)
}

fn say(conn: &mut dyn Conn, text: &str) -> Option<()> {
    conn.write_all(text.as_bytes()).ok()?;
    conn.flush().ok()
}

/// Status and body of the next answer, which says how long it is.
fn answer(wire: &mut Wire) -> (u16, String) {
    let head = wire.head();
    let body = wire.body(&head);
    (head.status, body)
}

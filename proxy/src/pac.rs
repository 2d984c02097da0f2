//! `/proxy.pac` and `/wpad.dat`: which requests browsers bring to the gate, and where it is.
//!
//! The logic is `find.js`, in the JavaScript of the oldest engines; this module fills in the tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use octroi_wire::proxy_header::Transport;

use crate::addr::LocalAddr;
use crate::config::Pac;
use crate::config::pac::Direct;

const FIND: &str = include_str!("pac/find.js");

/// The file for a client that reached the gate at `local`. The proxies named in `pac` are spoken to as
/// the client spoke: who asks over TLS is sent to TLS.
#[must_use]
pub fn text(pac: &Pac, local: LocalAddr, transport: Transport) -> String {
    let mut proxies: Vec<String> = pac.proxies.iter().map(ToString::to_string).collect();
    if proxies.is_empty() {
        proxies.push(local.to_string());
    }
    let gate: Vec<String> = proxies
        .iter()
        .map(|proxy| format!("{} {proxy}", keyword(transport)))
        .collect();
    let own: Vec<String> = proxies.iter().map(|proxy| page(proxy, transport)).collect();
    let mut names = vec![".localhost".to_owned()];
    let mut networks = vec![
        leading_bits(&IpNet::new_assert(
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            8,
        )),
        leading_bits(&IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))),
    ];
    for direct in &pac.direct {
        match direct {
            Direct::Network(network) => networks.push(leading_bits(network)),
            name => names.push(name.to_string()),
        }
    }
    FIND.replace("{{gate}}", &script(&gate.join("; ")))
        .replace("{{own}}", &list(&own))
        .replace("{{names}}", &list(&names))
        .replace("{{networks}}", &list(&networks))
}

/// The word for a proxy that is spoken to so.
fn keyword(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "PROXY",
        Transport::Tls => "HTTPS",
    }
}

/// How the address of a page of the gate begins, as browsers write it: without the scheme's own port.
fn page(proxy: &str, transport: Transport) -> String {
    let (scheme, port) = match transport {
        Transport::Plain => ("http", ":80"),
        Transport::Tls => ("https", ":443"),
    };
    let shown = proxy.strip_suffix(port).unwrap_or(proxy);
    format!("{scheme}://{shown}/")
}

/// The family and the bits that all addresses of a network share: `4:00001010` for `10.0.0.0/8`.
fn leading_bits(network: &IpNet) -> String {
    let (family, bits) = match network.network() {
        IpAddr::V4(address) => (4, format!("{:032b}", address.to_bits())),
        IpAddr::V6(address) => (6, format!("{:0128b}", address.to_bits())),
    };
    let shared = usize::from(network.prefix_len());
    format!("{family}:{}", bits.get(..shared).unwrap_or(&bits))
}

fn list(all: &[String]) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|text| format!("\n  {}", script(text)))
        .collect();
    format!("[{}\n]", all.join(","))
}

/// A string of JavaScript; nothing in it ends the string, the line or an element around it.
fn script(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars() {
        match c {
            ' ' | '!' | '#'..='%' | '('..=';' | '=' | '?'..='[' | ']'..='~' => string.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    string.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests;

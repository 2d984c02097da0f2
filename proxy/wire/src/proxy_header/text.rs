//! Version 1: one line of text.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{MAX_TEXT, ProxyHeaderError, Sender, Status, Transport, client};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

pub(super) fn read(bytes: &[u8]) -> Result<Status, ProxyHeaderError> {
    let window = &bytes[..bytes.len().min(MAX_TEXT)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        check(window)?;
        return if window.len() == MAX_TEXT {
            Err(ProxyHeaderError::TooLong)
        } else {
            Ok(Status::NeedMore)
        };
    };
    let line = window[..end].strip_suffix(b"\r");
    let line = line.ok_or(ProxyHeaderError::LineEnd)?;
    if line.contains(&b'\r') {
        return Err(ProxyHeaderError::LineEnd);
    }
    check(line)?;
    Ok(Status::Complete(sender(line)?, end + 1))
}

/// Printable ASCII, up to a CR that may begin the line end.
fn check(line: &[u8]) -> Result<(), ProxyHeaderError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    if line.iter().all(printable) {
        Ok(())
    } else {
        Err(ProxyHeaderError::LineEnd)
    }
}

fn sender(line: &[u8]) -> Result<Sender, ProxyHeaderError> {
    let line = std::str::from_utf8(line).map_err(|_| ProxyHeaderError::LineEnd)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        // Whatever follows is not looked at (section 2.1).
        [_, "UNKNOWN", ..] => Ok(Sender::Balancer),
        [_, "TCP4", source, destination, from, to] => {
            let address = |text, port| socket(canonical::<Ipv4Addr>(text)?.into(), port);
            client(
                address(source, from)?,
                address(destination, to)?,
                Transport::Plain,
            )
        }
        [_, "TCP6", source, destination, from, to] => {
            let address = |text, port| socket(canonical::<Ipv6Addr>(text)?.into(), port);
            client(
                address(source, from)?,
                address(destination, to)?,
                Transport::Plain,
            )
        }
        [_, "TCP4" | "TCP6", ..] => Err(ProxyHeaderError::Syntax),
        _ => Err(ProxyHeaderError::Family),
    }
}

/// An address in the one form that senders write; IPv6 in either case of letters (section 2.1).
fn canonical<A: FromStr + Display>(text: &str) -> Result<A, ProxyHeaderError> {
    let address: A = text.parse().map_err(|_| ProxyHeaderError::Address)?;
    if address.to_string().eq_ignore_ascii_case(text) {
        Ok(address)
    } else {
        Err(ProxyHeaderError::Address)
    }
}

fn socket(ip: IpAddr, port: &str) -> Result<SocketAddr, ProxyHeaderError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = port.len() > 1 && port.starts_with('0');
    if !digits || leading_zero {
        return Err(ProxyHeaderError::Port);
    }
    let port = port.parse().map_err(|_| ProxyHeaderError::Port)?;
    Ok(SocketAddr::new(ip, port))
}

//! Version 2: a binary header with optional fields (TLV).

use std::net::{IpAddr, SocketAddr};

use super::{MAX_BINARY, ProxyHeaderError, Sender, Status, Transport, client};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family, and the length of what follows.
const FIXED: usize = 16;

const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Optional fields that mean something here (section 2.2).
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
/// In the first byte of an SSL field: the client speaks TLS to the balancer.
const CLIENT_SSL: u8 = 0x01;
/// Bytes of an SSL field before the fields inside it: the flags and the result of verification.
const SSL_FIXED: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

pub(super) fn read(bytes: &[u8]) -> Result<Status, ProxyHeaderError> {
    let Some(&version_and_command) = bytes.get(12) else {
        return Ok(Status::NeedMore);
    };
    let command = command(version_and_command)?;
    let Some(&family) = bytes.get(13) else {
        return Ok(Status::NeedMore);
    };
    let addresses = addresses(command, family)?;
    let Some(&[high, low]) = bytes.get(14..FIXED) else {
        return Ok(Status::NeedMore);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BINARY {
        return Err(ProxyHeaderError::TooLong);
    }
    if length < FIXED + addresses {
        return Err(ProxyHeaderError::Length);
    }
    let Some(header) = bytes.get(..length) else {
        return Ok(Status::NeedMore);
    };
    let sender = sender(header, command, family, addresses)?;
    Ok(Status::Complete(sender, length))
}

fn command(byte: u8) -> Result<Command, ProxyHeaderError> {
    match (byte >> 4, byte & 0x0f) {
        (2, 0) => Ok(Command::Local),
        (2, 1) => Ok(Command::Proxy),
        (2, _) => Err(ProxyHeaderError::Command),
        _ => Err(ProxyHeaderError::Version),
    }
}

/// Bytes of the two addresses and ports. The family of a LOCAL one says nothing (section 2.2).
fn addresses(command: Command, family: u8) -> Result<usize, ProxyHeaderError> {
    match (command, family) {
        (Command::Local, _) | (_, UNSPECIFIED) => Ok(0),
        (_, TCP_OVER_IPV4) => Ok(12),
        (_, TCP_OVER_IPV6) => Ok(36),
        _ => Err(ProxyHeaderError::Family),
    }
}

fn sender(
    header: &[u8],
    command: Command,
    family: u8,
    addresses: usize,
) -> Result<Sender, ProxyHeaderError> {
    if command == Command::Local && family != UNSPECIFIED {
        // What it holds is to be thrown away unread (section 2.2).
        return Ok(Sender::Balancer);
    }
    let (block, fields) = header[FIXED..].split_at(addresses);
    let transport = extras(header, fields)?;
    match family {
        TCP_OVER_IPV4 => pair::<4>(block, transport),
        TCP_OVER_IPV6 => pair::<16>(block, transport),
        _ => Ok(Sender::Balancer),
    }
}

/// Two addresses of N bytes, then their ports.
fn pair<const N: usize>(block: &[u8], transport: Transport) -> Result<Sender, ProxyHeaderError>
where
    IpAddr: From<[u8; N]>,
{
    let parts = || {
        let (source, rest) = block.split_first_chunk::<N>()?;
        let (destination, ports) = rest.split_first_chunk::<N>()?;
        let &[a, b, c, d] = ports else { return None };
        let socket =
            |ip: &[u8; N], port| SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(port));
        Some((socket(source, [a, b]), socket(destination, [c, d])))
    };
    let (source, destination) = parts().ok_or(ProxyHeaderError::Length)?;
    client(source, destination, transport)
}

/// Checks the optional fields; what they say about the client's side.
fn extras(header: &[u8], mut fields: &[u8]) -> Result<Transport, ProxyHeaderError> {
    let mut transport = None;
    let mut checked = false;
    while !fields.is_empty() {
        let at = header.len() - fields.len();
        let (kind, value, rest) = field(fields)?;
        match kind {
            CRC32C if checked => return Err(ProxyHeaderError::Checksum),
            CRC32C => {
                verify(header, at + 3, value)?;
                checked = true;
            }
            SSL if transport.is_some() => return Err(ProxyHeaderError::Repeated),
            SSL => transport = Some(ssl(value)?),
            _ => {}
        }
        fields = rest;
    }
    Ok(transport.unwrap_or(Transport::Plain))
}

/// One field: its type, its value, and what follows.
fn field(fields: &[u8]) -> Result<(u8, &[u8], &[u8]), ProxyHeaderError> {
    let (&[kind, high, low], rest) = fields.split_first_chunk().ok_or(ProxyHeaderError::Length)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (value, rest) = rest
        .split_at_checked(length)
        .ok_or(ProxyHeaderError::Length)?;
    Ok((kind, value, rest))
}

fn ssl(value: &[u8]) -> Result<Transport, ProxyHeaderError> {
    let (fixed, mut inside) = value
        .split_first_chunk::<SSL_FIXED>()
        .ok_or(ProxyHeaderError::Length)?;
    while !inside.is_empty() {
        inside = field(inside)?.2;
    }
    let is_tls = fixed[0] & CLIENT_SSL != 0;
    Ok(if is_tls {
        Transport::Tls
    } else {
        Transport::Plain
    })
}

/// The checksum of the whole header, its own four bytes taken as zero (section 2.2.3).
fn verify(header: &[u8], at: usize, value: &[u8]) -> Result<(), ProxyHeaderError> {
    let &[a, b, c, d] = value else {
        return Err(ProxyHeaderError::Length);
    };
    let zeroed = header.iter().enumerate().map(|(ix, &byte)| {
        let own = (at..at + 4).contains(&ix);
        if own { 0 } else { byte }
    });
    if crc32c(zeroed) == u32::from_be_bytes([a, b, c, d]) {
        Ok(())
    } else {
        Err(ProxyHeaderError::Checksum)
    }
}

/// CRC-32C (Castagnoli), bit by bit: headers are short, and few carry one.
pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = crc & 1 != 0;
            crc = (crc >> 1) ^ if carry { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

//! The body of a ClientHello message (RFC 8446 §4.1.2) and the extensions we look into.

use std::net::IpAddr;

use octroi_policy::{Host, NameError};

use super::cursor::Cursor;
use super::{ClientHello, Ech, Malformed, Sni};

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// Reads the body, to its last byte.
pub(super) fn read(body: &[u8]) -> Result<ClientHello, Malformed> {
    let mut body = Cursor::new(body);
    let legacy_version = body.u16()?;
    body.take(32)?; // random
    if body.vector8()?.len() > 32 {
        return Err(Malformed::Length); // session id
    }
    let suites = body.vector16()?;
    if suites.is_empty() || suites.len() % 2 != 0 || body.vector8()?.is_empty() {
        return Err(Malformed::Length); // cipher suites, compression methods
    }
    let mut hello = ClientHello {
        sni: Sni::Absent,
        alpn: Vec::new(),
        ech: None,
        versions: Vec::new(),
        legacy_version,
        extensions: Vec::new(),
    };
    // Clients before TLS 1.2 may leave the extensions out altogether.
    if !body.is_empty() {
        extensions(body.vector16()?, &mut hello)?;
    }
    body.end()?;
    Ok(hello)
}

fn extensions(bytes: &[u8], hello: &mut ClientHello) -> Result<(), Malformed> {
    let mut rest = Cursor::new(bytes);
    while !rest.is_empty() {
        let kind = rest.u16()?;
        let body = Cursor::new(rest.vector16()?);
        hello.extensions.push(kind);
        match kind {
            SERVER_NAME => hello.sni = server_name(body)?,
            ALPN => hello.alpn = alpn(body)?,
            SUPPORTED_VERSIONS => hello.versions = versions(body)?,
            ENCRYPTED_CLIENT_HELLO => hello.ech = Some(ech(body)?),
            _ => {}
        }
    }
    let mut kinds = hello.extensions.clone();
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Malformed::DuplicateExtension);
    }
    Ok(())
}

/// Exactly one entry, of the only type there is (RFC 6066 §3: host_name).
fn server_name(mut body: Cursor<'_>) -> Result<Sni, Malformed> {
    let mut list = Cursor::new(body.vector16()?);
    body.end()?;
    if list.is_empty() {
        return Err(Malformed::ServerNameList);
    }
    let kind = list.u8()?;
    let name = list.vector16()?;
    if kind != 0 || !list.is_empty() {
        return Err(Malformed::ServerNameList);
    }
    match Host::parse_sni(name) {
        Ok(name) => Ok(Sni::Name(name)),
        Err(NameError::Address) => literal(name).map(Sni::Address),
        Err(fault) => Err(Malformed::ServerName(fault)),
    }
}

/// The address behind a name that is one: with brackets or trailing dots, as it came.
fn literal(name: &[u8]) -> Result<IpAddr, Malformed> {
    let text = std::str::from_utf8(name).unwrap_or_default();
    let text = text
        .trim_end_matches('.')
        .trim_start_matches('[')
        .trim_end_matches(']');
    let address: IpAddr = text
        .parse()
        .map_err(|_| Malformed::ServerName(NameError::Address))?;
    Ok(address.to_canonical())
}

fn alpn(mut body: Cursor<'_>) -> Result<Vec<Box<[u8]>>, Malformed> {
    let mut list = Cursor::new(body.vector16()?);
    body.end()?;
    let mut protocols = Vec::new();
    while !list.is_empty() {
        match list.vector8()? {
            [] => return Err(Malformed::Length),
            protocol => protocols.push(protocol.into()),
        }
    }
    if protocols.is_empty() {
        Err(Malformed::Length)
    } else {
        Ok(protocols)
    }
}

fn versions(mut body: Cursor<'_>) -> Result<Vec<u16>, Malformed> {
    let mut list = Cursor::new(body.vector8()?);
    body.end()?;
    let mut versions = Vec::new();
    while !list.is_empty() {
        versions.push(list.u16()?);
    }
    if versions.is_empty() {
        Err(Malformed::Length)
    } else {
        Ok(versions)
    }
}

/// RFC 9849 §5: the outer form is type, KDF, AEAD, configuration, key share, payload.
fn ech(mut body: Cursor<'_>) -> Result<Ech, Malformed> {
    if body.u8()? != 0 {
        return Err(Malformed::EchType);
    }
    let (kdf, aead, config_id) = (body.u16()?, body.u16()?, body.u8()?);
    body.vector16()?; // enc: empty in the second hello after a HelloRetryRequest
    let payload = body.vector16()?.len();
    body.end()?;
    if payload == 0 {
        Err(Malformed::Length)
    } else {
        Ok(Ech {
            kdf,
            aead,
            config_id,
            payload,
        })
    }
}

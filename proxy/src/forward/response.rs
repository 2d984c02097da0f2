//! Responses on their way to the client: what an origin may not say to it, and our own words
//! where the origin has none.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, TRANSFER_ENCODING, VIA,
};
use octroi_wire::head::Version;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::fault::{self, Fault};
use crate::ledger::{CloseReason, ClosedBy};
use crate::reply::{PSEUDONYM, Reply};
use crate::upstream::DialError;

/// Fields that concern the connection to the origin only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 4] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "proxy-authentication-info",
];

/// Takes out of a response what is not for the client, adds our Via, and makes it one that its
/// version of HTTP can read.
pub(super) fn clean(response: &mut ResponseHeader, version: Version) -> pingora::Result<()> {
    response.append_header(VIA, format!("1.1 {PSEUDONYM}"))?;
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    for name in nominated(response) {
        response.remove_header(&name);
    }
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
    response.remove_header(&PROXY_AUTHENTICATE);
    // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
    if version == Version::Http10 && !response.headers.contains_key(CONTENT_LENGTH) {
        response.remove_header(&TRANSFER_ENCODING);
    }
    Ok(())
}

/// The fields that the origin's Connection field names, but for those that frame the message.
fn nominated(response: &ResponseHeader) -> Vec<HeaderName> {
    let values = response.headers.get_all(CONNECTION).iter();
    let tokens = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let names = tokens.filter_map(|token| HeaderName::try_from(token.trim()).ok());
    names
        .filter(|name| name != TRANSFER_ENCODING && name != CONTENT_LENGTH)
        .collect()
}

/// The fault that an error of the engine stands for; `None` if the client left.
pub(super) fn fault(error: &Error) -> Option<Fault> {
    if let ErrorType::Custom(reason) = error.etype() {
        let dialled = DialError::ALL
            .into_iter()
            .find(|dial| dial.reason() == *reason);
        return Some(dialled.map_or(fault::INTERNAL, fault::of_dial));
    }
    match error.esource() {
        ErrorSource::Upstream => Some(match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => fault::ORIGIN_TIMEOUT,
            ErrorType::InvalidHTTPHeader => fault::ORIGIN_PROTOCOL,
            _ => fault::ORIGIN_CLOSED,
        }),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadTimedout => Some(fault::BODY_TIMEOUT),
            ErrorType::WriteError
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed
            | ErrorType::WriteTimedout => None,
            _ => Some(fault::BODY),
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(fault::INTERNAL),
    }
}

/// How the ledger tells the end of a request.
pub(super) fn end(error: Option<&Error>) -> (CloseReason, ClosedBy) {
    let Some(error) = error else {
        return (CloseReason::Finished, ClosedBy::Upstream);
    };
    match (error.etype(), error.esource()) {
        (ErrorType::Custom(_), _) => (CloseReason::Unreachable, ClosedBy::Gate),
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => {
            (CloseReason::IdleTimeout, ClosedBy::Gate)
        }
        (_, ErrorSource::Upstream) => (CloseReason::Reset, ClosedBy::Upstream),
        (_, ErrorSource::Downstream) => (CloseReason::Reset, ClosedBy::Client),
        _ => (CloseReason::Aborted, ClosedBy::Gate),
    }
}

/// Sends our own answer in place of the origin's; the connection ends with it.
pub(super) async fn write(
    session: &mut Session,
    reply: &Reply,
    is_head: bool,
) -> pingora::Result<()> {
    let mut header = ResponseHeader::build(reply.status, Some(reply.fields.len() + 1))?;
    for (name, value) in reply.wire_fields() {
        header.append_header(name, value)?;
    }
    header.insert_header(CONTENT_LENGTH, reply.body.len())?;
    session.set_keepalive(None);
    session
        .write_response_header(Box::new(header), is_head)
        .await?;
    if !is_head {
        session
            .write_response_body(Some(Bytes::from(reply.body.clone())), true)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(status: u16, fields: &[(&'static str, &str)], version: Version) -> Vec<String> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        clean(&mut response, version).unwrap();
        let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut lines: Vec<String> = response.headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_concerns_the_origins_connection_stays_there() {
        let fields = [
            ("Connection", "keep-alive, X-Hop, content-length"),
            ("Keep-Alive", "timeout=5"),
            ("X-Hop", "1"),
            ("Proxy-Authenticate", "Basic"),
            ("Content-Length", "3"),
            ("Via", "1.1 cache"),
            ("X-End", "1"),
        ];
        let kept = [
            "connection: keep-alive, X-Hop, content-length",
            "content-length: 3",
            "via: 1.1 cache",
            "via: 1.1 octroi",
            "x-end: 1",
        ];
        // Pingora writes its own Connection field over the origin's.
        assert_eq!(cleaned(200, &fields, Version::Http11), kept);
    }

    #[test]
    fn an_old_client_gets_no_chunks() {
        let chunked = [("Transfer-Encoding", "chunked")];
        assert_eq!(cleaned(200, &chunked, Version::Http10), ["via: 1.1 octroi"]);
        assert_eq!(
            cleaned(200, &chunked, Version::Http11),
            ["transfer-encoding: chunked", "via: 1.1 octroi"]
        );
    }

    #[test]
    fn an_upgrade_keeps_its_fields() {
        let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        assert_eq!(
            cleaned(101, &fields, Version::Http11),
            [
                "connection: Upgrade",
                "upgrade: websocket",
                "via: 1.1 octroi"
            ]
        );
    }

    #[test]
    fn every_dial_error_comes_back_as_its_fault() {
        for dial in DialError::ALL {
            let error = Error::new_up(ErrorType::Custom(dial.reason()));
            assert_eq!(super::fault(&error), Some(fault::of_dial(dial)));
        }
        let gone = Error::new_down(ErrorType::ConnectionClosed);
        assert_eq!(super::fault(&gone), None);
    }
}

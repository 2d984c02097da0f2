//! Responses on their way to the client: what an origin may not say to it, and our own words
//! where the origin has none.

use std::io;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, TRANSFER_ENCODING, VIA,
};
use octroi_wire::BodyError;
use octroi_wire::head::Version;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::fault::{self, Fault};
use crate::ledger::{CloseReason, ClosedBy};
use crate::reply::{Reply, pseudonym};
use crate::upstream::DialError;

/// Fields that concern the connection to the origin only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "proxy-authentication-info",
];

/// Whether another answer to the same request follows this one.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Takes out of a response what is not for the client, adds our Via, and makes it one that its
/// version of HTTP can read.
pub(super) fn clean(response: &mut ResponseHeader, version: Version) -> pingora::Result<()> {
    response.append_header(VIA, format!("1.1 {}", pseudonym()))?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    for name in nominated(response) {
        response.remove_header(&name);
    }
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
    response.remove_header(&PROXY_AUTHENTICATE);
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        // RFC 9112 section 6.1 and RFC 9110 section 8.6: neither frames what has no body.
        response.remove_header(&TRANSFER_ENCODING);
        response.remove_header(&CONTENT_LENGTH);
    }
    // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
    if version == Version::Http10 && !response.headers.contains_key(CONTENT_LENGTH) {
        response.remove_header(&TRANSFER_ENCODING);
    }
    Ok(())
}

/// The fields that the origin's Connection field names, but for those that frame the message.
pub(super) fn nominated(response: &ResponseHeader) -> Vec<HeaderName> {
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
    if is_malformed_body(error) {
        return Some(fault::BODY);
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

/// Whether the client's chunks are none, as the screen before the engine found.
fn is_malformed_body(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    let inner = cause.and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<BodyError>())
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

    fn via() -> String {
        format!("via: 1.1 {}", pseudonym())
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
            &via(),
            "x-end: 1",
        ];
        // Pingora writes its own Connection field over the origin's.
        assert_eq!(cleaned(200, &fields, Version::Http11), kept);
    }

    #[test]
    fn an_old_client_gets_no_chunks() {
        let chunked = [("Transfer-Encoding", "chunked")];
        assert_eq!(cleaned(200, &chunked, Version::Http10), [via()]);
        assert_eq!(
            cleaned(200, &chunked, Version::Http11),
            ["transfer-encoding: chunked", &via()]
        );
    }

    #[test]
    fn what_has_no_body_is_not_framed() {
        let framed = [("Content-Length", "2"), ("Transfer-Encoding", "chunked")];
        for status in [103, 204] {
            assert_eq!(cleaned(status, &framed, Version::Http11), [via()]);
        }
    }

    #[test]
    fn an_upgrade_keeps_its_fields() {
        let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        assert_eq!(
            cleaned(101, &fields, Version::Http11),
            ["connection: Upgrade", "upgrade: websocket", &via()]
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

//! Responses as they come from an origin: whether there is one reading of them.

use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};

use super::response::nominated;

/// Answers that are not the last: more of them to one request are a flood.
const MOST_INTERIM: usize = 16;

/// What a response may be, besides well-formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// The most bytes of its fields.
    pub(super) head: usize,
    /// Was it asked to switch to WebSocket?
    pub(super) switch: bool,
    /// How many answers that are not the last came so far, this one included.
    pub(super) interim: usize,
}

/// Refuses what two readers could take for two things. The engine has read it leniently, and
/// writes it anew; what it repaired silently is refused here.
pub(super) fn examine(response: &mut ResponseHeader, allowed: Allowed) -> pingora::Result<()> {
    let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let good = has_plain_text(response)
        && size(response) <= allowed.head
        && allowed.interim <= MOST_INTERIM
        && (!switches || allowed.switch && is_websocket(response))
        && has_known_coding(response)
        && settle_length(response)?;
    if good {
        Ok(())
    } else {
        Err(Error::new_up(ErrorType::InvalidHTTPHeader))
    }
}

/// No control characters. (The engine has unfolded folded lines, as RFC 9112 section 5.2 allows.)
fn has_plain_text(response: &ResponseHeader) -> bool {
    let is_plain = |text: &[u8]| text.iter().all(|&b| b == b'\t' || b >= b' ' && b != 0x7f);
    let reason = response.get_reason_phrase().unwrap_or_default();
    let values = response.headers.values();
    is_plain(reason.as_bytes()) && values.map(|value| value.as_bytes()).all(is_plain)
}

fn size(response: &ResponseHeader) -> usize {
    let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    response.headers.iter().map(line).sum()
}

/// RFC 6455 section 4.1: the switch is to what was asked for, and to nothing else.
fn is_websocket(response: &ResponseHeader) -> bool {
    let mut upgrades = response.headers.get_all(UPGRADE).iter();
    let to_websocket = upgrades
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    to_websocket && upgrades.next().is_none() && nominated(response).contains(&UPGRADE)
}

/// `chunked`, once, in HTTP/1.1; or none (RFC 9112 section 6.1).
fn has_known_coding(response: &ResponseHeader) -> bool {
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return true;
    };
    coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        && codings.next().is_none()
        && response.version == http::Version::HTTP_11
}

/// One plain number; said twice alike it is said once (RFC 9110 section 8.6).
fn settle_length(response: &mut ResponseHeader) -> pingora::Result<bool> {
    let values = response.headers.get_all(CONTENT_LENGTH).iter();
    let mut numbers = values
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii);
    let Some(first) = numbers.next() else {
        return Ok(true);
    };
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    if !is_number || numbers.any(|number| number != first) {
        return Ok(false);
    }
    let number = first.to_vec();
    response.insert_header(CONTENT_LENGTH, number)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a response is taken, and the length that it then has.
    fn taken(status: u16, fields: &[(&'static str, &str)]) -> Option<Vec<String>> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        response.set_version(http::Version::HTTP_11);
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        let allowed = Allowed {
            head: 100,
            switch: true,
            interim: 1,
        };
        examine(&mut response, allowed).ok()?;
        let lengths = response.headers.get_all(CONTENT_LENGTH).iter();
        Some(lengths.map(|l| l.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_response_has_one_length_and_one_coding() {
        let length = |values: &[&'static str]| {
            let fields: Vec<_> = values.iter().map(|v| ("Content-Length", *v)).collect();
            taken(200, &fields)
        };
        let one = |number: &str| Some(vec![number.to_owned()]);
        assert_eq!(length(&[]), Some(vec![]));
        for (values, expected) in [
            (&["2"][..], one("2")),
            (&["2", "2"], one("2")),
            (&["2, 2"], one("2")),
            (&["2", "3"], None),
            (&["2, 3"], None),
            (&["2,"], None),
            (&["+2"], None),
            (&["-2"], None),
            (&["0x2"], None),
            (&["2", "02"], None),
            (&[""], None),
        ] {
            assert_eq!(length(values), expected, "{values:?}");
        }
        let coded = |values: &[&'static str]| {
            let fields: Vec<_> = values.iter().map(|v| ("Transfer-Encoding", *v)).collect();
            taken(200, &fields).is_some()
        };
        assert!(coded(&["Chunked"]));
        for values in [
            &["gzip"][..],
            &["identity"],
            &["gzip, chunked"],
            &["chunked, gzip"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["xchunked"],
            &["chunked;q=1"],
            &[""],
        ] {
            assert!(!coded(values), "{values:?}");
        }
    }

    #[test]
    fn a_switch_is_to_what_was_asked_for() {
        let switched = |fields: &[(&'static str, &str)]| taken(101, fields).is_some();
        let connection = ("Connection", "upgrade");
        assert!(switched(&[connection, ("Upgrade", "WebSocket")]));
        assert!(!switched(&[connection, ("Upgrade", "h2c")]));
        assert!(!switched(&[connection, ("Upgrade", "websocket, h2c")]));
        assert!(!switched(&[
            connection,
            ("Upgrade", "websocket"),
            ("Upgrade", "h2c")
        ]));
        assert!(!switched(&[("Upgrade", "websocket")]));
        assert!(!switched(&[connection]));
    }

    #[test]
    fn a_response_head_is_bounded() {
        let (fits, long) = ("x".repeat(95), "x".repeat(96));
        assert!(taken(200, &[("X", &fits)]).is_some());
        assert!(taken(200, &[("X", &long)]).is_none());
        let mut hints = ResponseHeader::build(103, None).unwrap();
        for (interim, is_taken) in [(MOST_INTERIM, true), (MOST_INTERIM + 1, false)] {
            let allowed = Allowed {
                head: 100,
                switch: false,
                interim,
            };
            assert_eq!(examine(&mut hints, allowed).is_ok(), is_taken, "{interim}");
        }
    }
}

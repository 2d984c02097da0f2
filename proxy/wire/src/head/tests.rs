use octroi_policy::NameError;
use proptest::prelude::*;

use super::*;

mod fields;
mod framing;
mod targets;
mod written;

const LIMIT: usize = 64 * 1024;

/// Reads lines joined by CR LF, the blank line added.
fn head(lines: &[&str]) -> Result<Head, HeadError> {
    let text = lines.join("\r\n") + "\r\n\r\n";
    match read(text.as_bytes(), LIMIT)? {
        Status::Complete(head, taken) => {
            assert_eq!(taken, text.len());
            Ok(*head)
        }
        Status::NeedMore => panic!("{text:?} is whole"),
    }
}

fn authority(text: &str) -> Authority {
    Authority::parse(text).unwrap()
}

/// A POST with more fields.
fn with(fields: &[&str]) -> Result<Head, HeadError> {
    head(
        &[
            &["POST http://h.example/ HTTP/1.1", "Host: h.example"],
            fields,
        ]
        .concat(),
    )
}

#[test]
fn limits_have_their_own_status() {
    let long = "a".repeat(200);
    let line = format!("GET /{long} HTTP/1.1\r\n");
    let whole = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n");
    assert_eq!(read(line.as_bytes(), 100), Err(HeadError::TargetTooLong));
    assert_eq!(read(whole.as_bytes(), 100), Err(HeadError::TooLong));
    assert_eq!(
        read(whole.as_bytes(), whole.len() - 1),
        Err(HeadError::TooLong)
    );
    assert!(matches!(
        read(whole.as_bytes(), whole.len()),
        Ok(Status::Complete(..))
    ));
    assert_eq!(read(&whole.as_bytes()[..100], 101), Ok(Status::NeedMore));
    let fields = |count: usize| with(&vec!["X: 1"; count - 1]).map(|head| head.fields().count());
    assert_eq!(fields(MAX_FIELDS), Ok(MAX_FIELDS));
    assert_eq!(fields(MAX_FIELDS + 1), Err(HeadError::TooManyFields));
    for (error, status) in [
        (HeadError::TargetTooLong, 414),
        (HeadError::TooLong, 431),
        (HeadError::TooManyFields, 431),
        (HeadError::TransferCoding, 501),
        (HeadError::TransferEncoding, 400),
        (HeadError::Version, 505),
        (HeadError::Expectation, 417),
        (HeadError::HostTwice, 400),
    ] {
        assert_eq!(error.status(), status, "{}", error.reason());
    }
}

#[test]
fn bytes_behind_the_head_are_left_alone() {
    let bytes = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01\0\n";
    let Ok(Status::Complete(_, taken)) = read(bytes, LIMIT) else {
        panic!("whole")
    };
    assert_eq!(&bytes[taken..], b"\x16\x03\x01\0\n");
}

/// Found by the fuzz target `head`: what stands beyond the limit decided the reason, and only where it came at once.
#[test]
fn what_is_beyond_the_limit_is_not_looked_at() {
    let start = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(100));
    for beyond in ["\rx", "\n", "\0", "\r\n\r\n"] {
        let bytes = format!("{start}{beyond}");
        let mut reader = HeadReader::new(60);
        assert_eq!(reader.read(&bytes.as_bytes()[..59]), Ok(Status::NeedMore));
        assert_eq!(reader.read(bytes.as_bytes()), Err(HeadError::TooLong));
        assert_eq!(read(bytes.as_bytes(), 60), Err(HeadError::TooLong));
    }
}

/// Heads that are often nearly right.
fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let line =
        "(GET|POST|CONNECT|OPTIONS) (/|\\*|/a|http://a.example/|a.example:443) HTTP/1\\.[01]\r\n";
    let field = "(Host: (a|b)\\.example|Content-Length: [0-9]|Transfer-Encoding: (chunked|gzip)|\
                 Connection: (close|x|upgrade)|X: y|Upgrade: websocket|Expect: 100-continue)\r\n";
    (
        line,
        prop::collection::vec(field, 0..5),
        prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(|(line, fields, damage)| {
            let mut bytes = (line + &fields.concat() + "\r\n").into_bytes();
            if let Some((index, byte)) = damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_split_reads_alike(bytes in any_head(), piece in 1usize..9) {
        let whole = read(&bytes, LIMIT);
        let mut reader = HeadReader::new(LIMIT);
        let mut last = Ok(Status::NeedMore);
        for end in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
            last = reader.read(&bytes[..end]);
            if last != Ok(Status::NeedMore) {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn what_is_written_reads_as_the_same_request(bytes in any_head()) {
        let Ok(Status::Complete(first, _)) = read(&bytes, LIMIT) else { return Ok(()) };
        let mut out = Vec::new();
        if first.write_origin_form("octroi", &mut out).is_err() {
            return Ok(());
        }
        let Ok(Status::Complete(second, taken)) = read(&out, LIMIT) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!(taken, out.len());
        prop_assert_eq!(second.framing, first.framing);
        prop_assert_eq!(second.is_websocket(), first.is_websocket());
        prop_assert_eq!(&second.method, &first.method);
        let asked = match &first.target {
            Target::Absolute { authority, .. } => Some(&authority.host),
            _ => first.host.as_ref().map(|authority| &authority.host),
        };
        prop_assert_eq!(second.host.as_ref().map(|authority| &authority.host), asked);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = read(&bytes, 100) {
            prop_assert!((400..600).contains(&error.status()) && !error.reason().is_empty());
        }
    }
}

//! What a captured connection says first, and so what it is: nothing announced it.
//!
//! Every byte that is read stays with the caller, to be read again or replayed once it is permitted. "Not known yet"
//! never ends as "let it through": a beginning that could still become TLS or HTTP is read as what it could become.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Duration, timeout};

/// One read's worth.
const READ: usize = 4 * 1024;

/// What begins so is HTTP, however the line goes on; other methods are known by the end of their line.
const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PRI ",
];

/// What a request line has at its end, with a version behind it.
const HTTP: &[u8] = b" HTTP/";

/// What a connection is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstWords {
    /// A TLS record (RFC 8446 section 5.1), of whatever type.
    Tls,
    /// The request line of HTTP/1, or what looks like it.
    Http,
    /// Something else.
    Other,
    /// Nothing in time: a client that waits for the server to speak first.
    Silence,
    /// The end of the connection.
    Gone,
}

/// What the bytes are, as far as they tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Known(FirstWords),
    /// They may become this, and are taken for it if no more come.
    Perhaps(FirstWords),
}

/// Reads from `client` until the bytes in `seen` say what they are, at most for `patience`. A request line of more
/// than `longest` bytes is none.
pub async fn listen<R>(
    client: &mut R,
    seen: &mut BytesMut,
    longest: usize,
    patience: Duration,
) -> FirstWords
where
    R: AsyncRead + Unpin,
{
    match timeout(patience, read(client, seen, longest)).await {
        Ok(words) => words,
        Err(_) => match look(seen, 0, longest) {
            Sight::Known(words) | Sight::Perhaps(words) => words,
        },
    }
}

async fn read<R>(client: &mut R, seen: &mut BytesMut, longest: usize) -> FirstWords
where
    R: AsyncRead + Unpin,
{
    let mut looked = 0;
    loop {
        let perhaps = match look(seen, looked, longest) {
            Sight::Known(words) => return words,
            Sight::Perhaps(words) => words,
        };
        looked = seen.len();
        seen.reserve(READ);
        match client.read_buf(seen).await {
            Ok(0) | Err(_) if seen.is_empty() => return FirstWords::Gone,
            // What stops half-way is judged as what it began to be.
            Ok(0) | Err(_) => return perhaps,
            Ok(_) => {}
        }
    }
}

/// What `seen` is. What was looked at before, and told nothing, is not looked at again: a line that comes byte by byte
/// costs no more than one that comes at once.
fn look(seen: &[u8], looked: usize, longest: usize) -> Sight {
    use FirstWords::{Http, Other, Silence, Tls};
    match seen {
        [] => return Sight::Perhaps(Silence),
        [20..=24] => return Sight::Perhaps(Tls),
        // Another record first is no hello, but servers exist that skip it and read the name behind it. So it is for
        // the reader of hellos to refuse.
        [20..=24, 3, ..] => return Sight::Known(Tls),
        _ => {}
    }
    if METHODS.iter().any(|method| seen.starts_with(method)) {
        return Sight::Known(Http);
    }
    if METHODS.iter().any(|method| method.starts_with(seen)) {
        return Sight::Perhaps(Http);
    }
    let fresh = seen[looked..].split(|&byte| byte == b'\n').next();
    let end = looked + fresh.unwrap_or_default().len();
    let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\r');
    if !seen[looked..end].iter().all(is_text) {
        return Sight::Known(Other);
    }
    let names_http = seen[looked.saturating_sub(HTTP.len() - 1)..end]
        .windows(HTTP.len())
        .any(|part| part.eq_ignore_ascii_case(HTTP));
    match end < seen.len() || seen.len() >= longest {
        _ if names_http => Sight::Known(Http),
        true => Sight::Known(Other),
        false => Sight::Perhaps(Other),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LONGEST: usize = 64;

    /// What is heard of bytes that come so many at once; the client stays when it has said them, or ends.
    async fn heard(
        bytes: &[u8],
        at_once: usize,
        patience: Duration,
        stays: bool,
    ) -> (FirstWords, Vec<u8>) {
        let (mut theirs, mut ours) = tokio::io::duplex(at_once);
        let mut seen = BytesMut::new();
        let says = async {
            // It may be understood before it is done.
            let _ = theirs.write_all(bytes).await;
            if stays {
                std::future::pending::<()>().await;
            }
            drop(theirs);
            std::future::pending().await
        };
        let words = tokio::select! {
            words = listen(&mut ours, &mut seen, LONGEST, patience) => words,
            never = says => never,
        };
        (words, seen.to_vec())
    }

    #[tokio::test]
    async fn each_beginning_is_what_it_is_however_it_is_cut() {
        for (bytes, expected) in [
            (&b"\x16\x03\x01\x02\x00"[..], FirstWords::Tls),
            (b"\x16\x02\x01", FirstWords::Other),
            (b"GET / HTTP/1.1\r\n", FirstWords::Http),
            (b"get / http/1.1\r\n", FirstWords::Http),
            (b"PROPFIND /x HTTP/1.1\r\n", FirstWords::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstWords::Http),
            (b"CONNECT a.example:443 HTTP/1.1\r\n", FirstWords::Http),
            (b"  GET / HTTP/1.1\r\n", FirstWords::Http),
            (b"SSH-2.0-OpenSSH_9.2\r\n", FirstWords::Other),
            (b"NICK jeanne\n", FirstWords::Other),
            (b"\x14\x03\x03\x00\x01\x01\x16\x03\x01", FirstWords::Tls),
            (b"\x15\x03\x01\x00\x02\x01\x00", FirstWords::Tls),
            (b"\x16\xfe\xff\x00\x00", FirstWords::Other),
            (b"\x14\x00\x00", FirstWords::Other),
            (b"\x80\x2e\x01\x03\x01", FirstWords::Other),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", FirstWords::Other),
            (&[b'A'; LONGEST], FirstWords::Other),
        ] {
            for at_once in [1024, 7, 1] {
                let (words, seen) = heard(bytes, at_once, Duration::from_mins(1), true).await;
                let text = bytes.escape_ascii();
                assert_eq!(words, expected, "{text}, {at_once} at once");
                assert!(
                    bytes.starts_with(&seen),
                    "{text}: every byte is kept, in order"
                );
            }
        }
    }

    #[tokio::test]
    async fn what_stops_is_taken_for_what_it_began_to_be() {
        for (bytes, expected) in [
            (&b""[..], FirstWords::Gone),
            (b"\x16", FirstWords::Tls),
            (b"GE", FirstWords::Http),
            (b"CONNECT", FirstWords::Http),
            (b"HELO", FirstWords::Other),
            (b"BREW /pot HTTP/", FirstWords::Http),
        ] {
            let (words, _) = heard(bytes, 1, Duration::from_mins(1), false).await;
            assert_eq!(words, expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_silent_is_not_waited_for_for_ever() {
        let second = Duration::from_secs(1);
        assert_eq!(heard(b"", 1, second, true).await.0, FirstWords::Silence);
        assert_eq!(heard(b"\x16", 1, second, true).await.0, FirstWords::Tls);
        assert_eq!(heard(b"GE", 1, second, true).await.0, FirstWords::Http);
        assert_eq!(heard(b"HELO", 1, second, true).await.0, FirstWords::Other);
    }
}

//! The first flight of a TLS client, beside rustls on the same bytes.

use octroi_wire::client_hello::{HelloReader, Malformed, Peek, Sni};

const LIMIT: usize = 32 * 1024;
const SMALL_LIMIT: usize = 400;

/// Reads in every split and asks rustls.
pub fn run(data: &[u8]) {
    let limit = if data.len().is_multiple_of(8) {
        SMALL_LIMIT
    } else {
        LIMIT
    };
    let whole = HelloReader::new(limit).read(data);
    any_split_reads_alike(data, limit, &whole);
    if let Peek::Malformed(malformed) = &whole {
        assert!(!malformed.reason().is_empty() && !malformed.to_string().is_empty());
    }
    if let Peek::Hello(_) = &whole {
        any_records_read_alike(data, &whole);
    }
    if limit == LIMIT {
        agrees_with_rustls(data, &whole);
    }
}

fn any_split_reads_alike(data: &[u8], limit: usize, whole: &Peek) {
    for piece in [1, 5, 64] {
        let mut reader = HelloReader::new(limit);
        let mut last = Peek::NeedMore;
        for end in (0..data.len()).step_by(piece).chain([data.len()]) {
            last = reader.read(&data[..end]);
            if last != Peek::NeedMore {
                break;
            }
        }
        assert_eq!(&last, whole, "in pieces of {piece}");
    }
}

/// The same message cut into records elsewhere.
fn any_records_read_alike(data: &[u8], whole: &Peek) {
    let message = message(data);
    for size in [1, 3, 100, 1 << 14] {
        let mut bytes = Vec::new();
        for fragment in message.chunks(size) {
            bytes.extend([22, 3, 1]);
            bytes.extend(u16::try_from(fragment.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(fragment);
        }
        let found = HelloReader::new(usize::MAX).read(&bytes);
        assert_eq!(&found, whole, "in records of {size}");
    }
}

/// The handshake message of a hello that was read to its end.
fn message(mut data: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        message.extend(&rest[..length]);
        data = &rest[length..];
        if let [_, a, b, c, body @ ..] = message.as_slice()
            && body.len() >= u32::from_be_bytes([0, *a, *b, *c]) as usize
        {
            break;
        }
    }
    message
}

/// What rustls makes of the bytes: the name and protocols, if it accepts a hello.
fn rustls(bytes: &[u8]) -> Option<(Option<String>, Vec<Vec<u8>>)> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let alpn = hello.alpn().into_iter().flatten();
            let alpn = alpn.map(<[u8]>::to_vec).collect();
            return Some((hello.server_name().map(str::to_owned), alpn));
        }
    }
    None
}

/// Where rustls accepts a hello we name the same host and the same protocols, or refuse the hello for a reason of
/// [`stricter`]. Never another name, never "no name" for a name, never "not TLS".
fn agrees_with_rustls(data: &[u8], whole: &Peek) {
    let Some((name, alpn)) = rustls(data) else {
        return;
    };
    match whole {
        Peek::Malformed(malformed) => {
            assert!(
                stricter(*malformed),
                "{malformed:?} where rustls reads {name:?}"
            );
        }
        Peek::Hello(ours) => {
            let our_name = match &ours.sni {
                Sni::Name(name) => Some(name.as_str()),
                // rustls keeps a literal address to itself and goes on as if there were no name.
                Sni::Absent | Sni::Address(_) => None,
            };
            let theirs = name
                .as_deref()
                .map(|n| n.trim_end_matches('.').to_ascii_lowercase());
            assert_eq!(our_name, theirs.as_deref());
            assert!(
                ours.alpn
                    .iter()
                    .map(|p| &**p)
                    .eq(alpn.iter().map(Vec::as_slice))
            );
        }
        Peek::NotTls | Peek::NeedMore => panic!("{whole:?} where rustls reads {name:?}"),
    }
}

/// Whether this is a reason for which we refuse hellos that rustls accepts: the allowed differences, all of them.
fn stricter(malformed: Malformed) -> bool {
    match malformed {
        // rustls takes any second byte of a record version, and a longer hello than our limit.
        Malformed::RecordVersion | Malformed::TooLong => true,
        // rustls does not look into an encrypted hello, nor at what is not TLS 1.2 or 1.3 in `supported_versions`.
        Malformed::EchType | Malformed::Length => true,
        // rustls passes over names of other types, and takes what is no host name for an absent one.
        Malformed::ServerNameList | Malformed::ServerName(_) => true,
        _ => false,
    }
}

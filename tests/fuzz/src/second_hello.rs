//! What may follow a first hello, beside a walk over all of it at once.

use octroi_wire::client_hello::{ClientHello, HelloReader, Peek};
use octroi_wire::second_hello::{Passing, SecondHello};
use octroi_wire::server_hello::{ServerReader, ServerSays};

const LIMIT: usize = 4096;

/// The first bytes of a HelloRetryRequest, as OpenSSL sends it.
const RETRY: &[u8] = include_bytes!("../../../proxy/wire/tests/fixtures/answers/openssl-retry.bin");
/// The first bytes of another answer.
const ANSWER: &[u8] =
    include_bytes!("../../../proxy/wire/tests/fixtures/answers/openssl-tls13.bin");

/// The first byte says what the server answers, the second how much of the client comes before, in 16ths, the third in
/// which pieces; the rest is what the client sends, or the server.
pub fn run(data: &[u8]) {
    let [server, when, piece, bytes @ ..] = data else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    let at = bytes.len() * usize::from(when % 17) / 16;
    match server % 4 {
        0 => client(bytes, RETRY, at, piece),
        1 => client(bytes, ANSWER, at, piece),
        2 => client(bytes, &[], at, piece),
        _ => answer(bytes, piece),
    }
}

fn client(bytes: &[u8], server: &[u8], at: usize, piece: usize) {
    let mut reader = HelloReader::new(LIMIT);
    let Peek::Hello(first) = reader.read(bytes) else {
        return;
    };
    let length = reader.length();
    let watch = || SecondHello::after(&first, length, LIMIT);
    let Some(mut watching) = watch() else {
        assert!(!first.versions.contains(&0x0304));
        return;
    };
    let (before, after) = bytes.split_at(at.max(length).min(bytes.len()));
    let mut passage = Passage::default();
    passage.send(&mut watching, before, piece);
    server
        .chunks(piece)
        .for_each(|part| watching.from_server(part));
    passage.send(&mut watching, after, piece);
    passage.is_refused |= watching.client_ended(&passage.held).is_err();
    let harmless = length + walk(&bytes[length..]);
    let (passes, is_refused) = match server {
        RETRY => asked_again(&first, &bytes[harmless..]),
        ANSWER => (true, false),
        _ => (false, false),
    };
    let expected = if passes { bytes } else { &bytes[..harmless] };
    assert_eq!(passage.passed, expected);
    assert_eq!(passage.is_refused, is_refused);
}

/// What passed of a client's bytes, and what is held.
#[derive(Default)]
struct Passage {
    passed: Vec<u8>,
    held: Vec<u8>,
    is_refused: bool,
}

impl Passage {
    fn send(&mut self, watch: &mut SecondHello, bytes: &[u8], piece: usize) {
        for part in bytes.chunks(piece).chain([&[][..]]) {
            self.held.extend_from_slice(part);
            while !self.is_refused {
                match watch.from_client(&self.held) {
                    Ok(Passing::On(count)) => self.passed.extend(self.held.drain(..count)),
                    Ok(_) => break,
                    Err(refused) => {
                        assert!(!refused.reason().is_empty() && !refused.to_string().is_empty());
                        self.is_refused = true;
                    }
                }
            }
        }
    }
}

/// How many bytes are those of early data, change_cipher_spec and alerts.
fn walk(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let [20 | 21 | 23, behind @ ..] = rest {
        rest = match behind {
            [_, _, high, low, fragment @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                fragment.get(length..).unwrap_or_default()
            }
            _ => &[],
        };
    }
    bytes.len() - rest.len()
}

/// Whether the rest passes where another hello was asked for, and whether it is refused.
fn asked_again(first: &ClientHello, rest: &[u8]) -> (bool, bool) {
    match HelloReader::new(LIMIT).read(rest) {
        Peek::Hello(second) => {
            let key = |hello: &ClientHello| hello.ech.map(|ech| (ech.kdf, ech.aead, ech.config_id));
            let is_same = second.sni == first.sni && key(&second) == key(first);
            (is_same, !is_same)
        }
        _ => (false, !rest.is_empty()),
    }
}

/// The server's first handshake bytes, put together, tell what any split tells.
fn answer(bytes: &[u8], piece: usize) {
    let mut reader = ServerReader::default();
    let mut says = ServerSays::NeedMore;
    for part in bytes.chunks(piece) {
        says = reader.read(part);
    }
    let (mut message, mut rest) = (Vec::new(), bytes);
    while let [kind @ 20..=22, 3, _, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (fragment, after) = behind.split_at(length);
        if *kind == 22 {
            message.extend_from_slice(fragment);
        }
        rest = after;
    }
    let random = &RETRY[11..43];
    let seen = message.get(6..).unwrap_or_default();
    let seen = &seen[..seen.len().min(32)];
    let fits = message.first().is_none_or(|kind| *kind == 2) && random.starts_with(seen);
    assert_eq!(says == ServerSays::Retry, fits && seen.len() == 32);
    if !fits {
        assert_eq!(says, ServerSays::Other);
    }
}

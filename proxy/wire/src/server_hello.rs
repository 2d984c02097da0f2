//! The first answer of a TLS server, looked at while it passes: does it ask for another hello?
//!
//! A server of TLS 1.3 that cannot go on with the key shares it was offered sends a
//! HelloRetryRequest (RFC 8446 §4.1.4), and the client writes a second ClientHello. It is a
//! ServerHello with one certain random value, so 38 bytes of the first handshake message tell.

use crate::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Part, Place};

/// The handshake type of a ServerHello (RFC 8446 §4).
const SERVER_HELLO: u8 = 2;

/// Where the random value begins: behind type, length and version.
const RANDOM_AT: usize = 6;

/// SHA-256 of `HelloRetryRequest`, which stands in place of the random value (RFC 8446 §4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a server's first words come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerSays {
    /// Not to be told yet.
    #[default]
    NeedMore,
    /// A HelloRetryRequest: the client is to write another hello.
    Retry,
    /// Anything else, TLS or not. No HelloRetryRequest can follow it.
    Other,
}

/// Reads a server's first words as they pass. It keeps none of them.
#[derive(Debug, Default)]
pub struct ServerReader {
    says: ServerSays,
    place: Place,
    /// How many bytes of the handshake message have passed, over all its records.
    message: usize,
}

impl ServerReader {
    /// Looks at the bytes that came since the last call; over any split the answer is the same.
    ///
    /// Alerts and change_cipher_specs are passed over: servers send warnings before they answer
    /// (`unrecognized_name`, RFC 6066 §3).
    pub fn read(&mut self, bytes: &[u8]) -> ServerSays {
        for &byte in bytes {
            if self.says != ServerSays::NeedMore {
                break;
            }
            self.says = self.next(byte);
        }
        self.says
    }

    fn next(&mut self, byte: u8) -> ServerSays {
        let fits = match self.place.next(byte) {
            Part::Kind(kind) => matches!(kind, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE),
            Part::Major(major) => major == 3,
            Part::Fragment(HANDSHAKE) => return self.next_of_message(byte),
            Part::Header | Part::Fragment(_) => true,
        };
        if fits {
            ServerSays::NeedMore
        } else {
            ServerSays::Other
        }
    }

    fn next_of_message(&mut self, byte: u8) -> ServerSays {
        let at = self.message;
        self.message += 1;
        let fits = match at {
            0 => byte == SERVER_HELLO,
            1..RANDOM_AT => true,
            _ => RETRY.get(at - RANDOM_AT) == Some(&byte),
        };
        match fits {
            true if self.message < RANDOM_AT + RETRY.len() => ServerSays::NeedMore,
            true => ServerSays::Retry,
            false => ServerSays::Other,
        }
    }
}

//! What the machines of the demonstration say first in a tunnel: a ClientHello made by hand, which costs no cryptography, and in which
//! they say to the origin what to answer.

/// How the random value of such a hello begins; real ones do with a chance of 2⁻⁹⁶.
const MARK: &[u8; 12] = b"octroi demo\n";
/// Where the random value begins in a record: behind its header, type, length and version.
const RANDOM_AT: usize = 11;
/// How much of a hello tells what it is.
pub(super) const HEAD: usize = RANDOM_AT + 32;

/// What the origin is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// So many bytes.
    Bytes(u16),
    /// Another hello, please (RFC 8446 section 4.1.4).
    AnotherHello,
}

/// What a machine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The server's name, if it is said.
    pub(super) sni: Option<String>,
    /// With an encrypted hello inside, as browsers send it.
    pub(super) ech: bool,
    pub(super) wish: Wish,
}

impl Hello {
    /// In one record.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut extensions = vec![
            extension(43, &[4, 3, 4, 3, 3]),
            extension(10, &[0, 2, 0, 29]),
        ];
        if let Some(name) = &self.sni {
            let entry = [&[0], &vector16(name.as_bytes())[..]].concat();
            extensions.push(extension(0, &vector16(&entry)));
        }
        if self.ech {
            let head = [0, 0, 1, 0, 1, 7];
            let body = [&head[..], &vector16(&[0xaa; 32]), &vector16(&[0xbb; 64])].concat();
            extensions.push(extension(0xfe0d, &body));
        }
        let mut body = vec![3, 3];
        body.extend(self.random());
        body.extend([0, 0, 4, 0x13, 1, 0x13, 2, 1, 0]);
        body.extend(vector16(&extensions.concat()));
        record(&message(1, &body))
    }

    fn random(&self) -> [u8; 32] {
        let mut random = [7; 32];
        random[..MARK.len()].copy_from_slice(MARK);
        let (kind, size) = match self.wish {
            Wish::Bytes(size) => (0, size),
            Wish::AnotherHello => (1, 0),
        };
        random[12] = kind;
        random[13..15].copy_from_slice(&size.to_be_bytes());
        random
    }
}

/// What a machine of the demonstration wishes, if these are its first words.
pub(super) fn wish(head: &[u8]) -> Option<Wish> {
    let random = head.get(RANDOM_AT..HEAD)?;
    if head[0] != 22 || !random.starts_with(MARK) {
        return None;
    }
    let size = u16::from_be_bytes([random[13], random[14]]);
    Some(if random[12] == 0 {
        Wish::Bytes(size)
    } else {
        Wish::AnotherHello
    })
}

/// What a server says: a ServerHello, and bytes that look like the rest.
pub(super) fn answer(wish: Wish) -> Vec<u8> {
    // SHA-256 of `HelloRetryRequest` (RFC 8446 section 4.1.3).
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];
    let (random, rest) = match wish {
        Wish::Bytes(size) => ([9; 32], vec![0x17; usize::from(size)]),
        Wish::AnotherHello => (RETRY, Vec::new()),
    };
    let version = extension(43, &[3, 4]);
    let body = [
        &[3, 3],
        &random[..],
        &[0, 0x13, 1, 0],
        &vector16(&version)[..],
    ]
    .concat();
    let mut said = record(&message(2, &body));
    for part in rest.chunks(1 << 14) {
        said.extend([&[23, 3, 3], &vector16(part)[..]].concat());
    }
    said
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), &vector16(body)[..]].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &vector16(fragment)[..]].concat()
}

/// Bytes behind their length; none of them is longer than two bytes can say.
fn vector16(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, bytes].concat()
}

#[cfg(test)]
mod tests {
    use octroi_wire::client_hello::{HelloReader, Peek, Sni};
    use octroi_wire::server_hello::{ServerReader, ServerSays};

    use super::*;

    fn hello(wish: Wish) -> Hello {
        Hello {
            sni: Some("www.mairie.example".to_owned()),
            ech: true,
            wish,
        }
    }

    #[test]
    fn the_gate_reads_in_it_what_was_written() {
        let bytes = hello(Wish::Bytes(900)).bytes();
        let Peek::Hello(read) = HelloReader::new(1 << 14).read(&bytes) else {
            panic!("not read");
        };
        assert!(matches!(&read.sni, Sni::Name(name) if name.as_str() == "www.mairie.example"));
        assert!(read.ech.is_some());
    }

    #[test]
    fn the_origin_reads_what_is_wished() {
        for wished in [Wish::Bytes(900), Wish::AnotherHello] {
            let bytes = hello(wished).bytes();
            assert_eq!(wish(&bytes[..HEAD]), Some(wished));
            assert_eq!(wish(&bytes[..HEAD - 1]), None);
            let says = ServerReader::default().read(&answer(wished));
            let expect = match wished {
                Wish::AnotherHello => ServerSays::Retry,
                Wish::Bytes(_) => ServerSays::Other,
            };
            assert_eq!(says, expect);
        }
        assert_eq!(wish(&[22; HEAD]), None);
    }
}

//! ClientHellos made by hand, byte by byte: good ones in odd shapes, and those no client sends.

mod odd;
mod wrong;

/// A TLS alert record of level fatal, description access_denied (RFC 8446 section 6): what a refused client hears.
pub(crate) const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// What a client says first, how it says it, and what it is to be taken for.
#[derive(Clone)]
pub(crate) struct Spoken {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) manner: Manner,
    pub(crate) says: Says,
}

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    AtOnce,
    /// Each byte a segment of its own.
    Dripped,
    /// Then the client ends its side.
    ThenEnd,
    /// Then nothing more.
    ThenSilence,
}

/// What the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A hello for this name, in canonical form.
    Name(String),
    /// The same with an encrypted hello inside.
    Outer(String),
    /// A hello without a name.
    NoName,
    NotTls,
    Malformed,
    NothingInTime,
}

impl Says {
    /// The word in `octroi_sni_total` and in the log, when the target was asked for by CONNECT.
    pub(crate) fn outcome(&self, target: &str) -> &'static str {
        match self {
            Self::Name(name) | Self::Outer(name) if name == target => "match",
            Self::Name(_) => "mismatch",
            Self::Outer(_) => "ech_outer",
            Self::NoName => "absent",
            Self::NotTls => "not_tls",
            Self::Malformed => "malformed",
            Self::NothingInTime => "timeout",
        }
    }

    /// Whether a workload with the default actions gets through with it.
    pub(crate) fn passes(&self, target: &str) -> bool {
        matches!(self.outcome(target), "match" | "ech_outer")
    }
}

impl Spoken {
    fn new(what: &str, bytes: Vec<u8>, says: Says) -> Self {
        let what = what.to_owned();
        let manner = Manner::AtOnce;
        Self {
            what,
            bytes,
            manner,
            says,
        }
    }

    fn then(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Whether the client is told by a TLS alert that it is refused; else the connection just ends.
    pub(crate) fn hears_an_alert(&self) -> bool {
        self.bytes.starts_with(&[22, 3])
    }
}

/// Every case, around a name that is permitted.
pub(crate) fn spoken(target: &str) -> Vec<Spoken> {
    [
        odd::shapes(target),
        odd::names(target),
        wrong::names(target),
        wrong::messages(target),
        wrong::records(target),
        wrong::strangers(),
        wrong::halves(target),
    ]
    .concat()
}

/// The parts of a hello (RFC 8446 section 4.1.2).
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) session: Vec<u8>,
    pub(crate) suites: Vec<u8>,
    pub(crate) compression: Vec<u8>,
    /// Kinds and bodies; `None` leaves out even their length, as old clients do.
    pub(crate) extensions: Option<Vec<(u16, Vec<u8>)>>,
}

impl Hello {
    /// One that offers TLS 1.3, without extensions that say more.
    pub(crate) fn new() -> Self {
        Self {
            version: 0x0303,
            session: vec![0xee; 32],
            suites: vec![0x13, 0x01, 0x13, 0x02],
            compression: vec![0],
            extensions: Some(vec![(43, vec![4, 3, 4, 3, 3]), (10, vec![0, 2, 0, 29])]),
        }
    }

    /// One for a name.
    pub(crate) fn named(name: &str) -> Self {
        Self::new().with(sni(&[name.as_bytes()]))
    }

    pub(crate) fn with(mut self, extension: (u16, Vec<u8>)) -> Self {
        self.extensions.get_or_insert_with(Vec::new).push(extension);
        self
    }

    /// The handshake message.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend(vector8(&self.session));
        body.extend(vector16(&self.suites));
        body.extend(vector8(&self.compression));
        if let Some(extensions) = &self.extensions {
            let each = extensions
                .iter()
                .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), vector16(body)].concat());
            body.extend(vector16(&each.collect::<Vec<u8>>()));
        }
        message(1, &body)
    }

    /// In records as long as they may be.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        records(&self.message(), 1 << 14)
    }
}

/// A handshake message.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// One record of TLS.
pub(crate) fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &vector16(fragment)[..]].concat()
}

/// A handshake message in records of at most `size` bytes.
pub(crate) fn records(message: &[u8], size: usize) -> Vec<u8> {
    let each = message.chunks(size).map(|fragment| record(22, fragment));
    each.collect::<Vec<_>>().concat()
}

/// The server name extension (RFC 6066 section 3) with these entries.
pub(crate) fn sni(names: &[&[u8]]) -> (u16, Vec<u8>) {
    let entry = |name: &&[u8]| [&[0], &vector16(name)[..]].concat();
    let entries: Vec<_> = names.iter().map(entry).collect();
    (0, vector16(&entries.concat()))
}

/// An encrypted hello of the outer kind (RFC 9849 section 5).
pub(crate) fn ech() -> (u16, Vec<u8>) {
    let head = [0, 0, 1, 0, 1, 7];
    let body = [&head[..], &vector16(&[0xaa; 32]), &vector16(&[0xbb; 64])];
    (0xfe0d, body.concat())
}

/// Padding (RFC 7685).
pub(crate) fn padding(size: usize) -> (u16, Vec<u8>) {
    (21, vec![0; size])
}

pub(crate) fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

pub(crate) fn vector16(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

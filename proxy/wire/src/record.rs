//! The record layer of TLS in the clear (RFC 8446 §5.1): where in it a byte stands.

/// The types of record that are looked for.
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

/// The longest fragment of a plaintext record.
pub(crate) const MAX_FRAGMENT: usize = 1 << 14;

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first of a header: the type of the record.
    Kind(u8),
    /// The first of the version: 3 in all of TLS.
    Major(u8),
    /// Another of the header.
    Header,
    /// One of the fragment, in a record of this type.
    Fragment(u8),
}

/// How far a stream of records has come, over any split.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// How many bytes of a header have passed; 0 between records and inside a fragment.
    header: u8,
    kind: u8,
    high: u8,
    /// How many bytes of the fragment are still to come.
    left: usize,
}

impl Place {
    /// Inside a fragment of so many bytes.
    pub(crate) fn before_the_end_of(left: usize) -> Self {
        Self {
            left,
            ..Self::default()
        }
    }

    /// Whether the next byte begins a record.
    pub(crate) fn is_between(&self) -> bool {
        self.header == 0 && self.left == 0
    }

    /// What the next byte is.
    pub(crate) fn next(&mut self, byte: u8) -> Part {
        if self.skip(1) == 1 {
            return Part::Fragment(self.kind);
        }
        self.header += 1;
        match self.header {
            1 => {
                self.kind = byte;
                return Part::Kind(byte);
            }
            2 => return Part::Major(byte),
            3 => {}
            4 => self.high = byte,
            _ => {
                self.left = u16::from_be_bytes([self.high, byte]).into();
                self.header = 0;
            }
        }
        Part::Header
    }

    /// Passes over what is left of a fragment, at most so many bytes; says how many.
    pub(crate) fn skip(&mut self, most: usize) -> usize {
        let skipped = self.left.min(most);
        self.left -= skipped;
        skipped
    }
}

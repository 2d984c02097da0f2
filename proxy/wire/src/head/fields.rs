//! What the header fields mean for the connection: host, framing, persistence, upgrade.

use octroi_policy::Authority;

use super::{Framing, Head, HeadError, Persistence, Target, Version};

impl Head {
    /// Fills in what follows from the fields, or says which of them is ambiguous.
    pub(super) fn understand(&mut self) -> Result<(), HeadError> {
        self.host = self.read_host()?;
        self.framing = self.read_framing()?;
        self.persistence = self.read_persistence();
        self.expect_continue = self.read_expectation()?;
        self.upgrade = self.read_upgrade();
        self.max_forwards = self.read_max_forwards()?;
        Ok(())
    }

    /// RFC 9112 §3.2: exactly one. A CONNECT may do without: its target is the authority, and
    /// clients that leave the Host out are many.
    fn read_host(&self) -> Result<Option<Authority>, HeadError> {
        let mut values = self.values("host");
        let Some(value) = values.next() else {
            let needed =
                self.version == Version::Http11 && !matches!(self.target, Target::Authority(_));
            return if needed {
                Err(HeadError::HostMissing)
            } else {
                Ok(None)
            };
        };
        if values.next().is_some() {
            return Err(HeadError::HostTwice);
        }
        let text = std::str::from_utf8(value)
            .map_err(|_| HeadError::Host(octroi_policy::NameError::NotAscii))?;
        Authority::parse(text).map(Some).map_err(HeadError::Host)
    }

    /// RFC 9112 §6.1 and §6.3, without the leniencies they allow.
    fn read_framing(&self) -> Result<Framing, HeadError> {
        let length = self.content_length()?;
        let chunked = self.transfer_encoding()?;
        let framing = match (length, chunked) {
            (Some(_), Some(())) => return Err(HeadError::LengthAndEncoding),
            (None, Some(())) if self.version == Version::Http10 => {
                return Err(HeadError::TransferEncoding);
            }
            (None, Some(())) => Framing::Chunked,
            (Some(length), None) => Framing::Length(length),
            (None, None) => Framing::None,
        };
        match (&self.target, framing) {
            (Target::Authority(_), Framing::None | Framing::Length(0)) => Ok(Framing::None),
            (Target::Authority(_), _) => Err(HeadError::ConnectBody),
            _ => Ok(framing),
        }
    }

    fn content_length(&self) -> Result<Option<u64>, HeadError> {
        let length = self.number("content-length", HeadError::ContentLength)?;
        // Other readers count with a sign.
        match length {
            Some(length) if i64::try_from(length).is_err() => Err(HeadError::ContentLength),
            length => Ok(length),
        }
    }

    /// RFC 9110 §7.6.2: with other methods it means nothing. (TRACE is not served.)
    fn read_max_forwards(&self) -> Result<Option<u64>, HeadError> {
        if self.method != "OPTIONS" {
            return Ok(None);
        }
        self.number("max-forwards", HeadError::MaxForwards)
    }

    /// The value of a field that is one plain number, once; `Err(otherwise)` for anything else.
    fn number(&self, name: &str, otherwise: HeadError) -> Result<Option<u64>, HeadError> {
        let mut values = self.values(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        if values.next().is_some() || !digits {
            return Err(otherwise);
        }
        let text = std::str::from_utf8(value).map_err(|_| otherwise)?;
        text.parse().map(Some).map_err(|_| otherwise)
    }

    /// `chunked` and nothing else. An unknown coding is 501, all else 400.
    fn transfer_encoding(&self) -> Result<Option<()>, HeadError> {
        let values = self.values("transfer-encoding");
        let codings: Vec<&[u8]> = values
            .flat_map(|value| value.split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
            .collect();
        let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        match codings.as_slice() {
            [] => Ok(None),
            [one] if chunked(one) => Ok(Some(())),
            // A good list of which we do not know all: `gzip`, or `gzip, chunked`.
            [one] if !one.is_empty() => Err(HeadError::TransferCoding),
            [before @ .., last]
                if chunked(last) && !before.iter().any(|c| chunked(c) || c.is_empty()) =>
            {
                Err(HeadError::TransferCoding)
            }
            _ => Err(HeadError::TransferEncoding),
        }
    }

    /// RFC 9112 §9.3; a proxy keeps no connection to an HTTP/1.0 client.
    fn read_persistence(&self) -> Persistence {
        if self.version == Version::Http11 && !self.connection_names("close") {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        }
    }

    fn read_expectation(&self) -> Result<bool, HeadError> {
        let mut expected = false;
        for value in self.values("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(HeadError::Expectation);
            }
            expected = true;
        }
        // RFC 9110 §10.1.1: ignored from HTTP/1.0, and without a body there is nothing to wait for.
        Ok(expected && self.version == Version::Http11 && self.framing != Framing::None)
    }

    fn read_upgrade(&self) -> Option<String> {
        let mut values = self.values("upgrade");
        let value = values.next().filter(|_| values.next().is_none())?;
        let named = self.version == Version::Http11 && self.connection_names("upgrade");
        named.then(|| String::from_utf8_lossy(value).into_owned())
    }

    /// Has a recipient of this name passed the request on before (RFC 9110 §7.6.3)?
    #[must_use]
    pub fn came_through(&self, pseudonym: &str) -> bool {
        let hops = self.values("via").flat_map(|v| v.split(|&b| b == b','));
        let mut received_by = hops.filter_map(|hop| {
            let mut words = hop
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            words.nth(1)
        });
        received_by.any(|name| name.eq_ignore_ascii_case(pseudonym.as_bytes()))
    }

    /// Does a Connection field name this option, or this field?
    pub(super) fn connection_names(&self, option: &str) -> bool {
        self.values("connection")
            .flat_map(|value| value.split(|&b| b == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    }
}

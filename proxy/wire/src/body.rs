//! Where the body of a request ends: after so many bytes, or behind its last chunk
//! (RFC 9112 §6.3 and §7.1).
//!
//! Whoever stands before the gate and finds another end would take one request for two, so chunks
//! are read as strictly as heads: what two readers could take for two things is refused.

#[cfg(test)]
mod tests;

use crate::head::Framing;

/// Hexadecimal digits of a chunk's size: as many as 64 bits have.
const MAX_DIGITS: usize = 16;

/// The largest chunk: other readers count with a sign.
const MAX_SIZE: u64 = i64::MAX as u64;

/// The most bytes of the extensions of one chunk. They mean nothing to anybody and are dropped.
pub const MAX_EXTENSION: usize = 1024;

/// The most bytes of all trailer fields. They are dropped as well.
pub const MAX_TRAILERS: usize = 8 * 1024;

/// Why a chunked body is refused; in every case the client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The size of a chunk is not 1 to 16 hexadecimal digits, below 2^63, at once followed by `;`
    /// or CR LF.
    #[error("the size of a chunk is not a plain hexadecimal number")]
    Size,
    /// A control character in an extension, a line break that is not CR LF, or no end of it.
    #[error("a chunk extension is malformed or too long")]
    Extension,
    /// Something other than CR LF behind the bytes of a chunk.
    #[error("a chunk does not end where its size says")]
    End,
    /// A trailer line that is folded, has a control character, or does not end in CR LF.
    #[error("a trailer field is malformed")]
    Trailer,
    /// More than [`MAX_TRAILERS`] of them.
    #[error("the trailer fields are longer than the limit")]
    TooManyTrailers,
}

/// Follows a body as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyReader {
    state: State,
    /// Bytes of the extensions of this chunk, or of all trailers, so far.
    extra: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are left of the body.
    Length(u64),
    /// Inside a size of so many digits so far.
    Size {
        digits: usize,
        size: u64,
    },
    /// Inside the extensions.
    Extension(u64),
    /// Before the LF of the line with the size.
    SizeEnd(u64),
    /// So many bytes are left of the chunk.
    Chunk(u64),
    /// Before the CR behind a chunk.
    ChunkCr,
    /// Before the LF behind a chunk.
    ChunkLf,
    /// At the beginning of a trailer line, or of the empty line that ends the body.
    Line,
    /// Inside a trailer line.
    Trailer,
    /// Before the LF of a trailer line.
    TrailerEnd,
    /// Before the last LF.
    LastLf,
    /// Behind the body.
    Done,
    Broken(BodyError),
}

const SIZE: State = State::Size { digits: 0, size: 0 };

impl BodyReader {
    /// A reader for a body framed like this.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => SIZE,
        };
        Self { state, extra: 0 }
    }

    /// Was the body read to its end?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many of the next `bytes` belong to the body. The rest is the next request.
    ///
    /// # Errors
    /// [`BodyError`] if any of them makes a chunk that is none; and ever after.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            at += match self.state {
                State::Length(left) => self.skip(left, &bytes[at..], State::Length, State::Done),
                State::Chunk(left) => self.skip(left, &bytes[at..], State::Chunk, State::ChunkCr),
                _ => {
                    self.state = self.step(bytes[at]);
                    1
                }
            };
            if let State::Broken(error) = self.state {
                return Err(error);
            }
        }
        Ok(at)
    }

    /// Passes over as many of `left` bytes as are there.
    fn skip(&mut self, left: u64, there: &[u8], more: fn(u64) -> State, then: State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there.len());
        let left = left - taken as u64;
        self.state = if left == 0 { then } else { more(left) };
        taken
    }

    /// One byte of what is around the chunks.
    fn step(&mut self, byte: u8) -> State {
        use BodyError as E;
        match (self.state, byte) {
            (State::Size { digits, size }, _) => self.size(digits, size, byte),
            (State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(size), _) if is_text(byte) => {
                self.count(MAX_EXTENSION, E::Extension, State::Extension(size))
            }
            (State::Extension(_), _) => State::Broken(E::Extension),
            (State::SizeEnd(0), b'\n') => {
                self.extra = 0;
                State::Line
            }
            (State::SizeEnd(size), b'\n') => State::Chunk(size),
            (State::SizeEnd(_), _) => State::Broken(E::Size),
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => SIZE,
            (State::ChunkCr | State::ChunkLf, _) => State::Broken(E::End),
            (State::Line, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => State::Done,
            (State::Line, b' ' | b'\t' | b':') => State::Broken(E::Trailer),
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerEnd, b'\n') => State::Line,
            (State::Line | State::Trailer, _) if is_text(byte) => {
                self.count(MAX_TRAILERS, E::TooManyTrailers, State::Trailer)
            }
            (State::Line | State::Trailer | State::TrailerEnd | State::LastLf, _) => {
                State::Broken(E::Trailer)
            }
            (state, _) => state,
        }
    }

    fn size(&mut self, digits: usize, size: u64, byte: u8) -> State {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) if digits < MAX_DIGITS => State::Size {
                digits: digits + 1,
                size: size << 4 | u64::from(digit),
            },
            _ if digits == 0 || size > MAX_SIZE => State::Broken(BodyError::Size),
            (None, b'\r') => State::SizeEnd(size),
            (None, b';') => {
                self.extra = 0;
                State::Extension(size)
            }
            _ => State::Broken(BodyError::Size),
        }
    }

    fn count(&mut self, most: usize, error: BodyError, next: State) -> State {
        self.extra += 1;
        if self.extra > most {
            State::Broken(error)
        } else {
            next
        }
    }
}

/// Neither a control character nor the end of a line.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

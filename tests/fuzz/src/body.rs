//! Chunked bodies: whoever reads them after us, or did before us, finds the same end.

use octroi_wire::{BodyError, BodyReader, Framing};

/// Reads whole, in pieces, and beside a plain walk.
pub fn run(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(read(data, piece), whole, "in pieces of {piece}");
    }
    match whole {
        Ok((taken, true)) => {
            assert!(taken >= 5 && data[..taken].ends_with(b"\r\n"));
            assert_eq!(plain_end(data), Some(taken));
            assert_eq!(read(&data[..taken], taken), Ok((taken, true)));
            assert_eq!(read(&data[..taken - 1], taken), Ok((taken - 1, false)));
        }
        Ok((taken, false)) => {
            assert_eq!(taken, data.len(), "all of an unfinished body is body");
            assert_eq!(plain_end(data), None);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read(data: &[u8], piece: usize) -> Result<(usize, bool), BodyError> {
    let mut reader = BodyReader::new(Framing::Chunked);
    let mut taken = 0;
    for part in data.chunks(piece) {
        taken += reader.read(part)?;
    }
    Ok((taken, reader.is_done()))
}

/// The end of the body for a reader that takes lines as they come and knows no limits; `None` if
/// it is not there.
fn plain_end(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line(&data[at..])?;
        at += line.len() + 2;
        let digits = line.split(|&b| b == b';').next()?;
        let size = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        let behind = data.get(at..at.checked_add(2)?)?;
        assert_eq!(behind, b"\r\n", "what we took for the end of a chunk");
        at += 2;
    }
    loop {
        let line = line(&data[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
    }
}

/// The next line, without its CR LF.
fn line(data: &[u8]) -> Option<&[u8]> {
    let end = data.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&data[..end])
}

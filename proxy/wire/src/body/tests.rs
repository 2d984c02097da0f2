use proptest::prelude::*;

use super::*;

/// How many bytes the body takes of a text that comes at once.
fn taken(framing: Framing, text: &[u8]) -> Result<(usize, bool), BodyError> {
    let mut reader = BodyReader::new(framing);
    reader.read(text).map(|taken| (taken, reader.is_done()))
}

#[test]
fn a_counted_body_ends_after_so_many_bytes() {
    for (framing, expected) in [
        (Framing::None, (0, true)),
        (Framing::Length(0), (0, true)),
        (Framing::Length(3), (3, true)),
        (Framing::Length(8), (8, true)),
        (Framing::Length(9), (8, false)),
        (Framing::Length(u64::MAX), (8, false)),
    ] {
        assert_eq!(taken(framing, b"GET next"), Ok(expected), "{framing:?}");
    }
}

#[test]
fn a_chunked_body_ends_behind_its_last_line() {
    let next = "GET next";
    for body in [
        "0\r\n\r\n",
        "0000000000000000\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "a\r\n0\r\n\r\n0\r\n\r\n\r\n00\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "3;a=b;c=\"d e\"\t\r\nabc\r\n0;\u{e9}\r\n\r\n",
        "0\r\nX: 1\r\nY:\r\n\r\n",
    ] {
        let text = format!("{body}{next}");
        let found = taken(Framing::Chunked, text.as_bytes());
        assert_eq!(found, Ok((body.len(), true)), "{body:?}");
        for end in 0..body.len() {
            let found = taken(Framing::Chunked, &text.as_bytes()[..end]);
            assert_eq!(found, Ok((end, false)), "{body:?} up to {end}");
        }
    }
}

#[test]
fn a_chunk_that_two_readers_read_otherwise_is_none() {
    use BodyError as E;
    for (body, expected) in [
        ("\r\n", E::Size),
        (";a\r\n", E::Size),
        ("0x3\r\n", E::Size),
        ("+3\r\n", E::Size),
        ("-3\r\n", E::Size),
        (" 3\r\n", E::Size),
        ("3 \r\n", E::Size),
        ("3\t;a\r\n", E::Size),
        ("g\r\n", E::Size),
        ("3\n", E::Size),
        ("3\r3\r\n", E::Size),
        ("00000000000000003\r\n", E::Size),
        ("10000000000000003\r\n", E::Size),
        ("8000000000000000\r\n", E::Size),
        ("FFFFFFFFFFFFFFFF;a\r\n", E::Size),
        ("3;a\n", E::Extension),
        ("3;a\0\r\n", E::Extension),
        ("3;a\u{7f}\r\n", E::Extension),
        ("3;a\rb\r\n", E::Size),
        ("3\r\nabcd", E::End),
        ("3\r\nabc\n", E::End),
        ("3\r\nabc\r0", E::End),
        ("0\r\n\n", E::Trailer),
        ("0\r\n\r\r", E::Trailer),
        ("0\r\n X: 1\r\n", E::Trailer),
        ("0\r\n: 1\r\n", E::Trailer),
        ("0\r\nX: 1\n", E::Trailer),
        ("0\r\nX: 1\rY", E::Trailer),
        ("0\r\nX: \0\r\n", E::Trailer),
    ] {
        let found = taken(Framing::Chunked, body.as_bytes());
        assert_eq!(found, Err(expected), "{body:?}");
    }
    let largest = taken(Framing::Chunked, b"7fffffffffffffff\r\na");
    assert_eq!(largest, Ok((19, false)));
    let mut reader = BodyReader::new(Framing::Chunked);
    assert_eq!(reader.read(b"g"), Err(BodyError::Size));
    assert_eq!(
        reader.read(b"0\r\n\r\n"),
        Err(BodyError::Size),
        "ever after"
    );
}

#[test]
fn what_is_dropped_has_a_limit() {
    let extension = |length: usize| format!("0;{}\r\n\r\n", "x".repeat(length));
    let trailers = |length: usize| format!("0\r\nX:{}\r\n\r\n", "x".repeat(length - 2));
    let done = |text: String| taken(Framing::Chunked, text.as_bytes()).map(|(_, done)| done);
    assert_eq!(done(extension(MAX_EXTENSION)), Ok(true));
    assert_eq!(
        done(extension(MAX_EXTENSION + 1)),
        Err(BodyError::Extension)
    );
    assert_eq!(done(trailers(MAX_TRAILERS)), Ok(true));
    assert_eq!(
        done(trailers(MAX_TRAILERS + 1)),
        Err(BodyError::TooManyTrailers)
    );
    let each = format!("1;{}\r\na\r\n", "x".repeat(MAX_EXTENSION));
    let many = each.repeat(3) + &extension(MAX_EXTENSION);
    assert_eq!(done(many), Ok(true), "each chunk has its own");
}

/// Chunked bodies that are often right.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = "(1\r\na|2;x\r\nbc|3\r\n\r\n0|0x1\r\na)(\r\n|\n)";
    let end = "0(;e)?\r\n(X: 1\r\n)?\r\nGET";
    (
        prop::collection::vec(chunk, 0..4),
        end,
        prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(|(chunks, end, damage)| {
            let mut bytes = (chunks.concat() + &end).into_bytes();
            if let Some((index, byte)) = damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_of_a_body_reads_alike(bytes in any_body(), piece in 1usize..9) {
        let whole = taken(Framing::Chunked, &bytes);
        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut sum, mut error) = (0, None);
        for part in bytes.chunks(piece) {
            match reader.read(part) {
                Ok(taken) => sum += taken,
                Err(found) => { error = Some(found); break; }
            }
        }
        let found = error.map_or(Ok((sum, reader.is_done())), Err);
        prop_assert_eq!(found, whole);
    }
}

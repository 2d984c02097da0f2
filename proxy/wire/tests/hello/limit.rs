//! How long a hello may be.

use octroi_wire::client_hello::{HelloReader, Malformed, Peek};

use crate::made::{in_records, message_with, sni};
use crate::{LIMIT, hello, name, read};

#[test]
fn the_limit_holds_for_big_hellos_and_for_small_records() {
    let message = message_with(&[(21, vec![0; 40_000]), sni(&[b"example.org"])]);
    let bytes = in_records(&message, 16384);
    assert_eq!(hello(&bytes).sni, name("example.org"));
    assert_eq!(
        HelloReader::new(30_000).read(&bytes),
        Peek::Malformed(Malformed::TooLong)
    );
    // One byte a record: 240 kB on the wire for a message of 40 kB.
    let drip = in_records(&message, 1);
    assert_eq!(read(&drip[..LIMIT]), Peek::Malformed(Malformed::TooLong));
    assert_eq!(read(&drip[..LIMIT - 1]), Peek::NeedMore);
}

/// A hello that ended behind the limit was read if it came at once; the reader of heads had the same fault.
#[test]
fn what_is_beyond_the_limit_is_not_looked_at() {
    let drip = in_records(&message_with(&[sni(&[b"example.org"])]), 1);
    let limit = drip.len() - 1;
    assert_eq!(
        HelloReader::new(limit).read(&drip),
        Peek::Malformed(Malformed::TooLong)
    );
    assert!(matches!(
        HelloReader::new(drip.len()).read(&drip),
        Peek::Hello(_)
    ));
}

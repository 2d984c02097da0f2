use proptest::prelude::*;

use super::binary::crc32c;
use super::*;
use ProxyHeaderError as E;

fn from(source: &str, destination: &str) -> Sender {
    Sender::Client {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        transport: Transport::Plain,
    }
}

fn over_tls(source: &str, destination: &str) -> Sender {
    Sender::Client {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        transport: Transport::Tls,
    }
}

/// A header of version 2.
fn v2(version_and_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([version_and_command, family]);
    header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    header.extend(payload);
    header
}

const FOUR: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x0c, 0x38];

fn six() -> Vec<u8> {
    let mut block = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    block.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    block.extend([0xc3, 0x50, 0x0c, 0x38]);
    block
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![kind];
    field.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    field.extend(value);
    field
}

/// A header for [`FOUR`] with these fields behind the addresses.
fn four_with(fields: &[Vec<u8>]) -> Vec<u8> {
    v2(0x21, 0x11, &[&FOUR[..], &fields.concat()].concat())
}

/// The same with its checksum in the last field.
fn summed(fields: &[Vec<u8>]) -> Vec<u8> {
    let mut fields = fields.to_vec();
    fields.push(tlv(3, &[0; 4]));
    let mut header = four_with(&fields);
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header
}

fn good() -> Vec<(Vec<u8>, Sender)> {
    let text = |line: &str| format!("{line}\r\n").into_bytes();
    let four = from("192.0.2.7:50000", "198.51.100.1:3128");
    let six_of = from("[2001:db8::7]:50000", "[2001:db8::1]:3128");
    let own = Sender::Balancer;
    let ssl = |flags: u8, inside: &[u8]| tlv(0x20, &[&[flags, 0, 0, 0, 0], inside].concat());
    vec![
        (text("PROXY TCP4 192.0.2.7 198.51.100.1 50000 3128"), four),
        (
            text("PROXY TCP6 2001:db8::7 2001:db8::1 50000 3128"),
            six_of,
        ),
        (
            text("PROXY TCP6 2001:DB8::7 2001:DB8::1 50000 3128"),
            six_of,
        ),
        (
            text("PROXY TCP4 255.255.255.254 255.255.255.255 65535 0"),
            from("255.255.255.254:65535", "255.255.255.255:0"),
        ),
        (
            text("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2"),
            from("[::ffff:192.0.2.7]:1", "[::ffff:198.51.100.1]:2"),
        ),
        (
            text(
                "PROXY TCP6 1111:2222:3333:4444:5555:6666:7777:8888 1111:2222:3333:4444:5555:6666:7777:9999 65535 65535",
            ),
            from(
                "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
                "[1111:2222:3333:4444:5555:6666:7777:9999]:65535",
            ),
        ),
        (text("PROXY UNKNOWN"), own),
        (text("PROXY UNKNOWN 192.0.2.7 198.51.100.1 50000 3128"), own),
        (text("PROXY UNKNOWN whatever follows  is ignored"), own),
        (v2(0x21, 0x11, &FOUR), four),
        (v2(0x21, 0x21, &six()), six_of),
        (v2(0x20, 0x00, &[]), own),
        (v2(0x20, 0x11, &FOUR), own),
        (v2(0x20, 0x31, &[7; 216]), own),
        (v2(0x20, 0xff, &[1, 2, 3]), own),
        (v2(0x21, 0x00, &[]), own),
        (v2(0x21, 0x00, &tlv(4, &[0; 9])), own),
        (
            four_with(&[tlv(4, &[]), tlv(2, b"proxy.example"), tlv(5, &[9; 128])]),
            four,
        ),
        (four_with(&[ssl(0, &[])]), four),
        (
            four_with(&[ssl(1, &tlv(0x21, b"TLSv1.3"))]),
            over_tls("192.0.2.7:50000", "198.51.100.1:3128"),
        ),
        (summed(&[]), four),
        (summed(&[tlv(4, &[0; 3])]), four),
        (
            four_with(&[tlv(4, &vec![0; MAX_BINARY - 16 - 12 - 3])]),
            four,
        ),
    ]
}

#[test]
fn a_good_header_names_the_client_and_leaves_what_follows() {
    for (header, sender) in good() {
        let complete = Status::Complete(sender, header.len());
        let shown = String::from_utf8_lossy(&header).into_owned();
        assert_eq!(read(&header), Ok(complete), "{shown}");
        for behind in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01",
            b"PROXY UNKNOWN\r\n",
        ] {
            let with = [&header[..], behind].concat();
            assert_eq!(read(&with), Ok(complete), "{shown}");
        }
    }
}

#[test]
fn a_truncated_header_is_never_taken_for_a_whole_one() {
    for (header, _) in good() {
        for end in 0..header.len() {
            let cut = &header[..end];
            assert_eq!(
                read(cut),
                Ok(Status::NeedMore),
                "{}",
                String::from_utf8_lossy(cut)
            );
        }
    }
}

#[test]
fn a_line_that_is_not_exact_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_TEXT - 15));
    let unending = "PROXY TCP4 192.0.2.7 ".to_owned() + &"1".repeat(200);
    for (line, error) in [
        ("GET / HTTP/1.1\r\n", E::Missing),
        ("CONNECT a.example:443 HTTP/1.1\r\n", E::Missing),
        ("PROXY\tTCP4 192.0.2.7 198.51.100.1 1 2\r\n", E::Missing),
        ("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n", E::Missing),
        (" PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n", E::Missing),
        ("POST / HTTP/1.1\r\n", E::Missing),
        ("\r\nPROXY UNKNOWN\r\n", E::Missing),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", E::LineEnd),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\r\n", E::LineEnd),
        ("PROXY TCP4 192.0.2.7 198.51.100.1\r1 2\r\n", E::LineEnd),
        ("PROXY UNKNOWN\n", E::LineEnd),
        ("PROXY UNKNOWN \0\r\n", E::LineEnd),
        ("PROXY UNKNOWN é\r\n", E::LineEnd),
        ("PROXY \r\n", E::Family),
        ("PROXY TCP 192.0.2.7 198.51.100.1 1 2\r\n", E::Family),
        ("PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", E::Family),
        ("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", E::Family),
        ("PROXY UNIX /run/a /run/b\r\n", E::Family),
        ("PROXY UNKNOWNS\r\n", E::Family),
        ("PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n", E::Family),
        ("PROXY TCP4\r\n", E::Syntax),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", E::Syntax),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", E::Syntax),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", E::Syntax),
        ("PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n", E::Syntax),
        ("PROXY TCP4 192.0.2.007 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 0192.0.2.7 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 3221225991 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 0xc0.0.2.7 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", E::Address),
        ("PROXY TCP4 localhost 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP4 192.0.2.7 198.51.100.01 1 2\r\n", E::Address),
        ("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", E::Address),
        ("PROXY TCP6 2001:0db8::7 2001:db8::1 1 2\r\n", E::Address),
        ("PROXY TCP6 2001:db8:0::7 2001:db8::1 1 2\r\n", E::Address),
        (
            "PROXY TCP6 2001:db8:0:0:0:0:0:7 2001:db8::1 1 2\r\n",
            E::Address,
        ),
        ("PROXY TCP6 [2001:db8::7] 2001:db8::1 1 2\r\n", E::Address),
        ("PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n", E::Address),
        ("PROXY TCP6 ::ffff:c000:207 2001:db8::1 1 2\r\n", E::Address),
        ("PROXY TCP4 0.0.0.0 198.51.100.1 1 2\r\n", E::Source),
        ("PROXY TCP4 224.0.0.1 198.51.100.1 1 2\r\n", E::Source),
        ("PROXY TCP4 255.255.255.255 198.51.100.1 1 2\r\n", E::Source),
        ("PROXY TCP6 :: 2001:db8::1 1 2\r\n", E::Source),
        ("PROXY TCP6 ff02::1 2001:db8::1 1 2\r\n", E::Source),
        ("PROXY TCP6 ::ffff:0.0.0.0 2001:db8::1 1 2\r\n", E::Source),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", E::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 00\r\n", E::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", E::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n", E::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n", E::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 0x1 2\r\n", E::Port),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 99999999999 2\r\n",
            E::Port,
        ),
        (&*long, E::TooLong),
        (&*unending, E::TooLong),
    ] {
        assert_eq!(read(line.as_bytes()), Err(error), "{line}");
    }
}

#[test]
fn a_binary_header_that_is_not_exact_is_refused() {
    let mut other = v2(0x21, 0x11, &FOUR);
    other[11] = b'\r';
    let mut forged = summed(&[]);
    forged[16] ^= 1;
    let mut twice = summed(&[tlv(3, &[0; 4])]);
    twice[12] = 0x21;
    let mut nobody = FOUR;
    nobody[..4].fill(0);
    let mut multicast = six();
    multicast[0] = 0xff;
    for (name, header, error) in [
        ("signature", other, E::Missing),
        ("version 1", v2(0x11, 0x11, &FOUR), E::Version),
        ("version 3", v2(0x31, 0x11, &FOUR), E::Version),
        ("version 0", v2(0x01, 0x11, &FOUR), E::Version),
        ("command", v2(0x22, 0x11, &FOUR), E::Command),
        ("command 15", v2(0x2f, 0x11, &FOUR), E::Command),
        ("udp over IPv4", v2(0x21, 0x12, &FOUR), E::Family),
        ("udp over IPv6", v2(0x21, 0x22, &six()), E::Family),
        ("unix stream", v2(0x21, 0x31, &[0; 216]), E::Family),
        ("unix datagram", v2(0x21, 0x32, &[0; 216]), E::Family),
        ("IPv4 without transport", v2(0x21, 0x10, &FOUR), E::Family),
        ("unknown family", v2(0x21, 0x41, &FOUR), E::Family),
        ("transport alone", v2(0x21, 0x01, &[]), E::Family),
        ("too short for IPv4", v2(0x21, 0x11, &FOUR[..11]), E::Length),
        ("too short for IPv6", v2(0x21, 0x21, &FOUR), E::Length),
        ("no addresses", v2(0x21, 0x11, &[]), E::Length),
        (
            "too long",
            v2(0x21, 0x11, &[0; MAX_BINARY - 15]),
            E::TooLong,
        ),
        ("longest there is", v2(0x21, 0x11, &[0; 65535]), E::TooLong),
        ("long and local", v2(0x20, 0x00, &[0; 65535]), E::TooLong),
        ("a byte behind", four_with(&[vec![4]]), E::Length),
        ("two bytes behind", four_with(&[vec![4, 0]]), E::Length),
        (
            "a field beyond the end",
            four_with(&[vec![4, 0, 2, 0]]),
            E::Length,
        ),
        (
            "a field far beyond",
            four_with(&[vec![4, 0xff, 0xff]]),
            E::Length,
        ),
        (
            "ssl without flags",
            four_with(&[tlv(0x20, &[1, 0, 0, 0])]),
            E::Length,
        ),
        (
            "ssl with half a field",
            four_with(&[tlv(0x20, &[1, 0, 0, 0, 0, 0x21, 0])]),
            E::Length,
        ),
        (
            "over TLS and not",
            four_with(&[tlv(0x20, &[1, 0, 0, 0, 0]), tlv(0x20, &[0; 5])]),
            E::Repeated,
        ),
        (
            "checksum of two bytes",
            four_with(&[tlv(3, &[0; 2])]),
            E::Length,
        ),
        (
            "checksum of zeros",
            four_with(&[tlv(3, &[0; 4])]),
            E::Checksum,
        ),
        ("forged after the checksum", forged, E::Checksum),
        ("two checksums", twice, E::Checksum),
        (
            "local with a bad checksum",
            v2(0x20, 0, &tlv(3, &[1; 4])),
            E::Checksum,
        ),
        ("local with half a field", v2(0x20, 0, &[4, 0]), E::Length),
        ("no source", v2(0x21, 0x11, &nobody), E::Source),
        ("multicast source", v2(0x21, 0x21, &multicast), E::Source),
    ] {
        assert_eq!(read(&header), Err(error), "{name}");
        // As soon as it is seen to be bad, and with anything behind it.
        let refused_at = (0..=header.len()).find(|&end| read(&header[..end]).is_err());
        assert!(refused_at.is_some(), "{name}");
        assert_eq!(
            read(&[&header[..], b"GET /"].concat()),
            Err(error),
            "{name}"
        );
    }
}

/// The check value of CRC-32C, and one that another program computed.
#[test]
fn the_checksum_is_castagnoli() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
}

#[test]
fn every_error_has_a_word_for_the_log() {
    for error in [E::Missing, E::TooLong, E::Checksum, E::Syntax, E::Source] {
        assert!(error.reason().starts_with("proxy-header-"));
        assert!(!error.to_string().ends_with('.'));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_beyond_them(
        start in prop::sample::select(vec![&b""[..], b"PROXY TCP4 ", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0"]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &rest].concat();
        if let Ok(Status::Complete(_, length)) = read(&bytes) {
            prop_assert!(length <= bytes.len());
            // Reading less or more of it says the same.
            prop_assert_eq!(read(&bytes[..length]), read(&bytes));
        }
    }

    #[test]
    fn what_is_refused_stays_refused(rest in prop::collection::vec(any::<u8>(), 0..60), more in any::<u8>()) {
        let bytes = [&b"PROXY TCP4 "[..], &rest].concat();
        if let Err(error) = read(&bytes) {
            prop_assert_eq!(read(&[&bytes[..], &[more]].concat()), Err(error));
        }
    }
}

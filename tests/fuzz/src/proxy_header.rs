//! PROXY headers: the client that is judged is the one that any other reader of the header finds.

use std::net::{IpAddr, SocketAddr};

use octroi_wire::proxy_header::{
    MAX_BINARY, MAX_TEXT, ProxyHeaderError, Sender, Status, Transport, read,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, length.
const FIXED: usize = 16;
const NO_FIELD: [u8; 3] = [4, 0, 0];
const OVER_TLS: [u8; 8] = [0x20, 0, 5, 1, 0, 0, 0, 0];
const CHECKSUM: [u8; 7] = [3, 0, 4, 0, 0, 0, 0];

/// Reads the bytes as they are; then, where they hold a checksum, with that put right, which no fuzzer guesses.
pub fn run(data: &[u8]) {
    check(data);
    let sums = sums(data);
    if sums.is_empty() {
        return;
    }
    let mut mended = data.to_vec();
    sums.iter().for_each(|&at| set_sum(&mut mended, at));
    check(&mended);
    let whole = read(&mended);
    if let [at] = sums[..] {
        assert_ne!(whole, Err(ProxyHeaderError::Checksum), "at {at}");
        a_changed_address_is_noticed(&mended, &whole);
    }
}

fn check(data: &[u8]) {
    let whole = read(data);
    let limit = if data.starts_with(b"P") {
        MAX_TEXT
    } else {
        MAX_BINARY
    };
    any_split_reads_alike(data, &whole);
    match whole {
        Err(error) => assert!(error.reason().starts_with("proxy-header-")),
        Ok(Status::NeedMore) => assert!(data.len() < limit),
        Ok(Status::Complete(sender, taken)) => {
            assert!(taken <= limit);
            let header = &data[..taken];
            what_follows_is_not_looked_at(header, &whole);
            if limit == MAX_TEXT {
                line_is_the_one_that_says_so(header, &sender);
            } else {
                assert_eq!(plain_walk(header), sender);
            }
            written_anew_it_reads_the_same(&sender);
        }
    }
}

/// Every beginning wants more, up to the one that decides.
fn any_split_reads_alike(data: &[u8], whole: &Result<Status, ProxyHeaderError>) {
    let decided = (0..=data.len()).find(|&end| read(&data[..end]) != Ok(Status::NeedMore));
    match (decided, whole) {
        (None, whole) => assert_eq!(*whole, Ok(Status::NeedMore)),
        (Some(end), whole) => {
            assert_eq!(read(&data[..end]), *whole, "at {end}");
            if let Ok(Status::Complete(_, taken)) = whole {
                assert_eq!(*taken, end);
            }
        }
    }
}

fn what_follows_is_not_looked_at(header: &[u8], whole: &Result<Status, ProxyHeaderError>) {
    for behind in [
        &b""[..],
        b"\0",
        b"\r\n",
        b"PROXY TCP4 192.0.2.9 ",
        SIGNATURE,
    ] {
        assert_eq!(read(&[header, behind].concat()), *whole);
    }
}

/// One client has one line, but for the case of letters in an address; `UNKNOWN` says nothing of a client.
fn line_is_the_one_that_says_so(header: &[u8], sender: &Sender) {
    let line = text(sender);
    match sender {
        Sender::Balancer => assert!(header.starts_with(b"PROXY UNKNOWN")),
        Sender::Client { transport, .. } => {
            assert_eq!(*transport, Transport::Plain);
            assert!(header.eq_ignore_ascii_case(line.as_bytes()), "not {line:?}");
            assert_eq!(header[..11], line.as_bytes()[..11]);
        }
    }
    assert!(header.ends_with(b"\r\n"));
    let inside = &header[..header.len() - 2];
    assert!(inside.iter().all(|byte| (b' '..=b'~').contains(byte)));
}

/// The addresses from their places, whatever else is there; every field to its end.
fn plain_walk(header: &[u8]) -> Sender {
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    assert_eq!(header.len(), FIXED + length);
    let (of_client, family) = (header[12] == 0x21, header[13]);
    assert!(of_client || header[12] == 0x20);
    if !of_client && family != 0 {
        return Sender::Balancer;
    }
    let addresses = addresses(header);
    let fields = fields(&header[FIXED + addresses..]).expect("fields that end where they say");
    let said = |kind| fields.iter().filter(move |field| field.0 == kind);
    // Said twice it would be one thing to who takes the first and another to who takes the last.
    assert!(said(3).count() <= 1 && said(0x20).count() <= 1);
    for &(_, at, value) in said(3) {
        assert_eq!(value, sum(header, FIXED + addresses + at));
    }
    let is_tls = said(0x20).any(|field| field.2[0] & 1 == 1);
    let socket = |at: usize, port: usize| {
        let port = u16::from_be_bytes([header[port], header[port + 1]]);
        let ip: IpAddr = match addresses {
            12 => <[u8; 4]>::try_from(&header[at..at + 4]).unwrap().into(),
            _ => <[u8; 16]>::try_from(&header[at..at + 16]).unwrap().into(),
        };
        SocketAddr::new(ip, port)
    };
    let (from, to, from_port) = match addresses {
        0 => return Sender::Balancer,
        12 => (16, 20, 24),
        _ => (16, 32, 48),
    };
    let source = socket(from, from_port);
    let canonical = source.ip().to_canonical();
    assert!(!canonical.is_unspecified() && !canonical.is_multicast());
    Sender::Client {
        source,
        destination: socket(to, from_port + 2),
        transport: if is_tls {
            Transport::Tls
        } else {
            Transport::Plain
        },
    }
}

fn addresses(header: &[u8]) -> usize {
    match (header[12], header[13]) {
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        _ => 0,
    }
}

/// Type, place of the value and value of each field; none if one goes beyond the end.
fn fields(bytes: &[u8]) -> Option<Vec<(u8, usize, &[u8])>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let &[kind, high, low] = bytes.get(at..at + 3)? else {
            return None;
        };
        at += 3;
        let end = at + usize::from(u16::from_be_bytes([high, low]));
        found.push((kind, at, bytes.get(at..end)?));
        at = end;
    }
    Some(found)
}

/// Where the checksums of a whole header of version 2 stand; nowhere if one is none.
fn sums(data: &[u8]) -> Vec<usize> {
    let Some(&[high, low]) = data.get(14..FIXED) else {
        return Vec::new();
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if !data.starts_with(SIGNATURE) || length > MAX_BINARY {
        return Vec::new();
    }
    let before = FIXED + addresses(data);
    let mut found = data
        .get(before..length)
        .and_then(fields)
        .unwrap_or_default();
    found.retain(|field| field.0 == 3);
    if found.iter().any(|field| field.2.len() != 4) {
        return Vec::new();
    }
    found.iter().map(|field| before + field.1).collect()
}

fn set_sum(data: &mut [u8], at: usize) {
    let length = usize::from(u16::from_be_bytes([data[14], data[15]]));
    let sum = sum(&data[..FIXED + length], at);
    data[at..at + 4].copy_from_slice(&sum);
}

/// CRC-32C of the header with four zeros at `at`, by long division from the highest bit.
fn sum(header: &[u8], at: usize) -> [u8; 4] {
    let mut header = header.to_vec();
    header[at..at + 4].fill(0);
    let mut rest = u32::MAX;
    for byte in header {
        rest ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = rest >> 31 == 1;
            rest = rest << 1 ^ if carry { 0x1edc_6f41 } else { 0 };
        }
    }
    (!rest.reverse_bits()).to_be_bytes()
}

/// A bit of an address or a port beneath a checksum.
fn a_changed_address_is_noticed(data: &[u8], whole: &Result<Status, ProxyHeaderError>) {
    if let Ok(Status::Complete(Sender::Client { .. }, taken)) = *whole {
        for at in FIXED..FIXED + addresses(data) {
            let mut changed = data[..taken].to_vec();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(read(&changed), Err(ProxyHeaderError::Checksum), "byte {at}");
        }
    }
}

fn written_anew_it_reads_the_same(sender: &Sender) {
    let reads = |header: &[u8], sender: &Sender| {
        let complete = Status::Complete(*sender, header.len());
        assert_eq!(read(header), Ok(complete), "{}", header.escape_ascii());
    };
    let mut plain = *sender;
    if let Sender::Client { transport, .. } = &mut plain {
        *transport = Transport::Plain;
    }
    reads(text(sender).as_bytes(), &plain);
    for fields in [&[][..], &NO_FIELD, &CHECKSUM] {
        let mut header = binary(sender, fields);
        if fields == CHECKSUM {
            let at = header.len() - 4;
            set_sum(&mut header, at);
        }
        reads(&header, sender);
    }
}

/// The line of version 1 for a client; it has no word for TLS.
fn text(sender: &Sender) -> String {
    match sender {
        Sender::Balancer => "PROXY UNKNOWN\r\n".to_owned(),
        Sender::Client {
            source: from,
            destination: to,
            ..
        } => {
            let family = if from.is_ipv4() { 4 } else { 6 };
            let ips = format!("{} {}", from.ip(), to.ip());
            let ports = format!("{} {}", from.port(), to.port());
            format!("PROXY TCP{family} {ips} {ports}\r\n")
        }
    }
}

/// A header of version 2 with `fields` behind what the client says.
fn binary(sender: &Sender, fields: &[u8]) -> Vec<u8> {
    let mut behind = Vec::new();
    let kind = match sender {
        Sender::Balancer => [0x20, 0],
        Sender::Client {
            source,
            destination,
            transport,
        } => {
            for ip in [source.ip(), destination.ip()] {
                match ip {
                    IpAddr::V4(ip) => behind.extend(ip.octets()),
                    IpAddr::V6(ip) => behind.extend(ip.octets()),
                }
            }
            behind.extend(source.port().to_be_bytes());
            behind.extend(destination.port().to_be_bytes());
            if *transport == Transport::Tls {
                behind.extend(OVER_TLS);
            }
            [0x21, if source.is_ipv4() { 0x11 } else { 0x21 }]
        }
    };
    behind.extend(fields);
    let length = u16::try_from(behind.len()).unwrap_or(u16::MAX);
    [SIGNATURE, &kind, &length.to_be_bytes(), &behind].concat()
}

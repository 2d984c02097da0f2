//! Request heads: whoever reads them after us reads the request that was judged.

use octroi_wire::head::{HeadReader, MAX_FIELDS, Status, read};
use octroi_wire::{Framing, Head, HeadError, Target};

const LIMIT: usize = 16 * 1024;
const SMALL_LIMIT: usize = 200;

/// Reads, writes and reads again.
pub fn run(data: &[u8]) {
    let limit = if data.len().is_multiple_of(8) {
        SMALL_LIMIT
    } else {
        LIMIT
    };
    let whole = read(data, limit);
    any_split_reads_alike(data, limit, &whole);
    let (head, taken) = match whole {
        Err(error) => {
            assert!((400..600).contains(&error.status()) && !error.reason().is_empty());
            return;
        }
        Ok(Status::NeedMore) => return assert!(data.len() < limit),
        Ok(Status::Complete(head, taken)) => (head, taken),
    };
    assert!(taken <= limit && data[..taken].ends_with(b"\r\n\r\n"));
    sloppy_reader_agrees(&data[..taken], &head);
    let mut out = Vec::new();
    if head.write_origin_form("octroi", &mut out).is_ok() {
        what_goes_on_is_one_request(&head, &out);
    }
}

fn any_split_reads_alike(data: &[u8], limit: usize, whole: &Result<Status, HeadError>) {
    for piece in [1, 2, 7] {
        let mut reader = HeadReader::new(limit);
        let mut last = Ok(Status::NeedMore);
        for end in (0..data.len()).step_by(piece).chain([data.len()]) {
            last = reader.read(&data[..end]);
            if last != Ok(Status::NeedMore) {
                break;
            }
        }
        assert_eq!(&last, whole, "in pieces of {piece}");
    }
}

/// The request as a careless reader takes it: a line ends at LF or at CR, a line that begins with a blank goes on,
/// blanks around a name are nothing.
struct Sloppy {
    line: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sloppy {
    fn read(bytes: &[u8]) -> Self {
        let text = bytes.strip_suffix(b"\r\n\r\n").unwrap_or(bytes);
        let mut lines = Vec::new();
        let ends = |b: &u8| *b == b'\n' || *b == b'\r';
        for line in text.split(ends).filter(|line| !line.is_empty()) {
            match (line.first(), lines.last_mut()) {
                (Some(b' ' | b'\t'), Some(before)) => Vec::extend(before, line),
                _ => lines.push(line.to_vec()),
            }
        }
        let mut lines = lines.into_iter();
        let line = lines.next().unwrap_or_default();
        let fields = lines.map(|line| {
            let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
            let name = line[..colon].trim_ascii().to_ascii_lowercase();
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
            (name, value.to_vec())
        });
        let fields = fields.collect();
        Self { line, fields }
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let here = self.fields.iter().filter(|(n, _)| n == name.as_bytes());
        here.map(|(_, value)| &**value).collect()
    }

    /// The framing that the last length and the last coding give.
    fn framing(&self) -> Framing {
        let length = self.values("content-length").pop();
        let length = length.and_then(|l| std::str::from_utf8(l).ok()?.parse().ok());
        match (self.values("transfer-encoding").pop(), length) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length),
            (None, None) => Framing::None,
        }
    }
}

fn sloppy_reader_agrees(bytes: &[u8], head: &Head) {
    let sloppy = Sloppy::read(bytes);
    let words: Vec<_> = sloppy.line.split(|b| *b == b' ').collect();
    assert_eq!(words.len(), 3, "request line");
    assert_eq!(words[0], head.method.as_bytes());
    let ours: Vec<_> = head.fields().collect();
    assert_eq!(sloppy.fields.len(), ours.len(), "number of fields");
    for ((name, value), (our_name, our_value)) in sloppy.fields.iter().zip(ours) {
        assert_eq!(*name, our_name.to_ascii_lowercase().as_bytes());
        assert_eq!(value, our_value.trim_ascii());
    }
    let host = sloppy.values("host");
    assert!(host.len() <= 1);
    assert_eq!(host.is_empty(), head.host.is_none());
    let is_connect = matches!(head.target, Target::Authority(_));
    let framing = sloppy.framing();
    assert!(framing == head.framing || is_connect && framing == Framing::Length(0));
}

/// Fields that concern one connection, or the proxy: none may reach an origin.
const NEVER_SENT: [&str; 8] = [
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "http2-settings",
];

fn what_goes_on_is_one_request(first: &Head, out: &[u8]) {
    assert!(
        out.iter()
            .all(|&b| b >= 0x20 && b != 0x7f || b"\t\r\n".contains(&b))
    );
    let (second, taken) = match read(out, usize::MAX) {
        Ok(Status::Complete(second, taken)) => (second, taken),
        // A Via and a Host more than there were.
        Err(HeadError::TooManyFields) if first.fields().count() + 2 > MAX_FIELDS => return,
        other => panic!("{other:?} of {}", out.escape_ascii()),
    };
    assert_eq!(taken, out.len());
    sloppy_reader_agrees(out, &second);
    assert_eq!(second.method, first.method);
    assert_eq!(second.framing, first.framing);
    assert_eq!(second.expect_continue, first.expect_continue);
    assert_eq!(second.is_websocket(), first.is_websocket());
    let (asked, path) = match &first.target {
        Target::Absolute {
            authority, path, ..
        } => (Some(&authority.host), path.as_str()),
        Target::Origin(path) => (first.host.as_ref().map(|a| &a.host), path.as_str()),
        _ => (first.host.as_ref().map(|a| &a.host), "*"),
    };
    assert_eq!(second.host.as_ref().map(|a| &a.host), asked);
    match &second.target {
        Target::Origin(found) => assert_eq!(found, path),
        Target::Asterisk => assert_eq!(path, "*"),
        other => panic!("{other:?} is no origin form"),
    }
    for name in NEVER_SENT {
        assert_eq!(second.values(name).count(), 0, "{name}");
    }
    if !second.is_websocket() {
        assert_eq!(
            second.values("connection").count() + second.values("upgrade").count(),
            0
        );
    }
    for (name, _) in second.fields() {
        let named = first
            .values("connection")
            .flat_map(|v| v.split(|b| *b == b','));
        let mut named = named.map(<[u8]>::trim_ascii);
        let ours = [
            "host",
            "content-length",
            "transfer-encoding",
            "via",
            "connection",
            "upgrade",
            "expect",
            "max-forwards",
        ];
        let is_ours = ours.iter().any(|our| name.eq_ignore_ascii_case(our));
        assert!(
            is_ours || !named.any(|n| n.eq_ignore_ascii_case(name.as_bytes())),
            "{name}"
        );
    }
    assert!(second.came_through("octroi"));
    let fewer = first.max_forwards.map(|hops| hops.saturating_sub(1));
    assert_eq!(second.max_forwards, fewer);
    // Written once more it is the same but for one more Via, and one hop less.
    let mut again = Vec::new();
    assert!(second.write_origin_form("octroi", &mut again).is_ok());
    let digits = |hops: u64| hops.to_string().len();
    let shorter = fewer.map_or(0, |hops| digits(hops) - digits(hops.saturating_sub(1)));
    let via = b"Via: 1.1 octroi\r\n".len();
    assert_eq!(again.len() + shorter, out.len() + via);
}

//! The console's own files, inside the program.

use std::sync::LazyLock;

use http::{HeaderMap, StatusCode, header};
use ring::digest::{SHA256, digest};

use super::answer::Answer;

/// A file of `proxy/console`.
#[derive(Debug)]
pub(super) struct File {
    /// Its path here.
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $content_type:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../console/", $name)),
        }
    };
}

/// All of them; the page itself is at `/`.
static FILES: &[File] = &[
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!(
        "/console/api.js",
        "api.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/attempt.js",
        "attempt.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/chart.js",
        "chart.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/console.css",
        "console.css",
        "text/css; charset=utf-8"
    ),
    file!(
        "/console/console.js",
        "console.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/day.js",
        "day.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/derogations.js",
        "derogations.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/dom.js",
        "dom.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/explain.js",
        "explain.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/filters.js",
        "filters.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/gate.js",
        "gate.js",
        "text/javascript; charset=utf-8"
    ),
    file!("/console/icon.svg", "icon.svg", "image/svg+xml"),
    file!(
        "/console/language.js",
        "language.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/lines.js",
        "lines.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/live.js",
        "live.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/policy.js",
        "policy.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/router.js",
        "router.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/session.js",
        "session.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/stream.js",
        "stream.js",
        "text/javascript; charset=utf-8"
    ),
    file!(
        "/console/words.js",
        "words.js",
        "text/javascript; charset=utf-8"
    ),
];

/// The tag of each: its text is another when the file is.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(File::tag).collect());

impl File {
    fn tag(&self) -> String {
        use std::fmt::Write;
        let digest = digest(&SHA256, self.bytes);
        let mut tag = String::from("\"");
        for byte in &digest.as_ref()[..16] {
            let _ = write!(tag, "{byte:02x}");
        }
        tag + "\""
    }
}

/// Where a file stands among all, by its path.
pub(super) fn position(path: &str) -> Option<usize> {
    FILES.iter().position(|file| file.path == path)
}

/// A file; 304 to who has it already.
pub(super) fn serve(position: usize, headers: &HeaderMap) -> Answer {
    let (file, tag) = (&FILES[position], &TAGS[position]);
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let has_it = known.any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let answer = if has_it {
        Answer::new(StatusCode::NOT_MODIFIED, file.content_type, "")
    } else {
        Answer::new(StatusCode::OK, file.content_type, file.bytes)
    };
    answer.kept().with(header::ETAG, tag)
}

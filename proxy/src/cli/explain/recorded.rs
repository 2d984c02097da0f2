//! What the audit log keeps of a flow, told in the words and the layout of `explain`.

use std::fmt::{Display, Write};

use octroi_policy::explain::words::{GroundWords, ended};

use crate::ledger::record::{Endpoint, Ground, Hit, Lift, Octroi, Piece, Place, Record};

/// Columns before the text of a row.
const MARGIN: usize = 11;

/// Rows of a heading and a text. What a client wrote is shown and never acts on the terminal.
#[derive(Default)]
pub(super) struct Rows(String);

impl Rows {
    pub(super) fn row(&mut self, head: &str, text: impl Display) {
        let _ = writeln!(self.0, "{head:<MARGIN$}{}", harmless(&text.to_string()));
    }

    /// Rows under one heading.
    pub(super) fn rows<T: Display>(&mut self, head: &str, texts: impl IntoIterator<Item = T>) {
        for (at, text) in texts.into_iter().enumerate() {
            self.row(if at == 0 { head } else { "" }, text);
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Control and direction characters are written as what they are.
fn harmless(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A decision or reject line, and the close line where there is one.
pub(super) fn tell(rows: &mut Rows, decision: &(Place, Record), close: Option<&(Place, Record)>) {
    let (place, record) = decision;
    let at = format_args!("  [{}:{}]", place.file, place.line);
    rows.row("incident", format_args!("{}{at}", record.event.id));
    if record.event.action == "reject" {
        return tell_reject(rows, record);
    }
    tell_asker(rows, record);
    tell_asked(rows, record);
    let octroi = &record.octroi;
    let service = record.service.as_ref();
    let named = |id: &str| {
        let own = service.filter(|service| service.id == id);
        own.map(|service| service.name.as_str())
    };
    rows.rows("what", octroi.evidence.iter().map(|it| piece(it, named)));
    rows.rows("rules", octroi.rules.iter().map(|it| hit(octroi, it)));
    rows.rows("derogation", octroi.lifts.iter().map(|it| lift(octroi, it)));
    rows.rows("evidence", octroi.outcome.as_deref());
    rows.rows("sni", octroi.sni.as_deref());
    rows.row("recorded", verdict(octroi));
    rows.rows("", octroi.grounds.iter().map(|it| ground(octroi, it)));
    if octroi.grounds.is_empty() && record.event.reason.as_deref() == Some("aborted") {
        rows.row("", "the flow ended before it was judged");
    }
    if let Some(policy) = &octroi.policy {
        let by = format_args!("{}, digest {}", policy.name, policy.digest);
        rows.row("policy", by);
    }
    match close {
        Some((place, close)) => tell_close(rows, place, close),
        None => rows.row(
            "ended",
            "not in the log: it is open, or the gate was killed",
        ),
    }
}

fn tell_asker(rows: &mut Rows, record: &Record) {
    let workloads = record.octroi.workloads();
    let source = asker(record);
    match workloads.as_slice() {
        [] => rows.row("who", source),
        [workload] => rows.row("who", format_args!("{source} is {workload}")),
        several => {
            rows.row("who", format_args!("{source} is {}", several.join(" and ")));
            rows.row(
                "",
                "address and certificate disagree: all are judged, the strictest wins",
            );
        }
    }
    let question = record.octroi.question.as_ref();
    let listener = question.and_then(|question| question.listener.as_deref());
    rows.rows("", listener.map(|name| format!("through listener {name}")));
    let certificate = question.map_or(&[][..], |question| &question.certificate);
    if !certificate.is_empty() {
        rows.row(
            "",
            format_args!("with a certificate for {}", certificate.join(", ")),
        );
    }
    let agent = record.user_agent.as_ref();
    rows.rows(
        "",
        agent.map(|agent| format!("calls itself `{}`", agent.original)),
    );
}

/// Whoever asked, as far as the log says.
fn asker(record: &Record) -> String {
    let source = record.source.as_ref();
    match (source.and_then(|source| source.ip), &record.client) {
        (Some(ip), _) => ip.to_string(),
        (None, Some(client)) => {
            format!("the machine with hash {} of {}", client.hash, client.key_id)
        }
        (None, None) => "a machine whose address was not recorded".to_owned(),
    }
}

fn tell_asked(rows: &mut Rows, record: &Record) {
    let octroi = &record.octroi;
    let at = octroi.judged_at.as_ref().unwrap_or(&record.timestamp);
    let url = record.url.clone().unwrap_or_default();
    let question = octroi.question.as_ref();
    let how = match question.map(|question| question.protocol.as_str()) {
        Some("captured") => "a captured connection to",
        _ if url.scheme.as_deref() == Some("http") => "plain HTTP to",
        _ => "CONNECT",
    };
    rows.row(
        "asked",
        format_args!("{how} {}:{} at {at}", url.domain, url.port),
    );
    let original = question.and_then(|question| question.original);
    rows.rows(
        "",
        original.map(|original| format!("on its way to {original}")),
    );
}

fn piece<'a>(piece: &Piece, named: impl Fn(&str) -> Option<&'a str>) -> String {
    let behind = !matches!(piece.kind.as_str(), "target" | "host" | "sni");
    let behind = if behind { " (found behind)" } else { "" };
    format!(
        "{:<9} {} is {}{behind}",
        piece.kind,
        piece.value,
        class(piece, named)
    )
}

/// What a piece of evidence was taken for.
pub(super) fn class<'a>(piece: &Piece, named: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut parts = Vec::new();
    if let Some(id) = &piece.service {
        let name = named(id).map_or_else(String::new, |name| format!(" ({name})"));
        parts.push(format!("service {id}{name}"));
    }
    if let Some(provider) = &piece.provider {
        parts.push(format!("provider {provider}"));
    }
    let mut text = parts.join(" of ");
    match (&piece.local_service, text.is_empty()) {
        (Some(own), true) => text = format!("service {own}, named by the ministry itself"),
        (None, true) => text.push_str("unlisted"),
        _ => {}
    }
    match piece.role.as_deref() {
        Some("front") => text.push_str(", a front"),
        Some("platform") => text.push_str(", a platform"),
        _ => {}
    }
    if let Some(range) = &piece.range {
        let _ = write!(text, ", {range}");
    }
    text
}

fn hit(octroi: &Octroi, hit: &Hit) -> String {
    let list = hit.list.as_ref();
    let list = list.map_or_else(String::new, |list| format!(", by {list}"));
    let ended = ended(&hit.disposition, hit.derogation.as_deref());
    let evidence = evidence(octroi, hit.evidence);
    format!("{} matches {evidence}: {ended}{list}", hit.rule)
}

fn lift(octroi: &Octroi, lift: &Lift) -> String {
    let through = lift.through.as_deref().unwrap_or("?");
    let cover = match lift.cover.as_str() {
        "required" => format!("{through}, lifted as a requirement"),
        "behind" => format!("{through}, the provider behind"),
        _ => "a service that it names".to_owned(),
    };
    let value = octroi.piece(lift.evidence);
    let value = value.map_or("?", |piece| &piece.value);
    format!("{} covers `{value}` as {cover}", lift.derogation)
}

/// A piece of evidence by its kind and value.
pub(super) fn evidence(octroi: &Octroi, at: u16) -> String {
    let piece = octroi.piece(at);
    piece.map_or_else(String::new, |it| format!("{} `{}`", it.kind, it.value))
}

/// A verdict and whether traffic followed it.
pub(super) fn verdict(octroi: &Octroi) -> String {
    let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "?".to_owned());
    format!("{} ({})", word(&octroi.verdict), word(&octroi.mode))
}

/// A ground in one sentence.
pub(super) fn ground(octroi: &Octroi, ground: &Ground) -> String {
    let piece = ground.evidence.and_then(|at| octroi.piece(at));
    let words = GroundWords {
        ground: &ground.ground,
        rule: ground.rule.as_deref(),
        evidence: piece.map(|piece| (piece.kind.as_str(), piece.value.as_str())),
        what: ground.what.as_deref(),
    };
    words.to_string()
}

fn tell_close(rows: &mut Rows, place: &Place, close: &Record) {
    let octroi = &close.octroi;
    let reason = octroi.reason.as_deref().unwrap_or("?");
    let detail = octroi.detail.as_ref();
    let detail = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
    let by = octroi.closed_by.as_deref().unwrap_or("?");
    let nanos = close.event.duration.unwrap_or_default();
    rows.row(
        "ended",
        format_args!(
            "{reason}{detail} by the {by} at {}, after {}  [{}:{}]",
            close.timestamp,
            lasted(nanos),
            place.file,
            place.line
        ),
    );
    let bytes = |end: &Option<Endpoint>| end.as_ref().and_then(|it| it.bytes);
    let (up, down) = (bytes(&close.source), bytes(&close.destination));
    rows.row(
        "",
        format_args!(
            "{} bytes up, {} bytes down",
            up.unwrap_or(0),
            down.unwrap_or(0)
        ),
    );
    let limit = octroi.limit.as_ref();
    rows.rows(
        "",
        limit.map(|it| {
            let of = it.of.as_deref().unwrap_or("the source");
            format!("it met the limit {} of {of}: {}", it.name, it.most)
        }),
    );
    if reason == "revoked" {
        let rule = close.rule.as_ref();
        let rule = rule.map_or_else(String::new, |rule| format!("rule {} of ", rule.id));
        let policy = octroi.policy.clone().unwrap_or_default();
        let by = format_args!("by {rule}policy {}, digest {}", policy.name, policy.digest);
        rows.row("", by);
    }
}

/// A duration as people say it.
fn lasted(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    match millis / 1000 {
        0 => format!("{millis} ms"),
        seconds @ 1..=119 => format!("{seconds}.{} s", millis % 1000 / 100),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn tell_reject(rows: &mut Rows, record: &Record) {
    let octroi = &record.octroi;
    let listener = octroi.listener.as_deref().unwrap_or("?");
    rows.row(
        "who",
        format_args!("{}, through listener {listener}", asker(record)),
    );
    rows.row(
        "asked",
        format_args!("a request that became no flow, at {}", record.timestamp),
    );
    let http = record.http.as_ref();
    let response = http.and_then(|http| http.response.as_ref());
    let answer = match response {
        Some(response) => format!("answered with status {}", response.status_code),
        None => "without an answer".to_owned(),
    };
    let reason = octroi.reason.as_deref().unwrap_or("?");
    rows.row("refused", format_args!("{reason}, {answer}"));
    rows.rows("", octroi.detail.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_wrote_never_acts_on_the_terminal() {
        let mut rows = Rows::default();
        rows.row("who", "a\u{1b}[31m\nb\u{202e}é");
        assert_eq!(rows.into_text(), "who        a\\u{1b}[31m\\nb\\u{202e}é\n");
    }

    #[test]
    fn durations_are_said_as_people_do() {
        for (nanos, said) in [
            (0, "0 ms"),
            (3_999_999, "3 ms"),
            (1_250_000_000, "1.2 s"),
            (7_261_000_000_000, "121 min 1 s"),
        ] {
            assert_eq!(lasted(nanos), said);
        }
    }
}

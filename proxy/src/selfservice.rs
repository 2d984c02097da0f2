//! What the listener answers as a web server, and to whom: a person who asks why, a browser that asks
//! for the way out. It knows a client by its address alone; the Host field is believed for nothing.

use jiff::Timestamp;
use octroi_policy::catalogue::Language;
use octroi_wire::head::{Head, Target};

use crate::gate::Gate;
use crate::listener::Client;
use crate::pac;
use crate::refusals::Kept;
use crate::reply::refusal::Told;
use crate::reply::{Recent, Reply};
use crate::request::audience;

/// A page of the gate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/`: what the client was refused of late.
    Refusals,
    /// OPTIONS that may go no further: an answer about the gate (RFC 9110 section 7.6.2).
    Options,
    /// `/proxy.pac`, and `/wpad.dat`, where browsers look for it unasked.
    Pac,
}

impl Page {
    /// The page that a request asks for, if it asks for one: origin form, GET or HEAD; or OPTIONS
    /// that ends here.
    #[must_use]
    pub fn of(head: &Head) -> Option<Self> {
        if head.max_forwards == Some(0) {
            return Some(Self::Options);
        }
        let Target::Origin(target) = &head.target else {
            return None;
        };
        if !matches!(&*head.method, "GET" | "HEAD") {
            return None;
        }
        let path = target.split('?').next().unwrap_or(target);
        match path {
            "/" => Some(Self::Refusals),
            "/proxy.pac" | "/wpad.dat" => Some(Self::Pac),
            _ => None,
        }
    }

    /// The page as this client sees it.
    #[must_use]
    pub fn reply(self, gate: &Gate, client: &Client, head: &Head) -> Reply {
        match self {
            Self::Refusals => refusals(gate, client, head),
            Self::Options => Reply::options(),
            Self::Pac => Reply::pac(pac::text(&gate.config.pac, client.local, client.transport)),
        }
    }
}

fn refusals(gate: &Gate, client: &Client, head: &Head) -> Reply {
    let now = Timestamp::now();
    let mut audience = audience(head);
    audience.language = chosen(head).unwrap_or(audience.language);
    let policy = gate.policy.policy_to_keep();
    let who = policy.identify(&client.source);
    let source = client.source.address;
    let kept = gate.refusals.of(source, now).into_iter();
    let kept: Vec<(Kept, Told)> = kept
        .map(|kept| {
            let told = Told::from(&kept);
            (kept, told)
        })
        .collect();
    let recent = Recent::new(&policy, source, &who, &kept, now, audience.language);
    Reply::recent(&recent, audience)
}

/// The language that a link of the page asks for, whatever the browser prefers.
fn chosen(head: &Head) -> Option<Language> {
    let Target::Origin(target) = &head.target else {
        return None;
    };
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| match pair {
        "lang=fr" => Some(Language::French),
        "lang=en" => Some(Language::English),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use octroi_wire::head::{Status, read};

    use super::*;

    fn head(line: &str) -> Box<Head> {
        with(line, "")
    }

    fn with(line: &str, fields: &str) -> Box<Head> {
        let text = format!("{line} HTTP/1.1\r\nHost: anything.example\r\n{fields}\r\n");
        match read(text.as_bytes(), 4096).unwrap() {
            Status::Complete(head, _) => head,
            Status::NeedMore => panic!("not a whole head: {text}"),
        }
    }

    /// RFC 9110 section 7.6.2: whoever counts down to nothing is the last to be asked.
    #[test]
    fn options_that_may_go_no_further_are_answered_here() {
        for (line, hops, expected) in [
            ("OPTIONS http://a.example/", "0", Some(Page::Options)),
            ("OPTIONS *", "0", Some(Page::Options)),
            ("OPTIONS http://a.example/", "1", None),
            ("GET http://a.example/", "0", None),
            ("CONNECT a.example:443", "0", None),
        ] {
            let head = with(line, &format!("Max-Forwards: {hops}\r\n"));
            assert_eq!(Page::of(&head), expected, "{line} {hops}");
        }
    }

    fn page(line: &str) -> Option<Page> {
        Page::of(&head(line))
    }

    #[test]
    fn a_link_of_the_page_chooses_the_language() {
        for (line, expected) in [
            ("GET /", None),
            ("GET /?lang=en", Some(Language::English)),
            ("GET /?a=b&lang=fr", Some(Language::French)),
            ("GET /?lang=de", None),
            ("GET /?lang=enx", None),
            ("GET /?language=en", None),
        ] {
            assert_eq!(chosen(&head(line)), expected, "{line}");
        }
    }

    #[test]
    fn only_the_gates_own_pages_in_origin_form_are_answered() {
        for (line, expected) in [
            ("GET /", Some(Page::Refusals)),
            ("HEAD /", Some(Page::Refusals)),
            ("GET /?lang=en", Some(Page::Refusals)),
            ("GET /proxy.pac", Some(Page::Pac)),
            ("HEAD /wpad.dat", Some(Page::Pac)),
            ("GET /wpad.dat?x", Some(Page::Pac)),
            ("POST /", None),
            ("OPTIONS /", None),
            ("GET //", None),
            ("GET /Proxy.pac", None),
            ("GET /proxy.pac/", None),
            ("GET /favicon.ico", None),
            ("GET /%2f", None),
            ("GET http://a.example/", None),
            ("GET http://a.example/proxy.pac", None),
            ("CONNECT a.example:443", None),
        ] {
            assert_eq!(page(line), expected, "{line}");
        }
    }
}

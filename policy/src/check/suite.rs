//! The bundle's own tests.

use std::net::IpAddr;

use super::Check;
use super::documents::{Documents, Written};
use super::ids::{self, Ids};
use crate::bundle::yaml::{self, Text};
use crate::decision::{Enforcement, Outcome, SniOutcome, Verdict};
use crate::diagnostic::{Code, Diagnostic};
use crate::flow::{CertificateName, EvidenceKind, Hello, Protocol, Source};
use crate::name::{Authority, DomainName, Host};
use crate::suite::{Case, Expect, Given};

/// The port of a CONNECT that names none.
const HTTPS: u16 = 443;
/// The port of a plain HTTP request that names none.
const HTTP: u16 = 80;
/// The words of [`crate::decision::Ground::as_str`].
const REASONS: [&str; 7] = [
    "block",
    "forbidden-address",
    "deny",
    "evidence-outcome",
    "sni-outcome",
    "port",
    "default",
];

/// Builds the tests.
pub(super) fn build(check: &mut Check<'_>, documents: &Documents, ids: &Ids) -> Vec<Case> {
    let mut cases = Vec::new();
    for written in documents.tests() {
        let given = given(check, &written);
        let expect = expect(check, &written, ids);
        cases.extend(given.zip(expect).map(|(given, expect)| Case {
            name: written.it.name.value.as_str().into(),
            given,
            expect,
            place: written.place,
        }));
    }
    cases
}

fn given(check: &mut Check<'_>, written: &Written<'_, yaml::Test>) -> Option<Given> {
    let file = written.file;
    let it = &written.it.given.value;
    let asked = asked(check, written);
    let source = address(check, &it.source, file);
    let certificate = certificate(check, it.certificate.as_ref(), file);
    let host = it
        .host_header
        .as_ref()
        .and_then(|text| host(check, text, file));
    let hello = asked
        .as_ref()
        .and_then(|asked| hello(check, it, &asked.target, file));
    let chain = names(check, it.cname.as_ref(), file);
    let addresses = it.address.iter().flat_map(|values| &values.items);
    let addresses = addresses
        .filter_map(|text| address(check, text, file))
        .collect();
    let at = it
        .at
        .as_ref()
        .and_then(|text| check.date(text, file))
        .map(|moment| moment.start());
    let asked = asked?;
    Some(Given {
        source: Source {
            address: source?.to_canonical(),
            certificate,
            listener: it.listener.as_deref().map(Into::into),
        },
        protocol: asked.protocol,
        target: asked.target,
        port: asked.port,
        original: asked.original,
        host,
        hello,
        chain,
        addresses,
        at,
    })
}

/// What a test asks for.
struct Asked {
    target: Host,
    port: u16,
    protocol: Protocol,
    original: Option<IpAddr>,
}

fn asked(check: &mut Check<'_>, written: &Written<'_, yaml::Test>) -> Option<Asked> {
    let file = written.file;
    let it = &written.it.given.value;
    let original = match &it.original {
        Some(text) => Some(address(check, text, file)?.to_canonical()),
        None => None,
    };
    let (text, protocol, authority) = match (&it.host, &it.url) {
        (Some(text), None) => {
            let protocol = if it.http == Some(true) {
                Protocol::Http
            } else {
                Protocol::Connect
            };
            (text, protocol, text.value.as_str())
        }
        (None, Some(text)) => {
            let (protocol, rest) = split_url(check, text, file)?;
            (text, protocol, rest)
        }
        (None, None) if original.is_some() => {
            let address = original?;
            let protocol = if it.http == Some(true) {
                Protocol::Http
            } else {
                Protocol::Captured
            };
            let port = it.port.as_ref().map(|port| port.value);
            return Some(Asked {
                target: Host::from(address),
                port: port.unwrap_or(default_port(protocol)),
                protocol,
                original: Some(address),
            });
        }
        _ => {
            let message = "a test asks for one thing: either `host` or `url`";
            let place = check.place(&written.it.given, file);
            check.report(
                Diagnostic::error(Code::MissingKey, message)
                    .at(place)
                    .help("write `host: outlook.office.com`"),
            );
            return None;
        }
    };
    let authority = match Authority::parse(authority) {
        Ok(authority) => authority,
        Err(error) => {
            check.wrong(
                Code::InvalidName,
                format!("`{}`: {error}", text.value),
                text,
                file,
                "write a host name or an address",
            );
            return None;
        }
    };
    let port = it.port.as_ref().map(|port| port.value).or(authority.port);
    let protocol = match protocol {
        Protocol::Connect if original.is_some() => Protocol::Captured,
        protocol => protocol,
    };
    Some(Asked {
        target: authority.host,
        port: port.unwrap_or(default_port(protocol)),
        protocol,
        original,
    })
}

fn default_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Http => HTTP,
        Protocol::Connect | Protocol::Captured => HTTPS,
    }
}

/// The protocol and the authority of a URL.
fn split_url<'a>(check: &mut Check<'_>, text: &'a Text, file: u32) -> Option<(Protocol, &'a str)> {
    let (protocol, rest) = match text.value.split_once("://") {
        Some(("https" | "wss", rest)) => (Protocol::Connect, rest),
        Some(("http" | "ws", rest)) => (Protocol::Http, rest),
        _ => {
            let message = format!("`{}` is not a URL", text.value);
            check.wrong(
                Code::InvalidName,
                message,
                text,
                file,
                "begin it with `https://` or `http://`",
            );
            return None;
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some((protocol, &rest[..end]))
}

fn hello(check: &mut Check<'_>, it: &yaml::Given, target: &Host, file: u32) -> Option<Hello> {
    let ech = it.ech.unwrap_or(false);
    let Some(sni) = &it.sni else {
        return target.name().filter(|_| ech).map(|name| Hello::Name {
            name: name.clone(),
            ech,
        });
    };
    Some(match sni.value.as_str() {
        "absent" => Hello::Absent,
        "not_tls" => Hello::NotTls,
        "malformed" => Hello::Malformed,
        "timeout" => Hello::Timeout,
        "not_expected" => Hello::NotExpected,
        _ => Hello::Name {
            name: name(check, sni, file)?,
            ech,
        },
    })
}

fn names(check: &mut Check<'_>, values: Option<&yaml::Values>, file: u32) -> Vec<DomainName> {
    let items = values.iter().flat_map(|values| &values.items);
    items.filter_map(|text| name(check, text, file)).collect()
}

fn certificate(
    check: &mut Check<'_>,
    values: Option<&yaml::Values>,
    file: u32,
) -> Vec<CertificateName> {
    let mut names = Vec::new();
    for text in values.iter().flat_map(|values| &values.items) {
        match CertificateName::parse(&text.value) {
            Some(name) => names.push(name),
            None => check.wrong(
                Code::InvalidName,
                format!("`{}` is no name of a certificate", text.value),
                text,
                file,
                "write a host name, a URI or an e-mail address",
            ),
        }
    }
    names
}

fn name(check: &mut Check<'_>, text: &Text, file: u32) -> Option<DomainName> {
    DomainName::from_unicode(&text.value)
        .map_err(|error| {
            check.wrong(
                Code::InvalidName,
                format!("`{}`: {error}", text.value),
                text,
                file,
                "write a host name",
            );
        })
        .ok()
}

fn host(check: &mut Check<'_>, text: &Text, file: u32) -> Option<Host> {
    Host::parse(&text.value)
        .map_err(|error| {
            check.wrong(
                Code::InvalidName,
                format!("`{}`: {error}", text.value),
                text,
                file,
                "write a host name or an address",
            );
        })
        .ok()
}

fn address(check: &mut Check<'_>, text: &Text, file: u32) -> Option<IpAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is not an address", text.value);
        check.wrong(
            Code::InvalidAddress,
            message,
            text,
            file,
            "write one address: `192.0.2.4`",
        );
    }
    address
}

fn expect(check: &mut Check<'_>, written: &Written<'_, yaml::Test>, ids: &Ids) -> Option<Expect> {
    let file = written.file;
    let it = &written.it.expect.value;
    let verdict = check.word(
        &it.verdict,
        file,
        &[("allow", Verdict::Allow), ("deny", Verdict::Deny)],
    );
    let modes = [
        ("enforced", Enforcement::Enforced),
        ("observed", Enforcement::Observed),
    ];
    let mode = it
        .mode
        .as_ref()
        .and_then(|text| check.word(text, file, &modes));
    let kinds = EvidenceKind::ALL.map(|kind| (kind.as_str(), kind));
    let outcomes = Outcome::ALL.map(|outcome| (outcome.as_str(), outcome));
    let sni_outcomes = SniOutcome::ALL.map(|outcome| (outcome.as_str(), outcome));
    let reasons = REASONS.map(|reason| (reason, ()));
    let evidence = it
        .evidence
        .as_ref()
        .and_then(|text| check.word(text, file, &kinds));
    let outcome = it
        .outcome
        .as_ref()
        .and_then(|text| check.word(text, file, &outcomes));
    let sni_outcome = it
        .sni_outcome
        .as_ref()
        .and_then(|text| check.word(text, file, &sni_outcomes));
    if let Some(reason) = &it.reason {
        check.word(reason, file, &reasons);
    }
    if let Some(text) = it
        .workload
        .as_ref()
        .filter(|text| text.value != "unassigned")
    {
        let values = yaml::Values {
            items: vec![text.clone()],
        };
        ids.workloads(check, &values, file, None);
    }
    if let Some(text) = it
        .ministry
        .as_ref()
        .filter(|text| text.value != "unassigned")
    {
        ids.ministries.find(check, text, file);
    }
    let plain = |text: &Option<Text>| text.as_ref().map(|text| text.value.as_str().into());
    Some(Expect {
        mode: mode.unwrap_or(Enforcement::Enforced),
        rule: ids::named(check, &ids.rules, it.rule.as_ref(), file),
        service: ids::named(check, &ids.services, it.service.as_ref(), file),
        derogation: ids::named(check, &ids.derogations, it.derogation.as_ref(), file),
        evidence,
        outcome,
        sni_outcome,
        ministry: plain(&it.ministry),
        workload: plain(&it.workload),
        reason: plain(&it.reason),
        verdict: verdict?,
    })
}

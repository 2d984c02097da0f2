//! `octroi explain`

mod changes;
mod incident;
mod recorded;

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;
use octroi_policy::bundle::Bundle;
use octroi_policy::decision::Verdict;
use octroi_policy::explain::explain;
use octroi_policy::flow::{Hello, Protocol, Source};
use octroi_policy::name::{Authority, DomainName, Host, NameError};
use octroi_policy::suite::Given;
use octroi_policy::validity::Moment;

use super::{CONFIG, IO, NO, complain, say, unreadable};
use crate::config::{Config, PolicySource};
use crate::dns::Resolver;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The client's address
    #[arg(long, value_name = "ADDRESS", required_unless_present = "incident")]
    source: Option<IpAddr>,
    /// The instant: a day (its first second, UTC) or an RFC 3339 time [default: now]
    #[arg(long, value_name = "DATE", value_parser = instant)]
    at: Option<Timestamp>,
    /// A name of the CNAME chain, in order; may be repeated
    #[arg(long, value_name = "NAME", value_parser = DomainName::from_unicode)]
    cname: Vec<DomainName>,
    /// An address of the answer; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// What the ClientHello shows: a name, `absent`, `not_tls`, `malformed` or `timeout` [default: the target's name]
    #[arg(long, value_name = "NAME", value_parser = hello)]
    sni: Option<Hello>,
    /// Where a captured connection was on its way to (a transparent listener)
    #[arg(long, value_name = "ADDRESS")]
    original: Option<IpAddr>,
    /// Do not ask the name servers
    #[arg(long)]
    no_resolve: bool,
    /// The bundle [default: that of --config, else the embedded example]
    #[arg(long, value_name = "BUNDLE")]
    policy: Option<PathBuf>,
    /// The gate's own file: its policy, name servers and forbidden addresses
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is asked for: https://host[:port]/…, http://…, or host:port
    #[arg(required_unless_present = "incident")]
    url: Option<Asked>,
    /// The number of a refusal: what the log keeps of it, and what the policy says of it now
    #[arg(long, value_name = "ID", num_args = 1..=16, conflicts_with_all = ["source", "url", "cname", "address", "sni", "original", "no_resolve"])]
    incident: Vec<String>,
    /// Logs to search for it, `-` for standard input [default: that of --config and the files set aside]
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "incident")]
    audit: Vec<PathBuf>,
}

/// A URL as a person types it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    protocol: Protocol,
    host: Host,
    port: u16,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let (Some(source), Some(asked)) = (arguments.source, &arguments.url) else {
        return incident::run(arguments);
    };
    match answer(arguments, source, asked) {
        Ok(Verdict::Allow) => 0,
        Ok(Verdict::Deny) => NO,
        Err(code) => code,
    }
}

fn answer(arguments: &Arguments, source: IpAddr, asked: &Asked) -> Result<Verdict, u8> {
    let config = config(arguments)?;
    let bundle = bundle(arguments, &config)?;
    let policy = super::policy(&bundle)?;
    let given = given(arguments, source, asked, &config)?;
    let flow = given.flow(&policy, &config.upstream.forbid);
    let decision = policy.judge(&flow, given.at.unwrap_or_else(Timestamp::now));
    say(explain(&policy, &flow, &decision, Some(&bundle)).trim_end());
    Ok(decision.verdict())
}

fn config(arguments: &Arguments) -> Result<Config, u8> {
    let Some(path) = &arguments.config else {
        return Ok(Config::default_demo());
    };
    Config::load(path).map_err(|error| {
        complain(&error);
        error.exit_code()
    })
}

fn bundle(arguments: &Arguments, config: &Config) -> Result<Bundle, u8> {
    let path = match (&arguments.policy, &config.policy) {
        (Some(path), _) | (None, PolicySource::Path(path)) => Some(path.as_path()),
        (None, PolicySource::Embedded) => None,
    };
    super::bundle(path).map_err(|error| unreadable(&error))
}

fn given(
    arguments: &Arguments,
    source: IpAddr,
    asked: &Asked,
    config: &Config,
) -> Result<Given, u8> {
    let Asked {
        protocol,
        host,
        port,
    } = asked.clone();
    let (mut chain, mut addresses) = (arguments.cname.clone(), arguments.address.clone());
    let is_told = arguments.no_resolve || !chain.is_empty() || !addresses.is_empty();
    if let (false, Some(name)) = (is_told, host.name()) {
        (chain, addresses) = resolve(name, config)?;
    }
    let original = arguments.original.map(|address| address.to_canonical());
    let protocol = match protocol {
        Protocol::Connect if original.is_some() => Protocol::Captured,
        protocol => protocol,
    };
    Ok(Given {
        source: Source::from_address(source),
        protocol,
        target: host,
        port,
        original,
        host: None,
        hello: arguments.sni.clone(),
        chain,
        addresses,
        at: arguments.at,
    })
}

/// Asks the name servers that the gate would ask. A name without an answer is judged by itself,
/// and that is said.
fn resolve(name: &DomainName, config: &Config) -> Result<(Vec<DomainName>, Vec<IpAddr>), u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| failed("start", &error, IO))?;
    let resolver = Resolver::new(&config.dns)
        .map_err(|error| failed("set the resolver up", &error, CONFIG))?;
    match runtime.block_on(resolver.resolve(name)) {
        Ok(resolution) => Ok((resolution.chain.clone(), resolution.addresses.clone())),
        Err(error) => {
            complain(format_args!(
                "note: `{name}` is judged by its name alone: {error}"
            ));
            Ok(Default::default())
        }
    }
}

fn failed(what: &str, error: &std::io::Error, code: u8) -> u8 {
    complain(format_args!("error: cannot {what}: {error}"));
    code
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let moment =
        Moment::parse(text).map_err(|_| "write a day (2026-11-23) or an RFC 3339 time".to_owned());
    moment.map(Moment::start)
}

fn hello(text: &str) -> Result<Hello, NameError> {
    Ok(match text {
        "absent" => Hello::Absent,
        "not_tls" => Hello::NotTls,
        "malformed" => Hello::Malformed,
        "timeout" => Hello::Timeout,
        name => Hello::Name {
            name: DomainName::from_unicode(name)?,
            ech: false,
        },
    })
}

impl FromStr for Asked {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (protocol, default_port) = match scheme {
            "http" => (Protocol::Http, 80),
            "https" => (Protocol::Connect, 443),
            _ => return Err(NameError::Character),
        };
        let written = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let Authority { host, port } = authority(written)?;
        Ok(Self {
            protocol,
            host,
            port: port.unwrap_or(default_port),
        })
    }
}

/// An authority whose host may be written in Unicode.
fn authority(text: &str) -> Result<Authority, NameError> {
    if text.is_ascii() {
        return Authority::parse(text);
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let name = DomainName::from_unicode(name)?;
    if port.is_empty() {
        Authority::parse(name.as_str())
    } else {
        Authority::parse(&format!("{name}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_people_type_it() {
        for (text, protocol, host, port) in [
            (
                "https://outlook.office.com/inbox?x=1",
                Protocol::Connect,
                "outlook.office.com",
                443,
            ),
            ("http://News.Example", Protocol::Http, "news.example", 80),
            (
                "http://news.example:8080/",
                Protocol::Http,
                "news.example",
                8080,
            ),
            ("ssh.example:22", Protocol::Connect, "ssh.example", 22),
            ("news.example", Protocol::Connect, "news.example", 443),
            (
                "https://écoles.example/",
                Protocol::Connect,
                "xn--coles-9ra.example",
                443,
            ),
            (
                "https://écoles.example:8443/",
                Protocol::Connect,
                "xn--coles-9ra.example",
                8443,
            ),
            (
                "https://[2001:db8::1]:8443/",
                Protocol::Connect,
                "[2001:db8::1]",
                8443,
            ),
        ] {
            let asked: Asked = text.parse().unwrap();
            assert_eq!((asked.protocol, asked.port), (protocol, port), "{text}");
            assert_eq!(asked.host.to_string(), host, "{text}");
        }
        for text in [
            "",
            "https://",
            "ftp://a.example",
            "https://user@a.example",
            "https://0x7f.1/",
        ] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }
}

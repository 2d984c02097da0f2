//! `octroi explain`

mod changes;
mod incident;
mod recorded;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use octroi_policy::bundle::Bundle;
use octroi_policy::decision::Verdict;
use octroi_policy::flow::Hello;
use octroi_policy::name::DomainName;

use super::{CONFIG, IO, NO, complain, say, unreadable};
use crate::config::{Config, PolicySource};
use crate::dns::{DnsError, Resolver};
use crate::explain::{Asked, Inquiry, Lookup, hello, instant};

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
    let forbid = &config.upstream.forbid;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| failed("start", &error, IO))?;
    let inquiry = inquiry(arguments, source, asked);
    // The name servers that the gate would ask; at which addresses it listens is not known here.
    let resolver = inquiry.may_resolve().then(|| Resolver::new(&config.dns));
    let resolver = resolver.transpose();
    let resolver = resolver.map_err(|error| failed("set the resolver up", &error, CONFIG))?;
    let resolve = async |name: &DomainName| match &resolver {
        Some(resolver) => resolver.resolve(name).await,
        None => Err(DnsError::Unreachable),
    };
    let answered = inquiry.answer(&policy, forbid, |_, _| false, resolve);
    let answered = runtime.block_on(answered);
    if let Some(error) = answered.unresolved {
        let name = answered.target();
        complain(format_args!(
            "note: `{name}` is judged by its name alone: {error}"
        ));
    }
    say(answered.text(&policy, forbid, Some(&bundle)));
    Ok(answered.decision.verdict())
}

fn inquiry(arguments: &Arguments, source: IpAddr, asked: &Asked) -> Inquiry {
    Inquiry {
        source,
        asked: asked.clone(),
        at: arguments.at.unwrap_or_else(Timestamp::now),
        chain: arguments.cname.clone(),
        addresses: arguments.address.clone(),
        hello: arguments.sni.clone(),
        original: arguments.original,
        lookup: match arguments.no_resolve {
            true => Lookup::None,
            false => Lookup::Asked,
        },
    }
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

fn failed(what: &str, error: &std::io::Error, code: u8) -> u8 {
    complain(format_args!("error: cannot {what}: {error}"));
    code
}

//! What starts and is not as it should be.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use octroi_policy::address::Forbid;
use octroi_policy::diagnostic::Severity;

use super::{At, Code, Finding};
use crate::config::{ClientAddress, Config, Connections, Sink};
use crate::ledger::{Ledger, is_key_exposed, rotates};
use crate::limits::connections_for;

/// Everything that `run` warns of, and `check` finds.
pub(in crate::server) fn advice(config: &Config, descriptors: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(connections(config, descriptors));
    found.extend(admin(config));
    found.extend(secrets(config));
    found.extend(rotation(config));
    found.extend(exceptions(config));
    found.extend(pac(config));
    found
}

fn warning(code: Code, at: At, message: String, help: &str) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        at,
        message,
        help: help.to_owned(),
    }
}

fn connections(config: &Config, descriptors: usize) -> Option<Finding> {
    let carried = connections_for(descriptors);
    let Connections::AtMost(most) = config.limits.connections else {
        return None;
    };
    let message = format!(
        "{most} connections are more than the limit of {descriptors} descriptors carries, which is {carried}"
    );
    let help = "raise LimitNOFILE in the unit (`ulimit -n` in this shell), or write `auto`";
    let at = At::key("limits.connections");
    (most > carried).then(|| warning(Code::TooManyConnections, at, message, help))
}

fn admin(config: &Config) -> Option<Finding> {
    let address = config.admin.address;
    let at = At::key("admin.address");
    if address.ip().is_loopback() {
        return None;
    }
    if !config.admin.is_guarded() {
        let message = format!(
            "{address} can be reached from other machines, and asks nobody who they are: only /metrics, /-/healthy and /-/ready are served"
        );
        let help = "write `token: PATH` or `tls: { client_ca: PATH, … }` for the console, or listen on 127.0.0.1 or [::1]";
        return Some(warning(Code::AdminReachable, at, message, help));
    }
    let message =
        format!("the token of `admin` goes to {address} in clear: who listens on the way has it");
    let help = "write `tls: { certificate: PATH, key: PATH }` under `admin`, or listen on 127.0.0.1 or [::1]";
    let in_clear = config.admin.tls.is_none();
    in_clear.then(|| {
        warning(
            Code::AdminTokenInClear,
            At::key("admin.token"),
            message,
            help,
        )
    })
}

/// Secrets that are none.
fn secrets(config: &Config) -> impl Iterator<Item = Finding> {
    let key = match &config.audit.client_address {
        ClientAddress::KeyedHash { key } => Some(("audit.key", key)),
        _ => None,
    };
    let token = config
        .admin
        .token
        .as_ref()
        .map(|path| ("admin.token", path));
    let exposed = key.into_iter().chain(token);
    let exposed = exposed.filter(|(_, path)| is_key_exposed(path));
    exposed.map(|(at, path)| {
        let message = format!("everybody on this machine can read `{}`", path.display());
        let help = "take that right away: `chmod o-r`";
        warning(Code::KeyReadable, At::key(at), message, help)
    })
}

fn rotation(config: &Config) -> Option<Finding> {
    let (Sink::File(path), Some(_)) = (&config.audit.sink, config.audit.rotation) else {
        return None;
    };
    let message = format!(
        "`{}` can be written, and not be set aside when it is full: its directory cannot be written",
        path.display()
    );
    let help = "let the gate's user write the directory, or write `rotate: none`";
    let at = At::key("audit.path");
    let writable = Ledger::rehearse(&config.audit).is_empty();
    (writable && !rotates(path)).then(|| warning(Code::AuditRotation, at, message, help))
}

/// One address of each block that `upstream.forbid` can forbid: a network without a forbidden
/// address holds none of these, nor is it inside one of the blocks.
const FORBIDDEN: [&str; 17] = [
    "10.0.0.0",
    "172.16.0.0",
    "192.168.0.0",
    "127.0.0.1",
    "169.254.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.0",
    "192.0.0.0",
    "192.88.99.0",
    "198.18.0.0",
    "240.0.0.0",
    "::1",
    "fc00::",
    "fe80::",
    "fec0::",
    "64:ff9b:1::",
];

fn exceptions(config: &Config) -> Vec<Finding> {
    let forbid = &config.upstream.forbid;
    let bare = forbid.without_exceptions();
    let mut found = Vec::new();
    for (at, net) in forbid.exceptions().iter().enumerate() {
        let at = At::Key(format!("upstream.allow_internal[{at}]"));
        if !forbids(&bare, *net) {
            let message =
                format!("no address of {net} is forbidden: the exception changes nothing");
            let help = "remove it; `upstream.forbid` says what is forbidden";
            found.push(warning(Code::UselessException, at, message, help));
        } else if let Some(own) = own(config).find(|own| net.contains(&own.ip())) {
            let message = format!(
                "{net} holds {own}, where the gate itself is: clients reach what else listens there"
            );
            let help = "name the networks of the origins alone";
            found.push(warning(Code::OwnMachineOpen, at, message, help));
        }
    }
    found
}

fn forbids(bare: &Forbid, net: IpNet) -> bool {
    let samples = FORBIDDEN
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok());
    let samples = samples.filter(|address| net.contains(address));
    let ends = [net.network(), net.broadcast()];
    samples
        .chain(ends)
        .any(|address| bare.verdict(address).is_some())
}

/// Where the gate listens; on every address means on loopback too.
fn own(config: &Config) -> impl Iterator<Item = SocketAddr> {
    let listeners = config.listeners.iter().map(|listener| listener.address);
    listeners.chain([config.admin.address]).map(|mut address| {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
            IpAddr::V6(ip) if ip.is_unspecified() => {
                address.set_ip(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))
            }
            _ => {}
        }
        address
    })
}

fn pac(config: &Config) -> Vec<Finding> {
    let listens = |port| {
        let mut ports = config
            .listeners
            .iter()
            .map(|listener| listener.address.port());
        ports.any(|own| own == port || own == 0)
    };
    let mut found = Vec::new();
    for (at, proxy) in config.pac.proxies.iter().enumerate() {
        let Some(port) = proxy.port.filter(|&port| !listens(port)) else {
            continue;
        };
        let at = At::Key(format!("pac.proxies[{at}]"));
        let message =
            format!("browsers are sent to `{proxy}`, and no listener has the port {port}");
        let help = "name a listener's port, unless a balancer or another gate takes this one";
        found.push(warning(Code::PacWithoutListener, at, message, help));
    }
    found
}

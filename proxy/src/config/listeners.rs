//! `listeners:` where clients reach the gate.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use octroi_policy::catalogue::Id;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::problem::Problem;
use super::sense::{Sense, Text};

/// Where clients are served if the file names no listener: this machine alone.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);

/// The name of that listener.
pub const DEFAULT_NAME: &str = "explicit";

/// One address on which clients are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, by which a workload may be told (`listeners:` in the policy).
    pub name: Id,
    /// How clients speak to it.
    pub mode: ListenerMode,
    /// Where it is bound.
    pub address: SocketAddr,
    /// What it shows to clients that come over TLS; `None` = they come in clear.
    pub tls: Option<Tls>,
    /// Who passes clients on to it, if they do not come by themselves.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The files of a TLS listener; all are read anew when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, with what leads to its authority behind it (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Which clients' certificates are believed; `None` = none is asked for.
    pub clients: Option<ClientCertificates>,
}

impl Tls {
    /// Every file of it.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let clients = self.clients.iter();
        let more = clients.flat_map(|it| [Some(&it.authorities), it.revoked.as_ref()]);
        [&self.certificate, &self.key]
            .into_iter()
            .chain(more.flatten())
    }
}

/// Whose certificates name clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that are believed (PEM).
    pub authorities: PathBuf,
    /// Whether every client needs one.
    pub demand: Demand,
    /// Lists of what the authorities have revoked (PEM), one of each authority of a chain.
    pub revoked: Option<PathBuf>,
}

/// Whether a client needs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It may do without; one that is shown must be good.
    Optional,
    /// It is not served without.
    Required,
}

/// Every connection comes from a balancer, and says first whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Where the balancers are; never empty, and nobody else is believed.
    pub trusted: Vec<IpNet>,
}

/// How clients speak to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerMode {
    /// They know that it is a proxy: CONNECT and absolute-form requests.
    Explicit,
    /// They believe that they speak to the origin: the firewall brings their connections here.
    Transparent(Capture),
}

/// How the firewall brings connections to a transparent listener, and so how it tells where they were on their way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// `redirect` or DNAT in nftables: the connection is translated, and conntrack keeps the original destination
    /// (`SO_ORIGINAL_DST`).
    Redirect,
    /// `tproxy` in nftables: the connection is not translated, and our end of it *is* the original destination
    /// (`IP_TRANSPARENT`, which takes `CAP_NET_ADMIN`).
    Tproxy,
}

impl Listener {
    /// It takes connections to any address that the firewall brings to it.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.mode.capture() == Some(Capture::Tproxy)
    }
}

impl ListenerMode {
    /// How connections are captured; `None` where clients come by themselves.
    #[must_use]
    pub fn capture(self) -> Option<Capture> {
        match self {
            Self::Explicit => None,
            Self::Transparent(capture) => Some(capture),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Transparent(Capture::Redirect) => "transparent (redirect)",
            Self::Transparent(Capture::Tproxy) => "transparent (tproxy)",
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: Id::from(DEFAULT_NAME),
            mode: ListenerMode::Explicit,
            address: DEFAULT_ADDRESS,
            tls: None,
            proxy_protocol: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    name: Text,
    mode: Text,
    address: Text,
    tls: Option<TypedTls>,
    proxy_protocol: Option<TypedProxyProtocol>,
    capture: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedTls {
    certificate: Text,
    key: Text,
    client_ca: Option<Text>,
    client_certificate: Option<Text>,
    client_crl: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedProxyProtocol {
    trusted: Spanned<Vec<Text>>,
}

pub(super) fn meaning(typed: Option<Vec<Typed>>, sense: &mut Sense<'_>) -> Vec<Listener> {
    let Some(typed) = typed else {
        return vec![Listener::default()];
    };
    let mut names = HashMap::new();
    let mut addresses = HashMap::new();
    let mut listeners = Vec::new();
    for one in &typed {
        let mode = mode(one, sense);
        let address = sense.socket(&one.address);
        let tls = one.tls.as_ref().map(|typed| tls(typed, sense));
        let proxy_protocol = one.proxy_protocol.as_ref();
        let proxy_protocol = proxy_protocol.map(|typed| balancers(typed, sense));
        check_name(&one.name, sense);
        once(&mut names, one.name.value.clone(), &one.name, "name", sense);
        let Some(address) = address else { continue };
        if address.port() != 0 {
            once(&mut addresses, address, &one.address, "address", sense);
        }
        listeners.push(Listener {
            name: Arc::from(&*one.name.value),
            mode,
            address,
            tls,
            proxy_protocol,
        });
    }
    listeners
}

fn mode(typed: &Typed, sense: &mut Sense<'_>) -> ListenerMode {
    let is_transparent = [("explicit", false), ("transparent", true)];
    let is_transparent = sense.word("mode", Some(&typed.mode), false, &is_transparent);
    match (&typed.capture, is_transparent) {
        (None, false) => {}
        (Some(text), false) => sense.problem(
            text,
            "`capture` is for `mode: transparent` alone".to_owned(),
            "remove it, or write `mode: transparent`",
        ),
        (None, true) => sense.problem(
            &typed.mode,
            "a transparent listener needs a `capture`".to_owned(),
            "write `capture: redirect` or `capture: tproxy`, as the firewall has it",
        ),
        (Some(text), true) => {
            alone(typed, sense);
            let captures = [("redirect", Capture::Redirect), ("tproxy", Capture::Tproxy)];
            let capture = sense.word("capture", Some(text), Capture::Redirect, &captures);
            return ListenerMode::Transparent(capture);
        }
    }
    ListenerMode::Explicit
}

/// What comes first on a captured connection is meant for the origin.
fn alone(typed: &Typed, sense: &mut Sense<'_>) {
    let (tls, proxy_protocol) = (typed.tls.is_some(), typed.proxy_protocol.is_some());
    for (key, _) in [("tls", tls), ("proxy_protocol", proxy_protocol)]
        .into_iter()
        .filter(|(_, is_there)| *is_there)
    {
        let message = format!("a transparent listener has no `{key}`: clients do not speak to it");
        let help = "remove it; an explicit listener may have it";
        sense.problem(&typed.mode, message, help);
    }
}

pub(super) fn tls(typed: &TypedTls, sense: &mut Sense<'_>) -> Tls {
    let demand = sense.word(
        "client_certificate",
        typed.client_certificate.as_ref(),
        Demand::Required,
        &[
            ("optional", Demand::Optional),
            ("required", Demand::Required),
        ],
    );
    let clients = typed.client_ca.as_ref().map(|text| ClientCertificates {
        authorities: sense.path(text),
        demand,
        revoked: typed.client_crl.as_ref().map(|text| sense.path(text)),
    });
    if clients.is_none() {
        for (key, value) in [
            ("client_certificate", &typed.client_certificate),
            ("client_crl", &typed.client_crl),
        ] {
            if let Some(text) = value {
                sense.problem(
                    text,
                    format!("`{key}` is used only with a `client_ca`"),
                    "name the authorities whose clients are believed under `client_ca`",
                );
            }
        }
    }
    Tls {
        certificate: sense.path(&typed.certificate),
        key: sense.path(&typed.key),
        clients,
    }
}

fn balancers(typed: &TypedProxyProtocol, sense: &mut Sense<'_>) -> ProxyProtocol {
    let mut trusted = Vec::new();
    for text in &typed.trusted.value {
        match sense.network(text) {
            Some(network) if network.prefix_len() == 0 => sense.problem(
                text,
                format!(
                    "`{}` is everybody: any client could claim any address",
                    text.value
                ),
                "name the balancers' own addresses",
            ),
            network => trusted.extend(network),
        }
    }
    if typed.trusted.value.is_empty() {
        let message = "`trusted` is empty: nobody could connect";
        let problem = Problem::at(typed.trusted.referenced, message);
        sense
            .problems
            .push(problem.help("name the balancers' own addresses, such as [192.0.2.10]"));
    }
    ProxyProtocol { trusted }
}

/// Refuses a second listener with the same name or address.
fn once<K: std::hash::Hash + Eq>(
    seen: &mut HashMap<K, u64>,
    key: K,
    text: &Text,
    what: &str,
    sense: &mut Sense<'_>,
) {
    if let Some(line) = seen.insert(key, text.referenced.line()) {
        let message = format!("two listeners have the {what} `{}`", text.value);
        sense.problem(
            text,
            message,
            format!("the first one is on line {line}; change one of them"),
        );
    }
}

fn check_name(name: &Text, sense: &mut Sense<'_>) {
    let text = &name.value;
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 64 || !text.chars().all(slug) {
        let message = format!("`{text}` is no name for a listener");
        sense.problem(
            name,
            message,
            "use 1 to 64 of `a` to `z`, `0` to `9` and `-`",
        );
    }
}

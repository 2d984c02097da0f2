//! One test's world: its addresses, DNS, authority, policy and gate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::Block;
use super::client::{Curled, Wire, curl, curl_straight};
use super::dns::Dns;
use super::netns::{Capture, Family, Net};
use super::origin::{Behaviour, Origin};
use super::pki::Pki;
use super::proxy::{Gate, Settings};
use super::turn::{Alone, Together};

enum Turn {
    Together(Together),
    Alone(Alone),
}

/// Everything one test needs. Fields drop in order: the gate ends first.
pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) block: Block,
    pub(crate) dns: Dns,
    pub(crate) pki: Pki,
    pub(crate) policy: PathBuf,
    pub(crate) dir: TempDir,
    settings: Settings,
    /// The networks of the test, if it has its own.
    pub(crate) net: Option<Arc<Net>>,
    _turn: Turn,
}

/// What a test sets before the gate starts.
pub(crate) struct Plan {
    block: Block,
    dir: TempDir,
    policy: PathBuf,
    extra: Vec<(&'static str, String)>,
    environment: Vec<(&'static str, String)>,
    descriptors: Option<u32>,
    program: Option<PathBuf>,
    net: Option<Arc<Net>>,
    alone: bool,
}

impl Plan {
    /// The suite's own small bundle.
    pub(crate) fn new() -> Self {
        let block = Block::claim();
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy");
        write_bundle(&policy, block);
        Self::over(block, dir, policy)
    }

    /// The same, in networks of the test's own: the gate and the DNS server run on the gateway, origins are in
    /// the internet and have both families, and `Block::ordinary` and its like are the client's addresses.
    pub(crate) fn on_gateway() -> Self {
        let block = Block::of_clients();
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy");
        write_bundle(&policy, block);
        let mut plan = Self::over(block, dir, policy);
        plan.net = Some(Arc::new(Net::new()));
        plan
    }

    /// The gateway captures what clients send, and the gate has a listener a family for it.
    pub(crate) fn captured(mut self, by: Capture) -> Self {
        let net = self.net.as_ref().expect("a gateway");
        net.captures(by);
        for (name, any, port) in [
            ("captured4", "0.0.0.0", Capture::PORT4),
            ("captured6", "[::]", Capture::PORT6),
        ] {
            let capture = by.word();
            self = self.set(
                "listeners",
                format!("{{ name: {name}, mode: transparent, capture: {capture}, address: \"{any}:{port}\" }}"),
            );
        }
        self
    }

    /// A copy of `examples/policy`.
    pub(crate) fn example() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy");
        copy(&repository().join("examples/policy"), &policy);
        Self::over(Block::claim(), dir, policy)
    }

    fn over(block: Block, dir: TempDir, policy: PathBuf) -> Self {
        let (extra, environment, alone) = (Vec::new(), Vec::new(), false);
        Self {
            block,
            dir,
            policy,
            extra,
            environment,
            descriptors: None,
            program: None,
            net: None,
            alone,
        }
    }

    /// A line more for a section of octroi.yaml.
    pub(crate) fn set(mut self, section: &'static str, line: impl Into<String>) -> Self {
        self.extra.push((section, line.into()));
        self
    }

    /// Rewrites the bundle before the gate starts.
    pub(crate) fn prepare(self, write: impl FnOnce(Block, &Path)) -> Self {
        write(self.block, &self.policy);
        self
    }

    /// A variable of the gate's environment.
    pub(crate) fn environment(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The gate may have so many descriptors.
    pub(crate) fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// The gate is started from another path, which leads to the binary under test.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// The addresses of the test.
    pub(crate) fn block(&self) -> Block {
        self.block
    }

    /// One more listener of the gate, on a port of its own.
    pub(crate) fn listener(self, name: &str, port: u16, keys: &str) -> Self {
        let gate = self.block.gate();
        self.set(
            "listeners",
            format!("{{ name: {name}, mode: explicit, address: \"{gate}:{port}\", {keys} }}"),
        )
    }

    /// A file of the test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs while no other test does: its figures would not hold otherwise.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The policy is reached through another path, such as a link.
    pub(crate) fn policy_at(mut self, rearrange: impl FnOnce(&Path, &Path) -> PathBuf) -> Self {
        self.policy = rearrange(self.dir.path(), &self.policy);
        self
    }

    /// Starts a gate that is to fail: its exit code and words.
    pub(crate) fn fails(self) -> (Option<i32>, String) {
        let settings = Settings {
            block: self.block,
            policy: self.policy,
            extra: self.extra,
            environment: self.environment,
            descriptors: self.descriptors,
            program: self.program,
            net: self.net.clone(),
        };
        let mut gate = Gate::spawn(self.dir.path(), &settings);
        (gate.exit(), gate.log())
    }

    pub(crate) fn start(self) -> World {
        let turn = if self.alone {
            Turn::Alone(Alone::take())
        } else {
            Turn::Together(Together::take())
        };
        let dns = match &self.net {
            Some(net) => net.gateway.inside(|| Dns::start(self.block.dns())),
            None => Dns::start(self.block.dns()),
        };
        let pki = Pki::new(self.dir.path());
        let settings = Settings {
            block: self.block,
            policy: self.policy.clone(),
            extra: self.extra,
            environment: self.environment,
            descriptors: self.descriptors,
            program: self.program,
            net: self.net.clone(),
        };
        World {
            gate: Gate::start(self.dir.path(), &settings),
            block: self.block,
            dns,
            pki,
            policy: self.policy,
            dir: self.dir,
            settings,
            net: self.net,
            _turn: turn,
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Plan::new().start()
    }

    /// Starts the gate again, after it ended.
    pub(crate) fn start_again(&mut self) {
        self.gate = Gate::start(self.dir.path(), &self.settings);
    }

    /// Starts the gate again, which is to fail: its exit code and all it said.
    pub(crate) fn fails_again(&mut self) -> (Option<i32>, String) {
        self.gate = Gate::spawn(self.dir.path(), &self.settings);
        (self.gate.exit(), self.gate.log())
    }

    /// A plain origin behind a name, on an address of its own.
    pub(crate) fn origin(&self, name: &str, last: u8, port: u16, does: Behaviour) -> Origin {
        let at = self.named(name, last, port);
        self.outside(|| Origin::tcp_at(&at, does))
    }

    /// A TLS origin with a certificate for its name.
    pub(crate) fn tls_origin(&self, name: &str, last: u8, does: Behaviour) -> Origin {
        let at = self.named(name, last, 443);
        let identity = self.pki.issue(&[name]).server;
        self.outside(|| Origin::tls_at(&at, identity, does))
    }

    /// Gives a name to the addresses of an origin, which are where it is to listen.
    fn named(&self, name: &str, last: u8, port: u16) -> Vec<SocketAddr> {
        let addresses = match &self.net {
            Some(_) => Family::BOTH.map(|family| family.origin(last.into())).into(),
            None => vec![IpAddr::from(self.block.ip(last))],
        };
        self.dns.name(name, &addresses);
        let at = addresses.into_iter();
        at.map(|address| SocketAddr::new(address, port)).collect()
    }

    /// Does something where origins are.
    fn outside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.net {
            Some(net) => net.internet.inside(work),
            None => work(),
        }
    }

    /// Does something where clients are.
    fn among_clients<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.net {
            Some(net) => net.client.inside(work),
            None => work(),
        }
    }

    /// A bare connection to the gate from an address.
    pub(crate) fn wire(&self, from: Ipv4Addr) -> Wire {
        self.among_clients(|| Wire::open(from, self.gate.address()))
    }

    /// A bare connection from an address of the client to anywhere.
    pub(crate) fn straight(&self, from: impl Into<IpAddr>, to: SocketAddr) -> Wire {
        let from = from.into();
        self.among_clients(|| Wire::open(from, to))
    }

    pub(crate) fn ordinary(&self) -> Wire {
        self.wire(self.block.ordinary())
    }

    /// curl through the gate, trusting the test's authority.
    pub(crate) fn curl(&self, from: Ipv4Addr, arguments: &[&str]) -> Curled {
        let authority = self.pki.authority();
        let authority = authority.to_str().unwrap();
        let arguments = [&["--cacert", authority], arguments].concat();
        self.among_clients(|| curl(&self.gate.url(), from, &arguments))
    }

    /// curl with no proxy at all, as a client on the gateway's network: it asks the gateway for names.
    pub(crate) fn curl_straight(&self, from: impl Into<IpAddr>, arguments: &[&str]) -> Curled {
        let net = self.net.as_ref().expect("networks");
        let authority = self.pki.authority();
        let authority = authority.to_str().unwrap();
        let arguments = [&["--cacert", authority], arguments].concat();
        curl_straight(net, from.into(), &arguments)
    }
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    let proxy = Path::new(env!("CARGO_MANIFEST_DIR"));
    proxy.parent().unwrap().to_owned()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes the suite's bundle: one prohibited service, one list of indicators, three ministries.
pub(crate) fn write_bundle(root: &Path, block: Block) {
    for dir in ["lists", "ministries", "services"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    let sources = |client: Ipv4Addr| match block.is_of_clients() {
        false => format!("\"{client}/32\""),
        true => {
            let v6 = Family::V6.client(client.octets()[3].into());
            format!("\"{client}/32\", \"{v6}/128\"")
        }
    };
    let (sensitive, ordinary) = (sources(block.sensitive()), sources(block.ordinary()));
    let files = [
        ("policy.yaml", POLICY.to_owned()),
        ("services/services.yaml", SERVICES.to_owned()),
        ("lists/exchange-online.txt", EXCHANGE.to_owned()),
        ("lists/exchange-online-ip.txt", "52.96.0.0/14\n".to_owned()),
        ("lists/indicators.txt", ".malware.example\n".to_owned()),
        (
            "ministries/ministries.yaml",
            MINISTRIES
                .replace("SENSITIVE", &sensitive)
                .replace("ORDINARY", &ordinary)
                .replace("LOAD", &sources(block.ip(203))),
        ),
    ];
    for (path, text) in files {
        std::fs::write(root.join(path), text).unwrap();
    }
}

const POLICY: &str = r#"version: 1
name: e2e
default: allow
references:
  r9:
    title: { fr: "Circulaire n° 6404/SG du 31 mai 2023, règle R9", en: "Circular 6404/SG of 31 May 2023, rule R9" }
    url: https://legifrance.example/6404
    from: 2023-05-31
rules:
  - id: r9-sensitive-data
    effect: deny
    when: { sensitivity: sensitive, category: [messaging, storage] }
    unless: [ { qualification: secnumcloud }, { operated_by: state } ]
    references: [r9]
    reason: { fr: "Données sensibles : offre qualifiée SecNumCloud ou de l'État.", en: "Sensitive data: a SecNumCloud or state offer only." }
  - id: office-watch
    effect: deny
    mode: observe
    when: { sensitivity: standard, service: exchange-online }
    reason: { fr: "Messagerie observée.", en: "Mail under watch." }
  - id: no-drop
    effect: deny
    when: { service: drop }
    reason: { fr: "Dépôt interdit.", en: "No drop boxes." }
  - id: cert-indicators
    effect: block
    when: { domains_from: lists/indicators.txt }
    reason: { fr: "Indicateur du CERT.", en: "CERT indicator." }
unassigned: { sensitivity: sensitive, default: deny }
"#;

const SERVICES: &str = r"services:
  - id: exchange-online
    name: Exchange Online
    provider: microsoft
    category: [messaging]
    domains_from: lists/exchange-online.txt
    addresses_from: lists/exchange-online-ip.txt
    alternatives: [messagerie]
  - id: messagerie
    name: La Messagerie
    country: FR
    category: [messaging]
    operated_by: state
    domains: [.messagerie.example]
  - id: drop
    name: Drop
    country: US
    category: [storage]
    domains: [.drop.example]
providers:
  - id: microsoft
    name: Microsoft
    jurisdiction: US
    suffixes: [{ names: [outlook.com, office.com] }, { names: [azurefd.net], role: front }]
";

const EXCHANGE: &str = "outlook.office.com\noutlook.office365.com\n*.mail.protection.outlook.com\n";

const MINISTRIES: &str = r#"ministries:
  - id: interieur
    name: { fr: "Ministère de l'Intérieur", en: "Ministry of the Interior" }
    contact: ssi@interieur.example
    workloads:
      - { id: paie, name: Paie, sensitivity: sensitive, sources: [SENSITIVE] }
  - id: culture
    name: { fr: "Ministère de la Culture", en: "Ministry of Culture" }
    workloads:
      - id: bureautique
        sensitivity: standard
        sources: [ORDINARY, LOAD]
        connect_ports: [443, 2525, 9, "8000-8999"]
  - id: finances
    name: { fr: "Ministère des Finances", en: "Ministry of Finance" }
    workloads:
      - { id: postes, sensitivity: standard, sources: ["127.0.0.1/32"] }
"#;

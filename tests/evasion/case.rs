//! One case as data: who says what into which world, and what must come of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::Message;

use super::flow::Flow;
use super::octroi::GATE;
use crate::harness::dns::{Dns, Fault, Forgery, Transport};
use crate::harness::hello::{ACCESS_DENIED, Manner, Spoken};
use crate::harness::origin::Behaviour;

/// The names and addresses of one case; no other case has them.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    index: u8,
    /// A host that no rule concerns.
    pub(super) ok: String,
    /// A host of the denied service `drop`.
    pub(super) bad: String,
    /// A host that only `paie` may reach, because a rule says so.
    pub(super) partner: String,
    /// Where those three are.
    pub(super) ok_ip: Ipv4Addr,
    pub(super) bad_ip: Ipv4Addr,
    pub(super) partner_ip: Ipv4Addr,
    /// In a private network.
    pub(super) private_ip: Ipv4Addr,
}

impl Cast {
    pub(super) fn new(index: usize) -> Self {
        let index = u8::try_from(index).expect("at most 256 cases a group");
        Self {
            index,
            ok: format!("n{index}.news.example"),
            bad: format!("n{index}.drop.example"),
            partner: format!("n{index}.partner.example"),
            ok_ip: Ipv4Addr::new(46, 0, 0, index),
            bad_ip: Ipv4Addr::new(47, 0, 0, index),
            partner_ip: Ipv4Addr::new(48, 0, 0, index),
            private_ip: Ipv4Addr::new(10, 200, 0, index),
        }
    }

    /// A text with the names and addresses of the case in place of `{ok}`, `{bad}` and `{partner}`.
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("{ok}", &self.ok)
            .replace("{bad}", &self.bad)
            .replace("{partner}", &self.partner)
    }

    /// A host that may be reached.
    pub(super) fn permitted(&self, who: Who) -> String {
        match who {
            Who::Bureautique => self.ok.clone(),
            Who::Paie => self.partner.clone(),
        }
    }

    /// Whether the policy lets somebody reach an address, whatever name leads there.
    pub(super) fn may_reach(&self, who: Who, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else {
            return false;
        };
        match who {
            Who::Paie => v4 == self.partner_ip,
            Who::Bureautique => !is_denied(v4),
        }
    }

    /// A name of this case's own.
    pub(super) fn name(&self, first: &str) -> String {
        format!("{first}.{}", self.ok)
    }

    /// The zones that every case has.
    pub(super) fn publish(&self, dns: &Dns) {
        dns.v4(&self.ok, self.ok_ip);
        dns.v4(&self.bad, self.bad_ip);
        dns.v4(&self.partner, self.partner_ip);
    }

    /// Where the client of this case connects from.
    pub(super) fn source(&self, who: Who) -> Ipv4Addr {
        match who {
            Who::Bureautique => Ipv4Addr::new(10, 1, 0, self.index),
            Who::Paie => Ipv4Addr::new(10, 2, 0, self.index),
        }
    }
}

/// Whether an address is one that the policy of this suite denies to everybody, or that a gate must not dial, or that
/// stands for a denied name.
fn is_denied(address: Ipv4Addr) -> bool {
    match address.octets() {
        [47, ..] | [66, 220, ..] | [52, 96..=99, ..] | [185, 220, 101, _] => true,
        [0 | 10 | 127, ..] | [100, 64..=127, ..] | [169, 254, ..] | [224..=255, ..] => true,
        [172, 16..=31, ..] | [192, 168, ..] | [192, 0, 0, _] | [168, 63, 129, 16] => true,
        _ => IpAddr::V4(address) == GATE.ip(),
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// May reach what no rule denies.
    Bureautique,
    /// May reach what a rule allows.
    Paie,
}

impl Who {
    /// Ministry and workload.
    pub(super) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Bureautique => ("culture", "bureautique"),
            Self::Paie => ("interieur", "paie"),
        }
    }
}

/// How the client comes to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It asks the gate as its proxy.
    Explicit,
    /// It connects to this address, and is captured.
    Captured(SocketAddr),
}

/// What a client does, in turn.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sends all at once.
    Send(Vec<u8>),
    /// Sends each byte in a segment of its own.
    Drip(Vec<u8>),
    /// Sends a byte now and then, until it is not let go on.
    Linger(Vec<u8>),
    /// Waits for the head of an answer, and its body.
    Answer,
    /// Waits for the head of an answer to CONNECT, which has no body if it is a 200.
    Established,
    /// Waits for so many bytes.
    Take(usize),
    /// Ends its own side.
    Finish,
}

/// What a name has, or what goes wrong with it.
#[derive(Clone)]
pub(super) enum Record {
    At(Vec<IpAddr>),
    Alias(String),
    Wrong(Fault),
    Forged(Forgery),
}

/// What must not get to an origin through any proxy with this policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leak {
    /// Any byte where this client may not go.
    Elsewhere,
    /// Any byte, even where the client may go.
    AnyByte,
    /// All of these texts in what comes to one origin, in any case.
    Texts(Vec<String>),
    /// More than so many bytes on one connection.
    Beyond(usize),
    /// Anything at all at an address.
    At(IpAddr),
    /// Nothing of it is wrong: it must be served.
    Served,
    /// Strictness of this gate's own, which keeps nothing from leaking.
    Ours,
}

/// A case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) cast: Cast,
    pub(super) who: Who,
    pub(super) way: Way,
    pub(super) zone: Vec<(String, Record)>,
    pub(super) origins: Vec<(IpAddr, Behaviour)>,
    pub(super) steps: Vec<Step>,
    pub(super) leak: Leak,
    pub(super) expect: Expect,
}

/// What this gate makes of it, in full.
#[derive(Clone, Debug, Default)]
pub(super) struct Expect {
    /// The statuses the client is answered, in turn.
    pub(super) answers: Vec<u16>,
    /// What it hears after them.
    pub(super) tail: Vec<u8>,
    /// The connection stays open until the client leaves.
    pub(super) stays: bool,
    /// Every connection to an origin, and every byte on it.
    pub(super) origins: Vec<(SocketAddr, Vec<u8>)>,
    /// Every flow in the ledger.
    pub(super) flows: Vec<Flow>,
    /// Every request refused before it was a flow.
    pub(super) rejects: Vec<&'static str>,
    /// Names that nobody is asked about.
    pub(super) unasked: Vec<String>,
}

/// The cases of a group as they are written down.
#[derive(Default)]
pub(super) struct Table(pub(super) Vec<Case>);

impl Table {
    /// Adds a case; how it goes is told with names and addresses of its own.
    pub(super) fn add(&mut self, name: impl Into<String>, tell: impl FnOnce(Case) -> Case) {
        let cast = Cast::new(self.0.len());
        self.0.push(tell(Case {
            name: name.into(),
            cast,
            who: Who::Bureautique,
            way: Way::Explicit,
            zone: Vec::new(),
            origins: Vec::new(),
            steps: Vec::new(),
            leak: Leak::Elsewhere,
            expect: Expect::default(),
        }));
    }
}

/// The world around it, and what the client does.
impl Case {
    pub(super) fn of(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// The client connects there, and the gateway captures it.
    pub(super) fn straight_to(mut self, address: impl Into<IpAddr>, port: u16) -> Self {
        self.way = Way::Captured(SocketAddr::new(address.into(), port));
        self
    }

    pub(super) fn has(mut self, name: &str, record: Record) -> Self {
        self.zone.push((name.to_owned(), record));
        self
    }

    pub(super) fn at<A: Into<IpAddr> + Copy>(self, name: &str, addresses: &[A]) -> Self {
        let addresses = addresses.iter().map(|&address| address.into()).collect();
        self.has(name, Record::At(addresses))
    }

    pub(super) fn alias(self, name: &str, of: &str) -> Self {
        self.has(name, Record::Alias(of.to_owned()))
    }

    pub(super) fn forged(
        self,
        name: &str,
        forge: impl Fn(Message, Transport) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.has(name, Record::Forged(Arc::new(forge)))
    }

    pub(super) fn behaves(mut self, address: impl Into<IpAddr>, behaviour: Behaviour) -> Self {
        self.origins.push((address.into(), behaviour));
        self
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(super) fn sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Says one of the hellos of the harness as it is meant to be said.
    pub(super) fn speaks(self, spoken: &Spoken) -> Self {
        let case = match spoken.manner {
            Manner::Dripped => self.step(Step::Drip(spoken.bytes.clone())),
            _ => self.sends(&spoken.bytes),
        };
        match spoken.manner {
            Manner::ThenEnd => case.step(Step::Finish),
            _ => case,
        }
    }

    /// Sends a text with the names of the case in it.
    pub(super) fn writes(self, text: &str) -> Self {
        let text = self.cast.fill(text);
        self.sends(text)
    }

    /// Asks for a tunnel and waits for the answer.
    pub(super) fn connects(self, target: &str) -> Self {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        self.sends(head).step(Step::Established)
    }

    /// Asks for a page, with these fields more, and waits for the answer.
    pub(super) fn gets(self, host: &str, path: &str, fields: &str) -> Self {
        let head = format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        self.sends(head).step(Step::Answer)
    }
}

/// What must come of it.
impl Case {
    pub(super) fn leaks(mut self, leak: Leak) -> Self {
        self.leak = leak;
        self
    }

    pub(super) fn leaks_if_seen(self, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| self.cast.fill(text)).collect();
        self.leaks(Leak::Texts(texts))
    }

    /// No matter of leaking: not asked of other proxies.
    pub(super) fn ours_alone(self) -> Self {
        self.leaks(Leak::Ours)
    }

    /// A control: what must work.
    pub(super) fn must_serve(self) -> Self {
        self.leaks(Leak::Served)
    }

    pub(super) fn answered(mut self, status: u16) -> Self {
        self.expect.answers.push(status);
        self
    }

    pub(super) fn flow(mut self, flow: Flow) -> Self {
        self.expect.flows.push(flow);
        self
    }

    /// The resolver never hears of this name.
    pub(super) fn never_asks(mut self, name: &str) -> Self {
        self.expect.unasked.push(name.to_owned());
        self
    }

    /// A request that never becomes a flow.
    pub(super) fn rejected(mut self, status: u16, reason: &'static str) -> Self {
        self.expect.rejects.push(reason);
        self.answered(status)
    }

    /// The client of a refused tunnel that speaks TLS is told so.
    pub(super) fn hears_alert(mut self) -> Self {
        self.expect.tail = ACCESS_DENIED.to_vec();
        self
    }

    /// The same, where what it said looks like TLS; else the connection just ends.
    pub(super) fn hears_its_refusal(self, spoken: &Spoken) -> Self {
        if spoken.hears_an_alert() {
            self.hears_alert()
        } else {
            self
        }
    }

    /// The connection is open until the client ends it.
    pub(super) fn stays(mut self) -> Self {
        self.expect.stays = true;
        self
    }

    /// An origin is connected to, and gets exactly this.
    pub(super) fn reaches(
        mut self,
        to: impl Into<IpAddr>,
        port: u16,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        let to = SocketAddr::new(to.into(), port);
        self.expect.origins.push((to, bytes.as_ref().to_vec()));
        self
    }

    /// Asks for a tunnel to port 443 of a permitted host and is let in; the origin is connected to.
    pub(super) fn enters(self, host: &str) -> Self {
        self.connects(&format!("{host}:443")).answered(200)
    }

    /// What goes into the tunnel comes to the origin whole, and back.
    pub(super) fn echoes(self, to: impl Into<IpAddr>, port: u16, bytes: &[u8]) -> Self {
        let case = self.sends(bytes).step(Step::Take(bytes.len()));
        let mut case = case.reaches(to, port, bytes).stays();
        case.expect.tail = bytes.to_vec();
        case
    }
}

//! A DNS server that answers what the test tells it to, over UDP and TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// What goes wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    NxDomain,
    ServFail,
    /// No answer at all.
    Silence,
    /// UDP answers carry TC and nothing else; TCP answers in full.
    Truncated,
}

/// Makes of the honest reply the bytes that are sent instead.
pub(crate) type Forgery = Arc<dyn Fn(Message, Transport) -> Option<Vec<u8>> + Send + Sync>;

#[derive(Clone, Default)]
struct Entry {
    alias: Option<String>,
    addresses: Vec<IpAddr>,
    fault: Option<Fault>,
    forgery: Option<Forgery>,
    ttl: u32,
}

#[derive(Default)]
struct Zone {
    names: HashMap<String, Entry>,
    asked: Vec<(String, Transport)>,
    is_gone: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// The server; it lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Dns {
    zone: Arc<Mutex<Zone>>,
}

impl Dns {
    pub(crate) fn start(address: Ipv4Addr) -> Self {
        let zone = Arc::new(Mutex::new(Zone::default()));
        let at = SocketAddr::from((address, 53));
        let udp = UdpSocket::bind(at)
            .unwrap_or_else(|e| panic!("binding {at} for the test's DNS: {e} (run as root)"));
        let tcp = TcpListener::bind(at).unwrap();
        let for_udp = Arc::clone(&zone);
        std::thread::spawn(move || serve_udp(&udp, &for_udp));
        let for_tcp = Arc::clone(&zone);
        std::thread::spawn(move || serve_tcp(&tcp, &for_tcp));
        Self { zone }
    }

    /// The name has these addresses, and no others.
    pub(crate) fn name(&self, name: &str, addresses: &[IpAddr]) -> &Self {
        self.edit(name, |entry| {
            entry.addresses = addresses.to_vec();
            entry.alias = None;
        })
    }

    pub(crate) fn v4(&self, name: &str, address: Ipv4Addr) -> &Self {
        self.name(name, &[address.into()])
    }

    /// The name is an alias of another.
    pub(crate) fn alias(&self, name: &str, of: &str) -> &Self {
        self.edit(name, |entry| entry.alias = Some(of.to_owned()))
    }

    pub(crate) fn fault(&self, name: &str, fault: Fault) -> &Self {
        self.edit(name, |entry| entry.fault = Some(fault))
    }

    /// What is asked about the name is answered as somebody forges it.
    pub(crate) fn forge(&self, name: &str, forgery: Forgery) -> &Self {
        self.edit(name, |entry| entry.forgery = Some(forgery))
    }

    /// How long answers for the name may be kept.
    pub(crate) fn ttl(&self, name: &str, seconds: u32) -> &Self {
        self.edit(name, |entry| entry.ttl = seconds)
    }

    /// How often the name itself was asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked_over(name, Transport::Udp) + self.asked_over(name, Transport::Tcp)
    }

    pub(crate) fn asked_over(&self, name: &str, over: Transport) -> usize {
        let zone = self.zone.lock().unwrap();
        let hits = zone.asked.iter();
        hits.filter(|(n, t)| n == name && *t == over).count()
    }

    /// From now on nobody answers anything, or somebody does again.
    pub(crate) fn is_gone(&self, is_gone: bool) {
        self.zone.lock().unwrap().is_gone = is_gone;
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Entry)) -> &Self {
        let mut zone = self.zone.lock().unwrap();
        change(zone.names.entry(name.to_owned()).or_default());
        drop(zone);
        self
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; 4096];
    while let Ok((size, from)) = socket.recv_from(&mut buffer) {
        if let Some(answer) = answer(&buffer[..size], zone, Transport::Udp) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Arc<Mutex<Zone>>) {
    for stream in listener.incoming().flatten() {
        let zone = Arc::clone(zone);
        std::thread::spawn(move || serve_stream(stream, &zone));
    }
}

fn serve_stream(mut stream: TcpStream, zone: &Mutex<Zone>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        if let Some(answer) = answer(&question, zone, Transport::Tcp) {
            let size = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&size[..], &answer].concat());
        }
    }
}

fn answer(question: &[u8], zone: &Mutex<Zone>, over: Transport) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let mut zone = zone.lock().unwrap();
    let name = text(query.name());
    zone.asked.push((name.clone(), over));
    if zone.is_gone {
        return None;
    }

    let mut reply = Message::new(
        question.metadata.id,
        MessageType::Response,
        question.metadata.op_code,
    );
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    match zone.names.get(&name).and_then(|entry| entry.fault) {
        Some(Fault::Silence) => return None,
        Some(Fault::ServFail) => reply.metadata.response_code = ResponseCode::ServFail,
        Some(Fault::NxDomain) => reply.metadata.response_code = ResponseCode::NXDomain,
        Some(Fault::Truncated) if over == Transport::Udp => reply.metadata.truncation = true,
        _ => follow(&zone, name.clone(), query.query_type(), &mut reply),
    }
    let forgery = zone
        .names
        .get(&name)
        .and_then(|entry| entry.forgery.clone());
    drop(zone);
    match forgery {
        Some(forge) => forge(reply, over),
        None => reply.to_vec().ok(),
    }
}

/// Adds the whole chain, as a resolver does.
fn follow(zone: &Zone, start: String, kind: RecordType, reply: &mut Message) {
    let mut name = start;
    for _ in 0..20 {
        let owner = Name::from_ascii(format!("{name}."));
        let (Ok(owner), Some(entry)) = (owner, zone.names.get(&name)) else {
            reply.metadata.response_code = ResponseCode::NXDomain;
            return;
        };
        if let Some(next) = &entry.alias {
            let target = Name::from_ascii(format!("{next}.")).unwrap();
            let data = RData::CNAME(CNAME(target));
            reply.add_answer(Record::from_rdata(owner, entry.ttl, data));
            name = next.clone();
            continue;
        }
        let data = entry
            .addresses
            .iter()
            .filter_map(|a| address_record(*a, kind));
        reply.add_answers(data.map(|d| Record::from_rdata(owner.clone(), entry.ttl, d)));
        return;
    }
}

fn address_record(address: IpAddr, kind: RecordType) -> Option<RData> {
    match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(v6))),
        _ => None,
    }
}

fn text(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.trim_end_matches('.').to_owned()
}

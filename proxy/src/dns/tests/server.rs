//! A small name server on loopback, UDP and TCP on one port, that says what a test wrote down.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What it answers to one question.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// These records: (owner, TTL, data), as in a zone file.
    Records(Vec<(&'static str, u32, &'static str)>),
    /// No record of this type; with an SOA that says how long.
    NoData(u32),
    /// This code.
    Code(ResponseCode),
    /// Nothing.
    Silence,
    /// Over UDP a truncated answer; over TCP these records.
    Truncated(Vec<(&'static str, u32, &'static str)>),
    /// Bytes that are no DNS.
    Garbage,
}

/// Name, type, transport.
type Question = (String, RecordType, &'static str);
type Zone = HashMap<(String, RecordType), Reply>;

#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        // One port must be free for both; another process may take it in between.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let server = Self {
            address: tcp.local_addr().unwrap(),
            zone: Arc::default(),
            asked: Arc::default(),
        };
        tokio::spawn(server.clone().serve_udp(udp));
        tokio::spawn(server.clone().serve_tcp(tcp));
        server
    }

    pub(super) fn say(&self, name: &str, kind: RecordType, reply: Reply) -> &Self {
        self.zone
            .lock()
            .unwrap()
            .insert((name.to_owned(), kind), reply);
        self
    }

    pub(super) fn asked(&self, name: &str, kind: RecordType) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(n, k, _)| n == name && *k == kind)
            .count()
    }

    pub(super) fn asked_over(&self, transport: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, _, t)| *t == transport)
            .count()
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = self.answer(&buffer[..length], "udp") {
                socket.send_to(&answer, client).await.unwrap();
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    if let Some(answer) = server.answer(&question, "tcp") {
                        stream
                            .write_u16(u16::try_from(answer.len()).unwrap())
                            .await
                            .unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                }
            });
        }
    }

    fn answer(&self, question: &[u8], transport: &'static str) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().to_ascii().to_lowercase();
        let name = name.trim_end_matches('.').to_owned();
        let kind = query.query_type();
        self.asked
            .lock()
            .unwrap()
            .push((name.clone(), kind, transport));
        let reply = self.zone.lock().unwrap().get(&(name, kind)).cloned();

        let mut message = Message::response(question.metadata.id, OpCode::Query);
        message.metadata.message_type = MessageType::Response;
        message.metadata.recursion_available = true;
        // The question comes back letter by letter: the gate mixes cases against forgers.
        message.add_query(query);
        match reply.unwrap_or(Reply::Code(ResponseCode::NXDomain)) {
            Reply::Silence => return None,
            Reply::Garbage => return Some(b"\x00\x01garbage".to_vec()),
            Reply::Code(code) => message.metadata.response_code = code,
            Reply::NoData(ttl) => {
                message.authorities.push(soa(ttl));
            }
            Reply::Truncated(_) if transport == "udp" => message.metadata.truncation = true,
            Reply::Truncated(records) | Reply::Records(records) => {
                message.add_answers(records.into_iter().map(record));
            }
        }
        Some(message.to_vec().unwrap())
    }
}

fn soa(ttl: u32) -> Record {
    let zone = Name::from_ascii("example.").unwrap();
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86_400, ttl);
    Record::from_rdata(zone, ttl, RData::SOA(soa))
}

/// An IPv4 address makes an A, an IPv6 address an AAAA, anything else a CNAME.
fn record((owner, ttl, data): (&str, u32, &str)) -> Record {
    let data = if let Ok(four) = data.parse() {
        RData::A(A(four))
    } else if let Ok(six) = data.parse() {
        RData::AAAA(AAAA(six))
    } else {
        RData::CNAME(CNAME(Name::from_ascii(format!("{data}.")).unwrap()))
    };
    Record::from_rdata(Name::from_ascii(format!("{owner}.")).unwrap(), ttl, data)
}

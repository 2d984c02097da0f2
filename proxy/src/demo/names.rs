//! The name server of the demonstration: `examples/demo/names.txt`, over UDP and TCP on loopback.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long answers hold: the gate asks again now and then, so that its cache has both hits and misses.
const TTL: u32 = 20;
/// Aliases that are followed.
const MOST_HOPS: usize = 8;
/// How long a client of the TCP side may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ports tried until one is free for UDP and TCP alike.
const TRIES: usize = 20;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Addresses(Vec<IpAddr>),
    Alias(String),
    Failure,
}

/// The names that are known.
#[derive(Debug)]
pub(super) struct Names {
    known: HashMap<String, Entry>,
}

impl Names {
    /// Reads the file.
    ///
    /// # Errors
    /// The line that is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(|line| line.split('#').next());
        let lines = lines.flatten().filter(|line| !line.trim().is_empty());
        let known = lines.map(|line| entry(line).ok_or_else(|| line.to_owned()));
        Ok(Self {
            known: known.collect::<Result<_, _>>()?,
        })
    }

    /// What `name` leads to. Names that nobody wrote down stand at an address of the documentation, but for those below
    /// `.example` and `.test`, which do not exist.
    fn find(&self, name: &str) -> Option<Entry> {
        if let Some(entry) = self.known.get(name) {
            return Some(entry.clone());
        }
        let is_free = [".example", ".test"].iter().any(|end| name.ends_with(end));
        let sum = name
            .bytes()
            .fold(7_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
        let somewhere = Ipv4Addr::new(203, 0, 113, sum % 60 + 1);
        (!is_free && name.contains('.')).then(|| Entry::Addresses(vec![somewhere.into()]))
    }

    /// The answer to a question; nothing where none was understood.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let (id, code) = (question.metadata.id, question.metadata.op_code);
        let mut reply = Message::new(id, MessageType::Response, code);
        reply.metadata.recursion_desired = question.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        let name = query.name().to_ascii().to_ascii_lowercase();
        let kind = query.query_type();
        reply.add_query(query);
        self.follow(name.trim_end_matches('.').to_owned(), kind, &mut reply);
        reply.to_vec().ok()
    }

    /// Adds the whole chain, as a resolver does.
    fn follow(&self, mut name: String, kind: RecordType, reply: &mut Message) {
        for _ in 0..MOST_HOPS {
            let Ok(owner) = Name::from_ascii(format!("{name}.")) else {
                break;
            };
            match self.find(&name) {
                None => {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                    return;
                }
                Some(Entry::Failure) => break,
                Some(Entry::Addresses(addresses)) => {
                    let data = addresses.iter().filter_map(|it| record(*it, kind));
                    let records = data.map(|data| Record::from_rdata(owner.clone(), TTL, data));
                    reply.add_answers(records);
                    return;
                }
                Some(Entry::Alias(next)) => {
                    let Ok(target) = Name::from_ascii(format!("{next}.")) else {
                        break;
                    };
                    let alias = RData::CNAME(CNAME(target));
                    reply.add_answer(Record::from_rdata(owner, TTL, alias));
                    name = next;
                }
            }
        }
        reply.metadata.response_code = ResponseCode::ServFail;
    }
}

fn entry(line: &str) -> Option<(String, Entry)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let entry = match words.next()? {
        "A" => {
            let addresses: Result<Vec<IpAddr>, _> = words.by_ref().map(str::parse).collect();
            Entry::Addresses(addresses.ok().filter(|all| !all.is_empty())?)
        }
        "CNAME" => Entry::Alias(words.next()?.to_owned()),
        "SERVFAIL" => Entry::Failure,
        _ => return None,
    };
    words.next().is_none().then_some((name, entry))
}

fn record(address: IpAddr, kind: RecordType) -> Option<RData> {
    match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(v6))),
        _ => None,
    }
}

/// The server's sockets.
#[derive(Debug)]
pub(super) struct NameServer {
    udp: UdpSocket,
    tcp: TcpListener,
    names: Names,
}

impl NameServer {
    /// Opens a port of loopback that is free for both.
    pub(super) async fn open(names: Names) -> io::Result<Self> {
        let mut tried = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..TRIES {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            tried = TcpListener::bind(udp.local_addr()?)
                .await
                .map(|tcp| (udp, tcp));
            if tried.is_ok() {
                break;
            }
        }
        tried.map(|(udp, tcp)| Self { udp, tcp, names })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers for ever.
    pub(super) async fn serve(self) {
        let names = Arc::new(self.names);
        tokio::join!(over_udp(&self.udp, &names), over_tcp(&self.tcp, &names));
    }
}

async fn over_udp(socket: &UdpSocket, names: &Names) {
    let mut buffer = [0; 1500];
    loop {
        if let Ok((size, from)) = socket.recv_from(&mut buffer).await
            && let Some(answer) = names.answer(&buffer[..size])
        {
            // Who does not hear it asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn over_tcp(listener: &TcpListener, names: &Arc<Names>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let names = Arc::clone(names);
                tokio::spawn(async move { timeout(PATIENCE, questions(stream, &names)).await });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers question after question, each behind its length (RFC 1035 section 4.2.2).
async fn questions(mut stream: TcpStream, names: &Names) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(answer) = names.answer(&question) else {
            return Ok(());
        };
        stream
            .write_u16(u16::try_from(answer.len()).unwrap_or_default())
            .await?;
        stream.write_all(&answer).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_understood_is_told() {
        for wrong in [
            "a.example",
            "a.example A",
            "a.example A x",
            "a.example MX b",
            "a.example CNAME b c",
        ] {
            assert_eq!(Names::parse(wrong).unwrap_err(), wrong);
        }
        let read = Names::parse("# only\n\na.example A 192.0.2.1 # why\n").unwrap();
        assert_eq!(read.known.len(), 1);
    }

    #[test]
    fn names_that_nobody_wrote_down_stand_in_the_documentation() {
        let names = Names::parse("b.example CNAME a.example\nc.example SERVFAIL").unwrap();
        assert_eq!(names.find("x.example"), None);
        assert_eq!(names.find("localhost"), None);
        assert_eq!(names.find("c.example"), Some(Entry::Failure));
        let Some(Entry::Addresses(found)) = names.find("www.legifrance.gouv.fr") else {
            panic!("no address");
        };
        assert!(found[0].to_string().starts_with("203.0.113."), "{found:?}");
    }
}

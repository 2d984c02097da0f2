//! The client of a case: does what the case says and remembers what it heard.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::case::{Case, Step, Way};
use crate::harness::hello::Hello;

/// How long a client waits for a byte that is to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a slow client sends a byte.
const PACE: Duration = Duration::from_millis(25);

/// What a client heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) answers: Vec<u16>,
    /// What came after the answers.
    pub(super) tail: Vec<u8>,
    /// The other side ended the connection.
    pub(super) is_over: bool,
    /// What went otherwise than the case says.
    pub(super) deviation: Option<String>,
}

impl Heard {
    /// In short, for a report.
    pub(super) fn told(&self) -> String {
        let Self {
            answers,
            tail,
            deviation,
            ..
        } = self;
        let deviation = deviation.as_deref().unwrap_or("to the end");
        format!(
            "answered {answers:?}, then {} bytes, {deviation}",
            tail.len()
        )
    }
}

/// How long a proxy that may never answer is waited for.
const SHORT: Duration = Duration::from_millis(1500);

struct Client {
    stream: TcpStream,
    patience: Duration,
    heard: Heard,
}

/// Plays the client's part to its end.
pub(super) fn play(case: &Case, from: Ipv4Addr, proxy: SocketAddr) -> Heard {
    let to = match case.way {
        Way::Explicit => proxy,
        Way::Captured(original) => original,
    };
    let mut client = Client::open(from, to, PATIENCE);
    for step in &case.steps {
        if let Err(why) = client.act(step) {
            client.heard.deviation = Some(format!("{why} at {}", brief(step)));
            break;
        }
    }
    if !case.expect.stays {
        client.hear_the_rest();
    }
    client.heard
}

/// Plays the client's part against any proxy: where it is let into a tunnel that it should not have got, it says
/// something that the proxy may take for permitted.
pub(super) fn probe(case: &Case, from: Ipv4Addr, proxy: SocketAddr) -> Heard {
    let mut client = Client::open(from, proxy, SHORT);
    client.heard.deviation = case
        .steps
        .iter()
        .try_for_each(|step| client.act(step))
        .err();
    let let_in = client.heard.answers.last() == Some(&200);
    if let_in && case.expect.answers.last() != Some(&200) {
        let said = Hello::named(&claimed(case)).bytes();
        let _ = client.send(&said).and_then(|()| client.take(said.len()));
    } else if client.heard.deviation.is_none() && !case.expect.stays {
        // A word or the end: what it is does not matter.
        let _ = client.stream.read(&mut [0; 1024]);
    }
    client.heard
}

/// The name that gets a client furthest in a tunnel: the target's, where that is a name.
fn claimed(case: &Case) -> String {
    let sent = case.steps.iter().find_map(|step| match step {
        Step::Send(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    let target = sent.as_deref().and_then(|head| head.split(' ').nth(1));
    let host = target.and_then(|target| Some(target.rsplit_once(':')?.0));
    let is_name = |host: &&str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        host.chars().all(is_letter) && !host.ends_with(|c: char| c.is_ascii_digit())
    };
    let permitted = case.cast.permitted(case.who);
    host.filter(is_name).map_or(permitted, str::to_owned)
}

impl Client {
    fn open(from: Ipv4Addr, proxy: SocketAddr, patience: Duration) -> Self {
        let stream = connect(from, proxy);
        Self {
            stream,
            patience,
            heard: Heard::default(),
        }
    }

    fn act(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(bytes) => self.send(bytes),
            Step::Drip(bytes) => bytes.iter().try_for_each(|byte| self.send(&[*byte])),
            Step::Linger(bytes) => self.linger(bytes),
            Step::Answer => self.answer(true),
            Step::Established => self.answer(false),
            Step::Take(size) => self.take(*size),
            Step::Finish => self
                .stream
                .shutdown(Shutdown::Write)
                .map_err(|e| e.to_string()),
        }
    }

    /// A proxy that has heard enough may have closed: what it said is read all the same.
    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let _ = self.stream.write_all(bytes);
        Ok(())
    }

    /// Sends a byte at a time while nothing comes back.
    fn linger(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.set_read_timeout(Some(PACE)).unwrap();
        let began = Instant::now();
        for byte in bytes {
            let mut seen = [0];
            let spoke = match self.stream.peek(&mut seen) {
                Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                Ok(_) => true,
            };
            if spoke || began.elapsed() > self.patience {
                break;
            }
            self.send(&[*byte])?;
        }
        Ok(())
    }

    fn answer(&mut self, has_body: bool) -> Result<(), String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.exactly(1)?);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("no status in {head:?}"))?;
        self.heard.answers.push(status);
        if has_body || status != 200 {
            self.body(&head)?;
        }
        match status {
            100..200 if status != 101 => self.answer(has_body),
            _ => Ok(()),
        }
    }

    fn body(&mut self, head: &str) -> Result<(), String> {
        let field = |name| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        if field("transfer-encoding:").is_some() {
            return self.chunks();
        }
        let length = field("content-length:").and_then(|length| length.parse().ok());
        self.exactly(length.unwrap_or(0)).map(drop)
    }

    fn chunks(&mut self) -> Result<(), String> {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.extend(self.exactly(1)?);
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            let size =
                usize::from_str_radix(text.trim(), 16).map_err(|_| format!("chunk {text:?}"))?;
            self.exactly(size + 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn take(&mut self, size: usize) -> Result<(), String> {
        let bytes = self.exactly(size)?;
        self.heard.tail.extend(bytes);
        Ok(())
    }

    fn exactly(&mut self, size: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; size];
        self.stream.set_read_timeout(Some(self.patience)).unwrap();
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err("the connection ends".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Everything up to the end; a reset is an end.
    fn hear_the_rest(&mut self) {
        self.stream.set_read_timeout(Some(self.patience)).unwrap();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break self.heard.is_over = true,
                Ok(size) => self.heard.tail.extend_from_slice(&buffer[..size]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                    break self.heard.is_over = true;
                }
                Err(_) => break,
            }
        }
    }
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket
        .connect_timeout(&to.into(), PATIENCE)
        .expect("the proxy accepts");
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

/// The step without its bytes.
fn brief(step: &Step) -> String {
    let text = format!("{step:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

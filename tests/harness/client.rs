//! Clients: curl as people use it, and a bare socket for what no client would send.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::netns::Net;
use super::tools::{finish, tool};

/// What came of a curl run.
pub(crate) struct Curled {
    pub(crate) exit: i32,
    /// The status of the CONNECT answer; 0 when there was none.
    pub(crate) connect: u16,
    /// The status of the last answer; 0 when there was none.
    pub(crate) status: u16,
    pub(crate) heads: String,
    pub(crate) body: String,
    /// What curl said on standard error.
    pub(crate) said: String,
}

/// Runs curl through a proxy, from one source address.
pub(crate) fn curl(proxy: &str, from: Ipv4Addr, arguments: &[&str]) -> Curled {
    let arguments = [&["--proxy", proxy], arguments].concat();
    run(tool("curl"), from.into(), &arguments)
}

/// Runs curl in a client's network, without a proxy and with the gateway's resolver.
pub(crate) fn curl_straight(net: &Net, from: IpAddr, arguments: &[&str]) -> Curled {
    let command = net.resolving(&tool("curl"));
    net.client.inside(|| run(command, from, arguments))
}

fn run(mut command: Command, from: IpAddr, arguments: &[&str]) -> Curled {
    let dir = tempfile::tempdir().unwrap();
    let (heads, body) = (dir.path().join("heads"), dir.path().join("body"));
    command.args(["-sS", "--max-time", "20"]);
    command.args([
        "--interface",
        &from.to_string(),
        "-w",
        "%{http_connect} %{http_code}",
    ]);
    command
        .arg("-D")
        .arg(&heads)
        .arg("-o")
        .arg(&body)
        .args(arguments);
    let output = command.output().expect("curl runs");
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut codes = written.split(' ').map(|code| code.parse().unwrap_or(0));
    Curled {
        exit: output.status.code().unwrap_or(-1),
        connect: codes.next().unwrap_or(0),
        status: codes.next().unwrap_or(0),
        heads: std::fs::read_to_string(&heads).unwrap_or_default(),
        body: std::fs::read(&body)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A head as it came over the wire.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Head {
    /// A field's value by its name in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self
            .text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let mut wanted = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        wanted.next().map(|(_, value)| value.trim())
    }
}

/// A bare connection to the gate.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
}

impl Wire {
    pub(crate) fn open(from: impl Into<IpAddr>, to: SocketAddr) -> Self {
        let stream = connect(from.into(), to).expect("the gate accepts");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the gate reads");
    }

    /// Sends byte by byte, each a segment of its own.
    pub(crate) fn trickle(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send([*byte]);
        }
    }

    pub(crate) fn connect(&mut self, target: &str) -> Head {
        self.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        self.head()
    }

    /// One head, byte by byte, so that nothing behind it is lost.
    pub(crate) fn head(&mut self) -> Head {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                end => panic!("{end:?} inside a head: {}", String::from_utf8_lossy(&bytes)),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {text}"));
        Head { status, text }
    }

    /// The body that a head announced by its length.
    pub(crate) fn body(&mut self, head: &Head) -> String {
        let length = head
            .field("content-length")
            .map_or(0, |l| l.parse().unwrap());
        self.exactly(length)
    }

    pub(crate) fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .expect("that many bytes come");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to the end of the connection; a reset is an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(size) => bytes.extend_from_slice(&buffer[..size]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
                Err(e) => panic!("the connection does not end: {e}"),
            }
        }
    }
}

/// A bare connection to the gate over TLS.
pub(crate) struct SecureWire {
    stream: rustls::StreamOwned<rustls::ClientConnection, TcpStream>,
}

impl SecureWire {
    /// Trusts one authority; shows no certificate.
    pub(crate) fn open(from: Ipv4Addr, to: SocketAddr, authority: &Path) -> Self {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        let authority = rustls::pki_types::CertificateDer::from_pem_file(authority).unwrap();
        roots.add(authority).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = to.ip().into();
        let session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
        let socket = Wire::open(from, to).stream;
        Self {
            stream: rustls::StreamOwned::new(session, socket),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the gate reads");
        self.stream.flush().unwrap();
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("that many come");
        bytes
    }

    /// The status of the next answer, its head read to the end.
    pub(crate) fn status(&mut self) -> u16 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.exactly(1));
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The certificate that the gate showed.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let domain = socket2::Domain::for_address(to);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    Ok(socket.into())
}

/// Chromium without a window, one page, through the gate; gives the page's text and what it said.
pub(crate) fn chromium(proxy: &str, url: &str) -> String {
    let proxy = format!("--proxy-server={proxy}");
    browse(url, &["--proxy-bypass-list=<-loopback>", &proxy])
}

/// Chromium in a client's network, which knows no proxy and asks the gateway for names.
pub(crate) fn chromium_straight(net: &Net, url: &str) -> String {
    browse_by(
        |command| net.client.run(&mut net.resolving(command)),
        url,
        &[],
    )
}

/// The same with a proxy auto-configuration; `map` is what the browser resolves by itself.
pub(crate) fn chromium_by_pac(pac: &str, map: &str, url: &str) -> String {
    let pac = format!("--proxy-pac-url={pac}");
    let map = format!("--host-resolver-rules={map}");
    browse(url, &[&pac, &map, "--enable-logging=stderr"])
}

fn browse(url: &str, ways: &[&str]) -> String {
    browse_by(finish, url, &[&["--disable-quic"], ways].concat())
}

fn browse_by(
    run: impl FnOnce(&mut Command) -> (Option<i32>, String),
    url: &str,
    ways: &[&str],
) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = tool("timeout");
    command.args([
        "60",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
    ]);
    command.args([
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]);
    command.args([
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--ignore-certificate-errors",
        "--dump-dom",
    ]);
    command.args(ways);
    command
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url);
    command.env("HOME", profile.path());
    drop(tool("chromium"));
    run(&mut command).1
}

/// The bytes of a ClientHello for a name, as rustls sends it.
pub(crate) fn client_hello(name: Option<&str>) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    // An address as the server name means that no SNI is sent (RFC 6066 section 3).
    let name = name.unwrap_or("192.0.2.1").to_owned().try_into().unwrap();
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same hello with an Encrypted Client Hello extension of the outer kind (RFC 9849 section 5),
/// as browsers send it, GREASE included.
pub(crate) fn with_ech(hello: &[u8]) -> Vec<u8> {
    let mut extension = vec![0xfe, 0x0d, 0, 74, 0, 0, 1, 0, 1, 7, 0, 32];
    extension.extend([0xaa; 32]);
    extension.extend([0, 32]);
    extension.extend([0xbb; 32]);
    let mut with = hello.to_vec();
    let extensions = extensions_at(hello);
    grow(&mut with, extensions, extension.len());
    grow(&mut with, 7, extension.len());
    grow(&mut with, 3, extension.len());
    with.extend(extension);
    with
}

/// Where the length of the extensions stands: behind session id, cipher suites and compression.
fn extensions_at(hello: &[u8]) -> usize {
    let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    let suites = 44 + usize::from(hello[43]);
    let compression = suites + 2 + two(suites);
    compression + 1 + usize::from(hello[compression])
}

/// Adds to a length of two bytes.
fn grow(bytes: &mut [u8], at: usize, by: usize) {
    let length = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + u16::try_from(by).unwrap();
    bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

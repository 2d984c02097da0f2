//! Origins that write down every byte they are sent, so that "denied" can mean *no byte*.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection as a behaviour sees it.
pub(crate) trait Conn: Read + Write + Send {
    /// Ends our direction and leaves the other open.
    fn finish(&mut self);
}

/// What is written down of one connection.
pub(crate) trait Book: Send {
    /// More came from the other side.
    fn came(&mut self, bytes: &[u8]);
    /// It is over.
    fn ended(&mut self);
}

/// What an origin does with one connection.
pub(crate) type Behaviour = Arc<dyn Fn(&mut dyn Conn) + Send + Sync>;

#[derive(Default)]
struct Seen {
    connections: usize,
    open: usize,
    bytes: Vec<u8>,
}

impl Book for Arc<Mutex<Seen>> {
    fn came(&mut self, bytes: &[u8]) {
        self.lock().unwrap().bytes.extend_from_slice(bytes);
    }

    fn ended(&mut self) {
        self.lock().unwrap().open -= 1;
    }
}

/// A listening origin; it lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Origin {
    seen: Arc<Mutex<Seen>>,
}

impl Origin {
    /// Plain TCP.
    pub(crate) fn tcp(address: impl Into<IpAddr>, port: u16, behaviour: Behaviour) -> Self {
        Self::tcp_at(&[SocketAddr::new(address.into(), port)], behaviour)
    }

    /// Plain TCP on several addresses.
    pub(crate) fn tcp_at(at: &[SocketAddr], behaviour: Behaviour) -> Self {
        Self::start(at, move |stream| {
            let mut stream = stream;
            behaviour(&mut stream);
        })
    }

    /// TLS with one certificate, on several addresses; what is written down is the raw stream.
    pub(crate) fn tls_at(
        at: &[SocketAddr],
        config: Arc<ServerConfig>,
        behaviour: Behaviour,
    ) -> Self {
        Self::start(at, move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            behaviour(&mut StreamOwned::new(session, stream));
        })
    }

    fn start(
        at: &[SocketAddr],
        serve: impl Fn(Recorded<Arc<Mutex<Seen>>>) + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let serve = Arc::new(serve);
        for at in at {
            let listener = TcpListener::bind(at)
                .unwrap_or_else(|e| panic!("binding {at} for an origin: {e} (run as root)"));
            let (seen, serve) = (Arc::clone(&seen), Arc::clone(&serve));
            std::thread::spawn(move || accept(&listener, &seen, &serve));
        }
        Self { seen }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Connections still open.
    pub(crate) fn open(&self) -> usize {
        self.seen.lock().unwrap().open
    }

    /// Every byte received so far, over all connections.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// INVARIANT of every denial: nobody came, so nothing was said.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.connections(), 0, "the origin was connected to");
        self.assert_no_byte();
    }

    /// A denial after the dial: somebody came and said nothing.
    pub(crate) fn assert_no_byte(&self) {
        let bytes = self.bytes();
        assert!(bytes.is_empty(), "the origin saw {} bytes", bytes.len());
    }
}

fn accept<S>(listener: &TcpListener, seen: &Arc<Mutex<Seen>>, serve: &Arc<S>)
where
    S: Fn(Recorded<Arc<Mutex<Seen>>>) + Send + Sync + 'static,
{
    for stream in listener.incoming().flatten() {
        let (seen, serve) = (Arc::clone(seen), Arc::clone(serve));
        {
            let mut seen = seen.lock().unwrap();
            seen.connections += 1;
            seen.open += 1;
        }
        std::thread::spawn(move || serve(Recorded::new(stream, seen)));
    }
}

/// A connection of which every byte that comes is written down.
pub(crate) struct Recorded<B: Book> {
    stream: TcpStream,
    book: B,
}

impl<B: Book> Recorded<B> {
    pub(crate) fn new(stream: TcpStream, book: B) -> Self {
        Self { stream, book }
    }
}

impl<B: Book> Read for Recorded<B> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.stream.read(buffer)?;
        self.book.came(&buffer[..size]);
        Ok(size)
    }
}

impl<B: Book> Write for Recorded<B> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl<B: Book> Conn for Recorded<B> {
    fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl<B: Book> Drop for Recorded<B> {
    fn drop(&mut self) {
        self.book.ended();
    }
}

impl<B: Book> Conn for StreamOwned<ServerConnection, Recorded<B>> {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        self.sock.finish();
    }
}

/// Reads until the other side ends, says nothing.
pub(crate) fn silent() -> Behaviour {
    Arc::new(|conn| {
        let _ = std::io::copy(conn, &mut std::io::sink());
    })
}

/// Sends back what comes in.
pub(crate) fn echo() -> Behaviour {
    Arc::new(|conn| {
        let mut buffer = [0; 16384];
        while let Ok(size @ 1..) = conn.read(&mut buffer) {
            if conn
                .write_all(&buffer[..size])
                .and_then(|()| conn.flush())
                .is_err()
            {
                return;
            }
        }
        conn.finish();
    })
}

/// Speaks first, as SMTP, SSH and FTP servers do, then echoes.
pub(crate) fn server_first(banner: &'static str) -> Behaviour {
    let echo = echo();
    Arc::new(move |conn| {
        if conn.write_all(banner.as_bytes()).is_ok() {
            echo(conn);
        }
    })
}

/// Waits for the end of the other side's bytes, then answers with their number and ends.
pub(crate) fn answer_after_end() -> Behaviour {
    Arc::new(|conn| {
        let mut all = Vec::new();
        if conn.read_to_end(&mut all).is_ok() {
            let _ = write!(conn, "received {}", all.len());
            conn.finish();
        }
    })
}

/// Ends its own side at once, then keeps reading.
pub(crate) fn end_first(farewell: &'static str) -> Behaviour {
    Arc::new(move |conn| {
        let mut first = [0; 1];
        if conn.read_exact(&mut first).is_ok() && conn.write_all(farewell.as_bytes()).is_ok() {
            conn.finish();
            let _ = std::io::copy(conn, &mut std::io::sink());
        }
    })
}

/// What OpenSSL answers to ask for another ClientHello (RFC 8446 section 4.1.4).
pub(crate) const RETRY: &[u8] =
    include_bytes!("../../proxy/wire/tests/fixtures/answers/openssl-retry.bin");

/// A server of TLS 1.3 that is never content with the first hello.
pub(crate) fn retries() -> Behaviour {
    Arc::new(|conn| {
        let mut first = [0; 4096];
        if let Ok(1..) = conn.read(&mut first) {
            let _ = conn.write_all(RETRY).and_then(|()| conn.flush());
            let _ = std::io::copy(conn, &mut std::io::sink());
        }
    })
}

/// Answers the first head with exactly these bytes, then closes.
pub(crate) fn canned(answer: &'static str) -> Behaviour {
    Arc::new(move |conn| {
        if read_head(conn).is_some() {
            let _ = conn.write_all(answer.as_bytes());
            conn.finish();
        }
    })
}

/// A small HTTP/1.1 server: keeps the connection, answers each request with what it saw of it.
pub(crate) fn http() -> Behaviour {
    Arc::new(|conn| {
        while let Some(head) = read_head(conn) {
            if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
                return upgrade(conn);
            }
            let body = read_body(conn, &head);
            let line = head.lines().next().unwrap_or_default();
            let answer = format!("{line}\n{}", String::from_utf8_lossy(&body));
            let size = answer.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n{answer}"
            );
            if conn
                .write_all(text.as_bytes())
                .and_then(|()| conn.flush())
                .is_err()
            {
                return;
            }
        }
    })
}

fn upgrade(conn: &mut dyn Conn) {
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if conn.write_all(answer.as_bytes()).is_ok() {
        echo()(conn);
    }
}

/// The next request head, as it came.
pub(crate) fn read_head(conn: &mut dyn Conn) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        conn.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// The body behind a request head.
pub(crate) fn read_body(conn: &mut dyn Conn, head: &str) -> Vec<u8> {
    let lower = head.to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        return read_chunks(conn).unwrap_or_default();
    }
    let length = lower
        .lines()
        .find_map(|l| l.strip_prefix("content-length:"));
    let length = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let _ = conn.read_exact(&mut body);
    body
}

fn read_chunks(conn: &mut dyn Conn) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(read_line(conn)?.split(';').next()?.trim(), 16).ok()?;
        let mut chunk = vec![0; size];
        conn.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk);
        if size == 0 {
            while !read_line(conn)?.trim().is_empty() {}
            return Some(body);
        }
        read_line(conn)?;
    }
}

fn read_line(conn: &mut dyn Conn) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte[0] != b'\n' {
        conn.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    String::from_utf8(line).ok()
}

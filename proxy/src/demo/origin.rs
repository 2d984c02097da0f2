//! The one origin of the demonstration, which answers in place of all others: TLS for whatever name is asked for, plain HTTP, and what
//! the demonstration's own machines wish for.

use std::io::{self, Cursor};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::hello::{HEAD, answer, wish};

/// Connections at once; more wait.
const MOST: usize = 4096;
/// How long a connection may be silent, and last.
const PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of a request head.
const MOST_HEAD: usize = 16 << 10;
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

const PAGE: &str = "This is octroi demo: the gate let you through, and the demonstration's own origin answers in place of the site that you asked for.\n";

/// The socket and the certificates.
pub(super) struct Origin {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Origin {
    /// Opens a port of loopback.
    pub(super) async fn open(authority: &Arc<Authority>) -> io::Result<Self> {
        let config = authority.server().map_err(io::Error::other)?;
        Ok(Self {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            tls: TlsAcceptor::from(Arc::new(config)),
        })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        self.listener.local_addr().map(|address| address.port())
    }

    /// Answers for ever.
    pub(super) async fn serve(self) {
        let room = Arc::new(Semaphore::new(MOST));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let tls = self.tls.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        timeout(PATIENCE, converse(stream, tls)).await
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Tells by the first bytes who speaks.
async fn converse(mut stream: TcpStream, tls: TlsAcceptor) -> io::Result<()> {
    let mut head = vec![0; HEAD];
    let size = stream.read(&mut head).await?;
    head.truncate(size);
    if head.first() != Some(&HANDSHAKE) {
        let (read, mut write) = stream.into_split();
        return words(&mut Cursor::new(head).chain(read), &mut write).await;
    }
    let missing = HEAD - size;
    let mut more = (&mut stream).take(missing as u64);
    more.read_to_end(&mut head).await?;
    if let Some(wished) = wish(&head) {
        stream.write_all(&answer(wished)).await?;
        return until_closed(&mut stream).await;
    }
    let (read, write) = stream.into_split();
    let replayed = tokio::io::join(Cursor::new(head).chain(read), write);
    let stream = tls.accept(replayed).await?;
    let (mut read, mut write) = tokio::io::split(stream);
    words(&mut read, &mut write).await
}

/// Answers a request with the page, and whatever else with a line of its own.
async fn words(
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut head = Vec::new();
    let mut part = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MOST_HEAD {
        let size = read.read(&mut part).await?;
        if size == 0 {
            return Ok(());
        }
        head.extend_from_slice(&part[..size]);
        if !head[0].is_ascii_alphabetic() || head.starts_with(b"EHLO") {
            write.write_all(b"250 octroi demo\r\n").await?;
            return until_closed(read).await;
        }
    }
    let body = if head.starts_with(b"HEAD ") { "" } else { PAGE };
    let length = PAGE.len();
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    write.write_all(reply.as_bytes()).await?;
    write.shutdown().await
}

/// Reads what else comes and keeps none of it.
async fn until_closed(read: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut part = [0; 4096];
    while read.read(&mut part).await? > 0 {}
    Ok(())
}

//! What Pingora's engine gets to read of a client: one body, and not a byte of what follows it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use octroi_wire::BodyReader;
use octroi_wire::head::Framing;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One read's worth of what follows a body.
const READ: usize = 4 * 1024;

/// The most that is read ahead of the requests to come; more stays in the kernel.
const AHEAD: usize = 64 * 1024;

/// A client's connection for the time of one exchange.
///
/// The body goes through as it came, as far as it is one, and ends where our own reader says. What
/// follows is kept for the next request: the engine would take it for a client gone mad.
#[derive(Debug)]
pub(super) struct Screen {
    stream: Stream,
    /// Read and not passed on.
    kept: BytesMut,
    body: BodyReader,
    switched: Switched,
}

/// Whether the protocol was switched: everything goes through from then on.
#[derive(Clone, Debug, Default)]
pub(super) struct Switched(Arc<AtomicBool>);

impl Switched {
    /// From now on it is.
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Screen {
    /// A screen behind a head whose body is framed like this; `kept` is what was read with it.
    pub(super) fn new(
        stream: Stream,
        kept: BytesMut,
        framing: Framing,
        switched: Switched,
    ) -> Self {
        Self {
            stream,
            kept,
            body: BodyReader::new(framing),
            switched,
        }
    }

    /// The connection again, and what was read of the next request; `None` if the body was not
    /// read to its end.
    pub(super) fn into_parts(self) -> Option<(Stream, BytesMut)> {
        self.body.is_done().then_some((self.stream, self.kept))
    }

    /// Passes on what of the kept bytes there is room for and belongs to the body.
    fn give_kept(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = self.kept.len().min(buf.remaining());
        let taken = self.body_of(room)?;
        buf.put_slice(&self.kept[..taken]);
        self.kept.advance(taken);
        Ok(())
    }

    fn body_of(&mut self, room: usize) -> io::Result<usize> {
        if self.switched.is() {
            return Ok(room);
        }
        self.body.read(&self.kept[..room]).map_err(malformed)
    }

    /// Reads straight into the engine's buffer, and takes back what is not of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if !self.switched.is() {
            let read = self.body.read(&buf.filled()[before..]);
            let end = before + *read.as_ref().unwrap_or(&0);
            self.kept.extend_from_slice(&buf.filled()[end..]);
            buf.set_filled(end);
            read.map_err(malformed)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Behind the body: nothing to give, but the end of the connection is to be noticed.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.kept.len() < AHEAD {
            let mut space = [0; READ];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.kept.extend_from_slice(read.filled());
        }
        // Nobody is woken: the engine asks again when the response is through.
        Poll::Pending
    }
}

fn malformed(error: octroi_wire::BodyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl AsyncRead for Screen {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.body.is_done() && !this.switched.is() {
            this.poll_ahead(cx)
        } else if this.kept.is_empty() {
            this.poll_body(cx, buf)
        } else {
            Poll::Ready(this.give_kept(buf))
        }
    }
}

impl AsyncWrite for Screen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Screen {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Screen {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

// The engine asks for none of what TLS found out; whose connection it is was learnt before.
impl Ssl for Screen {}
impl Peek for Screen {}

impl GetTimingDigest for Screen {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Screen {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Screen {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests;

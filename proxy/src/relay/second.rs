//! Holds a client's second hello back until it is known to say what the first one said.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use octroi_wire::second_hello::{Passing, SecondHello};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Opening;

/// The word for a second hello that did not come in time.
const TIMED_OUT: &str = "timeout";

/// The client's end of a tunnel, with what is held back of it.
pub(super) struct Watched<'a, C> {
    client: &'a mut C,
    /// Gone once everything passes: then this costs one comparison a read and a write.
    hold: Option<Box<Hold>>,
    refused: Option<&'static str>,
}

struct Hold {
    hello: SecondHello,
    /// Bytes of the client that have not passed.
    held: BytesMut,
    /// How many of them may.
    cleared: usize,
    patience: Duration,
    /// Runs from when something is first held back, or another hello is asked for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, C> Watched<'a, C> {
    /// Gives back what of the opening may pass as it is.
    pub(super) fn new(client: &'a mut C, opening: Opening) -> (Self, Bytes) {
        let mut read = opening.read;
        let hold = opening.second.map(|mut hello| {
            let first = match hello.from_client(&read) {
                Ok(Passing::On(count)) => read.split_to(count),
                _ => Bytes::new(),
            };
            let held = BytesMut::from(std::mem::replace(&mut read, first));
            Box::new(Hold {
                hello,
                held,
                cleared: 0,
                patience: opening.hello_timeout,
                timer: None,
            })
        });
        let watched = Self {
            client,
            hold,
            refused: None,
        };
        (watched, read)
    }

    /// Why the second hello was refused, if it was.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// Lets go once everything has passed.
    fn release(&mut self) {
        let is_done = |hold: &Hold| hold.hello.is_over() && hold.held.is_empty();
        if self.hold.as_deref().is_some_and(is_done) {
            self.hold = None;
        }
    }

    /// After word from the server: what is held may pass now, or a clock has to run. One task
    /// moves both directions, so that it wakes itself.
    fn settle(&mut self, cx: &mut Context<'_>, is_asked_for: bool) {
        self.release();
        let is_over = |hold: &Hold| hold.hello.is_over();
        if is_asked_for || self.hold.as_deref().is_some_and(is_over) {
            cx.waker().wake_by_ref();
        }
    }
}

impl Hold {
    /// Reads what may pass, or says why nothing ever will.
    fn poll_read<C>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Result<(), &'static str>>>
    where
        C: AsyncRead + Unpin,
    {
        while self.cleared == 0 {
            match self.hello.from_client(&self.held) {
                Err(refused) => return Poll::Ready(Ok(Err(refused.reason()))),
                Ok(Passing::On(count)) => self.cleared = count,
                Ok(Passing::AwaitsServer) => {
                    return self.poll_timer(cx).map(|()| Ok(Err(TIMED_OUT)));
                }
                Ok(Passing::AwaitsClient) => {
                    if self.hello.is_asked_for() && self.poll_timer(cx).is_ready() {
                        return Poll::Ready(Ok(Err(TIMED_OUT)));
                    }
                    if ready!(self.poll_more(cx, client, buf))? == 0 {
                        let ended = self.hello.client_ended(&self.held);
                        return Poll::Ready(Ok(ended.map_err(|refused| refused.reason())));
                    }
                }
            }
        }
        let passing = self.cleared.min(buf.remaining());
        buf.put_slice(&self.held[..passing]);
        self.held.advance(passing);
        self.cleared -= passing;
        Poll::Ready(Ok(Ok(())))
    }

    /// Adds a read's worth to what is held, by way of `buf`; says how much.
    fn poll_more<C>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>>
    where
        C: AsyncRead + Unpin,
    {
        let before = buf.filled().len();
        ready!(Pin::new(client).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        let count = came.len();
        self.held.extend_from_slice(came);
        buf.set_filled(before);
        Poll::Ready(Ok(count))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        timer.as_mut().poll(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Watched<'_, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(hold) = &mut this.hold else {
            return Pin::new(&mut *this.client).poll_read(cx, buf);
        };
        let read = ready!(hold.poll_read(cx, this.client, buf))?;
        this.release();
        Poll::Ready(read.map_err(|reason| {
            this.refused = Some(reason);
            io::ErrorKind::PermissionDenied.into()
        }))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Watched<'_, C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut *this.client).poll_write(cx, bytes))?;
        if let Some(hold) = &mut this.hold {
            let was_asked_for = hold.hello.is_asked_for();
            hold.hello.from_server(&bytes[..written]);
            let is_asked_for = hold.hello.is_asked_for() && !was_asked_for;
            this.settle(cx, is_asked_for);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().client).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(hold) = &mut this.hold {
            hold.hello.server_ended();
            this.settle(cx, false);
        }
        Pin::new(&mut *this.client).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

//! Moves the bytes of a tunnel: both directions, half-close carried, silence bounded, all counted.
//!
//! A direction that waits holds no buffer: one is borrowed from the thread's pool for the read and
//! given back when nothing came. Splicing belongs behind [`run`] once both ends are known to be
//! plain sockets; nothing outside this module would see the difference.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

mod buffer;
mod second;
#[cfg(test)]
mod tests;

use buffer::Buffer;
use octroi_wire::second_hello::SecondHello;
use second::Watched;

/// What a tunnel begins with.
#[derive(Debug)]
pub struct Opening {
    /// What was read of the client: it goes to the origin before anything else from there.
    pub read: Bytes,
    /// Looks at what follows a first hello among these bytes, where another one may follow.
    pub second: Option<SecondHello>,
    /// How long another hello may take.
    pub hello_timeout: Duration,
}

/// One end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The workload.
    Client,
    /// What it asked for.
    Origin,
}

/// Why we ended a tunnel ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The gate leaves and the drain time is over.
    Shutdown,
    /// A new policy denies it.
    Revoked,
}

/// How a tunnel ended.
#[derive(Debug)]
pub enum End {
    /// Both ends closed in order; this one was the first.
    Closed(Side),
    /// This end broke the connection.
    Broken(Side, io::Error),
    /// Nothing moved for `idle_timeout`.
    Idle,
    /// We ended it.
    Stopped(Stop),
    /// The client's second hello says something else than the first, or is none; the word for it.
    SecondHello(&'static str),
}

/// What a tunnel carried.
#[derive(Debug)]
pub struct Relayed {
    /// Bytes from the client handed to the origin.
    pub up: u64,
    /// Bytes from the origin handed to the client.
    pub down: u64,
    /// How it ended.
    pub end: End,
}

/// Relays until both ends have closed, one breaks, nothing moves for `idle_timeout`, or `stop`
/// says so, or the client's second hello is refused.
pub async fn run<C, O>(
    client: &mut C,
    origin: &mut O,
    opening: Opening,
    idle_timeout: Duration,
    stop: impl Future<Output = Stop>,
) -> Relayed
where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let (mut client, replay) = Watched::new(client, opening);
    let mut tunnel = Tunnel::new(Buffer::holding(replay));
    let mut stop = pin!(stop);
    let timer = pin!(sleep(idle_timeout));
    let mut idle = Idle::new(idle_timeout, timer);
    let end = poll_fn(|cx| {
        if let Poll::Ready(stop) = stop.as_mut().poll(cx) {
            return Poll::Ready(End::Stopped(stop));
        }
        let moved = tunnel.moved();
        if let Poll::Ready(end) = tunnel.poll(cx, &mut client, origin) {
            return Poll::Ready(end);
        }
        if tunnel.moved() != moved {
            idle.touch();
        }
        idle.poll(cx).map(|()| End::Idle)
    })
    .await;
    Relayed {
        up: tunnel.up.bytes,
        down: tunnel.down.bytes,
        end: client.refused().map_or(end, End::SecondHello),
    }
}

struct Tunnel {
    up: Direction,
    down: Direction,
    first_closed: Option<Side>,
}

impl Tunnel {
    fn new(replay: Buffer) -> Self {
        Self {
            up: Direction::new(replay),
            down: Direction::new(Buffer::none()),
            first_closed: None,
        }
    }

    /// Grows with every byte and every close, so that a change means activity.
    fn moved(&self) -> u64 {
        self.up.bytes + self.down.bytes + u64::from(self.first_closed.is_some())
    }

    fn poll<C, O>(&mut self, cx: &mut Context<'_>, client: &mut C, origin: &mut O) -> Poll<End>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        O: AsyncRead + AsyncWrite + Unpin,
    {
        let up = self.up.poll(cx, client, origin);
        self.note_close(Side::Client);
        let down = self.down.poll(cx, origin, client);
        self.note_close(Side::Origin);
        match (up, down) {
            (Poll::Ready(Err(fault)), _) => Poll::Ready(fault.end(Side::Client, Side::Origin)),
            (_, Poll::Ready(Err(fault))) => Poll::Ready(fault.end(Side::Origin, Side::Client)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                Poll::Ready(End::Closed(self.first_closed.unwrap_or(Side::Client)))
            }
            _ => Poll::Pending,
        }
    }

    fn note_close(&mut self, side: Side) {
        let direction = match side {
            Side::Client => &self.up,
            Side::Origin => &self.down,
        };
        if direction.state != State::Open {
            self.first_closed.get_or_insert(side);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading and writing.
    Open,
    /// The reader is at its end; the writer is still to be told.
    Closing,
    /// The end has been carried over.
    Closed,
}

/// Which end of a direction failed.
enum Fault {
    Read(io::Error),
    Write(io::Error),
}

impl Fault {
    fn end(self, reader: Side, writer: Side) -> End {
        match self {
            Fault::Read(error) => End::Broken(reader, error),
            Fault::Write(error) => End::Broken(writer, error),
        }
    }
}

struct Direction {
    pending: Buffer,
    unflushed: bool,
    state: State,
    bytes: u64,
}

impl Direction {
    fn new(pending: Buffer) -> Self {
        Self {
            pending,
            unflushed: false,
            state: State::Open,
            bytes: 0,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<(), Fault>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_write(cx, writer)).map_err(Fault::Write)?;
            match self.state {
                State::Open => ready!(self.poll_read(cx, reader)).map_err(Fault::Read)?,
                State::Closing => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(Fault::Write)?;
                    self.state = State::Closed;
                }
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while !self.pending.is_empty() {
            match ready!(Pin::new(&mut *writer).poll_write(cx, self.pending.as_slice()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.pending.advance(written);
                    self.bytes += written as u64;
                    self.unflushed = true;
                }
            }
        }
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<R>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
    {
        match ready!(Buffer::poll_fill(cx, reader)) {
            Ok(filled) if filled.is_empty() => self.state = State::Closing,
            Ok(filled) => self.pending = filled,
            // Over TLS, many clients leave without close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.state = State::Closing
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

/// Fires when it has not been touched for its whole time; a touch costs no timer operation.
struct Idle<'a> {
    timeout: Duration,
    touched: Instant,
    sleep: Pin<&'a mut Sleep>,
}

impl<'a> Idle<'a> {
    fn new(timeout: Duration, sleep: Pin<&'a mut Sleep>) -> Self {
        Self {
            timeout,
            touched: Instant::now(),
            sleep,
        }
    }

    fn touch(&mut self) {
        self.touched = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let due = self.touched + self.timeout;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

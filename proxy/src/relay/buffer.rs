//! Buffers that are held only while there is something in them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// One read's worth: 64 KiB halves the cost of a byte against 8 KiB.
const SIZE: usize = 64 * 1024;

/// Spare buffers kept a thread; bursts beyond go back to the allocator.
const SPARE: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes on their way from one end to the other.
pub(super) enum Buffer {
    /// Bytes that were read before the relay began.
    Given(Bytes),
    /// Bytes in a borrowed block.
    Pooled {
        block: Box<[u8]>,
        start: usize,
        end: usize,
    },
}

impl Buffer {
    pub(super) fn none() -> Self {
        Self::Given(Bytes::new())
    }

    pub(super) fn holding(bytes: Bytes) -> Self {
        Self::Given(bytes)
    }

    /// One read: what came, nothing at the end of the stream. No block is kept while waiting.
    pub(super) fn poll_fill<R>(cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<Self>>
    where
        R: AsyncRead + Unpin,
    {
        let mut block = borrow();
        let mut room = ReadBuf::new(&mut block);
        let polled = Pin::new(reader).poll_read(cx, &mut room);
        let end = room.filled().len();
        match polled {
            Poll::Ready(Ok(())) if end > 0 => Poll::Ready(Ok(Self::Pooled {
                block,
                start: 0,
                end,
            })),
            other => {
                give_back(block);
                other.map_ok(|()| Self::none())
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Pooled { block, start, end } => &block[*start..*end],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Drops the first `count` bytes, and the block with the last of them.
    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Self::Given(bytes) => bytes.advance(count),
            Self::Pooled { start, .. } => *start += count,
        }
        if self.is_empty()
            && let Self::Pooled { block, .. } = std::mem::replace(self, Self::none())
        {
            give_back(block);
        }
    }
}

fn borrow() -> Box<[u8]> {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
}

fn give_back(block: Box<[u8]>) {
    POOL.with_borrow_mut(|pool| {
        if pool.len() < SPARE {
            pool.push(block);
        }
    });
}

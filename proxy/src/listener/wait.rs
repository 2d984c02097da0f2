//! Waits for what a connection says first.

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

/// One read's worth.
const READ: usize = 4 * 1024;

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// More bytes.
    Bytes,
    /// The end of the connection.
    End,
    /// Nothing in time.
    Late,
    /// The gate is leaving, and nothing was said yet.
    Leaving,
}

/// Reads more into `buffer`, until `deadline`.
pub(crate) async fn more(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    deadline: Instant,
    shutdown: &ShutdownWatch,
) -> More {
    let mut shutdown = shutdown.clone();
    let is_silent = buffer.is_empty();
    buffer.reserve(READ);
    tokio::select! {
        biased;
        came = stream.read_buf(buffer) => match came {
            Ok(0) | Err(_) => More::End,
            Ok(_) => More::Bytes,
        },
        _ = shutdown.wait_for(|leaving| *leaving), if is_silent => More::Leaving,
        () = sleep_until(deadline) => More::Late,
    }
}

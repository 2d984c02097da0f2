//! The orderly end of a connection whose client still speaks.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Bytes read and thrown away before the line is cut.
const MOST: u64 = 256 * 1024;

/// Sends what was written, closes our half and lets the client finish for at most `patience`:
/// closing with unread bytes would send a reset, which may overtake what we said
/// (RFC 9112 section 9.6).
pub async fn linger<S>(stream: &mut S, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        stream.flush().await?;
        stream.shutdown().await?;
        let mut rest = stream.take(MOST);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // However it ends, there is nobody left to tell.
    let _ = timeout(patience, farewell).await;
}

use std::future::pending;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A relay between two pipes: what the client and the origin hold, and the relay's end.
fn tunnel(
    replay: &'static [u8],
    idle: Duration,
) -> (DuplexStream, DuplexStream, JoinHandle<Relayed>) {
    let (client, mut inner) = duplex(64);
    let (origin, mut outer) = duplex(64);
    let relay =
        tokio::spawn(
            async move { run(&mut inner, &mut outer, opening(replay), idle, pending()).await },
        );
    (client, origin, relay)
}

/// Nothing is watched for.
fn opening(read: &'static [u8]) -> Opening {
    Opening {
        read: Bytes::from_static(read),
        second: None,
        hello_timeout: HOUR,
    }
}

async fn read_all(stream: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn the_replay_comes_first_and_is_counted() {
    let (mut client, mut origin, relay) = tunnel(b"hello ", HOUR);
    client.write_all(b"world").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut origin).await, b"hello world");
    origin.shutdown().await.unwrap();
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.up, relayed.down), (11, 0));
    assert!(matches!(relayed.end, End::Closed(Side::Client)));
}

#[tokio::test]
async fn after_the_client_has_closed_the_origin_still_speaks() {
    let (mut client, mut origin, relay) = tunnel(b"", HOUR);
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut origin).await, b"");
    origin.write_all(b"late answer").await.unwrap();
    origin.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"late answer");
    let relayed = relay.await.unwrap();
    assert_eq!(relayed.down, 11);
    assert!(matches!(relayed.end, End::Closed(Side::Client)));
}

#[tokio::test]
async fn after_the_origin_has_closed_the_client_still_speaks() {
    let (mut client, mut origin, relay) = tunnel(b"", HOUR);
    origin.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"");
    client.write_all(b"late question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut origin).await, b"late question");
    let relayed = relay.await.unwrap();
    assert_eq!(relayed.up, 13);
    assert!(matches!(relayed.end, End::Closed(Side::Origin)));
}

#[tokio::test]
async fn more_than_any_buffer_passes_whole_both_ways_at_once() {
    let (client, origin, relay) = tunnel(b"", HOUR);
    let sent: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let expected = sent.clone();
    let pump = |stream: DuplexStream, sent: Vec<u8>| {
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(stream);
            let writer = tokio::spawn(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let mut got = Vec::new();
            read.read_to_end(&mut got).await.unwrap();
            writer.await.unwrap();
            got
        })
    };
    let (client, origin) = (pump(client, sent.clone()), pump(origin, sent));
    assert!(client.await.unwrap() == expected && origin.await.unwrap() == expected);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.up, relayed.down), (300_000, 300_000));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_but_a_single_byte_buys_the_whole_time() {
    let idle = Duration::from_secs(60);
    let (mut client, mut origin, relay) = tunnel(b"", idle);
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.write_all(b"x").await.unwrap();
    origin.read_exact(&mut [0]).await.unwrap();
    let relayed = relay.await.unwrap();
    assert!(matches!(relayed.end, End::Idle));
    assert!(began.elapsed() >= Duration::from_secs(100));
    assert!(began.elapsed() < Duration::from_secs(101));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_tunnel_does_not_live_for_ever() {
    let (mut client, origin, relay) = tunnel(b"", Duration::from_secs(60));
    client.shutdown().await.unwrap();
    let relayed = relay.await.unwrap();
    assert!(matches!(relayed.end, End::Idle));
    drop((client, origin));
}

#[tokio::test]
async fn it_stops_when_told_and_says_why() {
    let (mut inner, _client) = duplex(64);
    let (mut outer, _origin) = duplex(64);
    let (tell, told) = oneshot::channel();
    let relay = tokio::spawn(async move {
        let stop = async { told.await.unwrap() };
        run(&mut inner, &mut outer, opening(b""), HOUR, stop).await
    });
    tell.send(Stop::Revoked).unwrap();
    assert!(matches!(
        relay.await.unwrap().end,
        End::Stopped(Stop::Revoked)
    ));
}

#[tokio::test]
async fn a_broken_end_is_named() {
    let (mut client, origin, relay) = tunnel(b"", HOUR);
    drop(origin);
    client.write_all(b"x").await.unwrap();
    let relayed = relay.await.unwrap();
    assert!(
        matches!(relayed.end, End::Broken(Side::Origin, _)),
        "{:?}",
        relayed.end
    );
}

#[tokio::test]
async fn a_waiting_direction_holds_no_block() {
    let (mut waiting, _other) = duplex(64);
    let polled = poll_fn(|cx| Poll::Ready(Buffer::poll_fill(cx, &mut waiting))).await;
    assert!(polled.is_pending());
    let mut direction = Direction::new(Buffer::none());
    let (mut writer, _reader) = duplex(64);
    let polled = poll_fn(|cx| Poll::Ready(direction.poll(cx, &mut waiting, &mut writer))).await;
    assert!(polled.is_pending());
    assert!(matches!(direction.pending, Buffer::Given(ref bytes) if bytes.is_empty()));
}

use std::future::pending;

use octroi_wire::client_hello::{HelloReader, Peek};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::relay::{End, Relayed, Side, run};

/// What OpenSSL sends to a server that asks for another hello: hello, change_cipher_spec, hello.
const CLIENT: &[u8] = include_bytes!("../../../wire/tests/fixtures/retry/openssl.bin");
/// Where the first hello and the change_cipher_spec behind it end.
const FIRST: usize = 301;
const SECOND: usize = FIRST + 6;
/// How a server asks for it.
const RETRY: &[u8] = include_bytes!("../../../wire/tests/fixtures/answers/openssl-retry.bin");
/// How a server goes on.
const ANSWER: &[u8] = include_bytes!("../../../wire/tests/fixtures/answers/openssl-tls13.bin");

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(10);

/// A relay whose first hello was read and judged, with these bytes behind it.
fn tunnel(behind: &[u8]) -> (DuplexStream, DuplexStream, JoinHandle<Relayed>) {
    let mut reader = HelloReader::new(64 * 1024);
    let Peek::Hello(hello) = reader.read(CLIENT) else {
        panic!("no hello")
    };
    let opening = Opening {
        read: [&CLIENT[..FIRST], behind].concat().into(),
        second: SecondHello::after(&hello, reader.length(), 64 * 1024),
        hello_timeout: PATIENCE,
    };
    assert!(opening.second.is_some());
    let (client, mut inner) = duplex(100);
    let (origin, mut outer) = duplex(4096);
    let relay =
        tokio::spawn(async move { run(&mut inner, &mut outer, opening, HOUR, pending()).await });
    (client, origin, relay)
}

/// The bytes with another name in their second hello.
fn renamed() -> Vec<u8> {
    let mut bytes = CLIENT.to_vec();
    let name = b"example.org";
    let at = bytes.windows(name.len()).rposition(|part| part == name);
    bytes[at.unwrap()] = b'E' + 1;
    bytes
}

async fn expect(stream: &mut DuplexStream, bytes: &[u8]) {
    let mut found = vec![0; bytes.len()];
    stream.read_exact(&mut found).await.unwrap();
    assert_eq!(found, bytes);
}

async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// How the relay ends, which a second hello is the reason of.
async fn refused(relay: JoinHandle<Relayed>) -> &'static str {
    match relay.await.unwrap().end {
        End::SecondHello(word) => word,
        end => panic!("{end:?}"),
    }
}

#[tokio::test]
async fn a_real_exchange_passes_and_what_follows_too() {
    let (mut client, mut origin, relay) = tunnel(b"");
    expect(&mut origin, &CLIENT[..FIRST]).await;
    origin.write_all(RETRY).await.unwrap();
    expect(&mut client, RETRY).await;
    for byte in &CLIENT[FIRST..] {
        client.write_all(&[*byte]).await.unwrap();
    }
    expect(&mut origin, &CLIENT[FIRST..]).await;
    for (from, to) in [(&mut client, &mut origin)] {
        from.write_all(b"any bytes").await.unwrap();
        expect(to, b"any bytes").await;
        to.write_all(b"any other").await.unwrap();
        expect(from, b"any other").await;
    }
    drop((client, origin));
    let relayed = relay.await.unwrap();
    assert_eq!(relayed.up, CLIENT.len() as u64 + 9);
    assert_eq!(relayed.down, RETRY.len() as u64 + 9);
}

#[tokio::test]
async fn of_a_hello_with_another_name_no_byte_reaches_the_origin() {
    let (mut client, mut origin, relay) = tunnel(b"");
    origin.write_all(RETRY).await.unwrap();
    expect(&mut client, RETRY).await;
    client.write_all(&renamed()[FIRST..]).await.unwrap();
    assert_eq!(refused(relay).await, "other-name");
    assert_eq!(rest(&mut origin).await, &CLIENT[..SECOND]);
}

#[tokio::test]
async fn an_eager_client_is_held_back_until_the_server_has_answered() {
    let all = renamed();
    let (mut client, mut origin, relay) = tunnel(&all[FIRST..]);
    expect(&mut origin, &CLIENT[..SECOND]).await;
    origin.write_all(RETRY).await.unwrap();
    assert_eq!(refused(relay).await, "other-name");
    assert_eq!(rest(&mut origin).await, b"");
    assert_eq!(rest(&mut client).await, RETRY);

    // A server that does not ask gets it all: it will not read it as a hello.
    let (mut client, mut origin, _relay) = tunnel(&all[FIRST..]);
    expect(&mut origin, &CLIENT[..SECOND]).await;
    origin.write_all(ANSWER).await.unwrap();
    expect(&mut client, ANSWER).await;
    expect(&mut origin, &all[SECOND..]).await;
}

#[tokio::test]
async fn a_server_that_ends_without_an_answer_asks_for_nothing() {
    let all = renamed();
    let (client, mut origin, relay) = tunnel(&all[FIRST..]);
    expect(&mut origin, &CLIENT[..SECOND]).await;
    origin.shutdown().await.unwrap();
    expect(&mut origin, &all[SECOND..]).await;
    drop(client);
    assert!(matches!(
        relay.await.unwrap().end,
        End::Closed(Side::Origin)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_that_does_not_come_is_not_waited_for() {
    let (mut client, mut origin, relay) = tunnel(b"");
    origin.write_all(RETRY).await.unwrap();
    expect(&mut client, RETRY).await;
    client.write_all(&CLIENT[FIRST..SECOND + 40]).await.unwrap();
    let began = Instant::now();
    assert_eq!(refused(relay).await, "timeout");
    assert!((PATIENCE..PATIENCE * 2).contains(&began.elapsed()));
    assert_eq!(rest(&mut origin).await, &CLIENT[..SECOND]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_back_for_ever() {
    let (client, mut origin, relay) = tunnel(&CLIENT[FIRST..]);
    assert_eq!(refused(relay).await, "timeout");
    assert_eq!(rest(&mut origin).await, &CLIENT[..SECOND]);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_waits_has_all_the_time_there_is() {
    let (client, mut origin, relay) = tunnel(b"");
    let began = Instant::now();
    assert!(matches!(relay.await.unwrap().end, End::Idle));
    assert!(began.elapsed() >= HOUR);
    assert_eq!(rest(&mut origin).await, &CLIENT[..FIRST]);
    drop(client);
}

#[tokio::test]
async fn a_client_may_leave_before_its_second_hello_but_not_in_it() {
    for (sent, word) in [(SECOND, None), (SECOND + 40, Some("cut-short"))] {
        let (mut client, mut origin, relay) = tunnel(b"");
        origin.write_all(RETRY).await.unwrap();
        expect(&mut client, RETRY).await;
        client.write_all(&CLIENT[FIRST..sent]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut origin).await, &CLIENT[..SECOND]);
        drop(origin);
        match (relay.await.unwrap().end, word) {
            (End::SecondHello(found), Some(word)) => assert_eq!(found, word),
            (End::Closed(Side::Client), None) => {}
            end => panic!("{end:?}"),
        }
    }
}

/// Early data is as long as it likes, and passes through a buffer that is shorter.
#[tokio::test]
async fn early_data_passes_before_the_server_has_answered() {
    let data: Vec<u8> = [&[23, 3, 3, 0x40, 0][..], &[7; 16384]].concat().repeat(9);
    let (mut client, mut origin, relay) = tunnel(&data[..100]);
    let (rest, whole) = (data[100..].to_vec(), [&CLIENT[..FIRST], &data].concat());
    let sender = tokio::spawn(async move {
        client.write_all(&rest).await.unwrap();
        client
    });
    expect(&mut origin, &whole).await;
    let client = sender.await.unwrap();
    drop((client, origin));
    assert_eq!(relay.await.unwrap().up, whole.len() as u64);
}

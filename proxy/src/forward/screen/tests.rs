use pingora::protocols::l4::stream::Stream as L4Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A client that sent `sent` behind its head, of which `kept` was read with it; and the screen.
#[expect(clippy::disallowed_methods, reason = "the test is the client")]
async fn screened(framing: Framing, kept: &str, sent: &str) -> (TcpStream, Screen, Switched) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let switched = Switched::default();
    let stream = Box::new(L4Stream::from(stream));
    let screen = Screen::new(stream, kept.into(), framing, switched.clone());
    (client, screen, switched)
}

/// What the engine gets to read until the client ends its side.
async fn read(screen: &mut Screen) -> io::Result<String> {
    let mut text = String::new();
    screen.read_to_string(&mut text).await.map(|_| text)
}

const CHUNKS: &str = "3\r\nabc\r\n0\r\n\r\n";

#[tokio::test]
async fn the_engine_reads_the_body_and_the_next_request_is_kept() {
    let chunks_and_more = format!("{CHUNKS}GET next");
    for (framing, kept, sent, body) in [
        (Framing::None, "", "GET next", ""),
        (Framing::None, "GET ", "next", ""),
        (Framing::Length(3), "abc", "GET next", "abc"),
        (Framing::Length(3), "", "abcGET next", "abc"),
        (Framing::Length(3), "abcGET ", "next", "abc"),
        (Framing::Length(3), "a", "bcGET next", "abc"),
        (Framing::Chunked, "", &chunks_and_more, CHUNKS),
        (Framing::Chunked, &chunks_and_more, "", CHUNKS),
        (
            Framing::Chunked,
            "3\r\na",
            "bc\r\n0\r\n\r\nGET next",
            CHUNKS,
        ),
    ] {
        let case = format!("{framing:?} {kept:?} {sent:?}");
        let (client, mut screen, _) = screened(framing, kept, sent).await;
        drop(client);
        assert_eq!(read(&mut screen).await.unwrap(), body, "{case}");
        let (_, rest) = screen.into_parts().expect(&case);
        assert_eq!(rest, "GET next", "{case}");
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_an_error_that_says_so() {
    for (kept, sent) in [("0x3\r\n", ""), ("", "0x3\r\n"), ("3\r\nabc", "d")] {
        let (client, mut screen, _) = screened(Framing::Chunked, kept, sent).await;
        drop(client);
        let error = read(&mut screen).await.unwrap_err();
        let inner = error.get_ref().expect("our own error");
        assert!(inner.is::<octroi_wire::BodyError>(), "{kept:?} {sent:?}");
        assert!(screen.into_parts().is_none());
    }
}

#[tokio::test]
async fn a_connection_whose_body_was_not_read_is_not_used_again() {
    let (client, mut screen, _) = screened(Framing::Length(9), "abc", "def").await;
    drop(client);
    assert_eq!(read(&mut screen).await.unwrap(), "abcdef");
    assert!(screen.into_parts().is_none());
}

#[tokio::test]
async fn after_a_switch_everything_goes_through() {
    let (client, mut screen, switched) = screened(Framing::None, "early ", "and late").await;
    drop(client);
    switched.now();
    assert_eq!(read(&mut screen).await.unwrap(), "early and late");
}

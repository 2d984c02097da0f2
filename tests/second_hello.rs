//! A server that asks for another ClientHello gets one that says the same, or none.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::harness::client::Wire;
use crate::harness::eventually;
use crate::harness::hello::{ACCESS_DENIED, Hello, ech, record};
use crate::harness::ledger::{Became, field};
use crate::harness::origin::{Origin, RETRY, retries};
use crate::harness::tools::{finish, tool};
use crate::harness::world::World;

const TARGET: &str = "allowed.example";

/// A tunnel to that server, past its answer to the first hello.
fn asked_again(world: &World, first: &Hello) -> (Origin, Wire) {
    let origin = world.origin(TARGET, 10, 443, retries());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(first.bytes());
    let mut heard = vec![0; RETRY.len()];
    std::io::Read::read_exact(&mut wire.stream, &mut heard).unwrap();
    assert_eq!(heard, RETRY);
    (origin, wire)
}

/// The flow was permitted by its first hello and ended by its second, once, for this.
fn assert_ended(world: &World, detail: &str) {
    let line = world.recorded(TARGET, "culture", Became::Allowed);
    assert_eq!(line.text(field::SNI_OUTCOME), "match");
    let close = world.gate.close_of(&line);
    assert_eq!(close.text(field::REASON), "second-hello", "{close:?}");
    assert_eq!(close.text("octroi.detail"), detail, "{close:?}");
    assert_eq!(close.text("octroi.closed_by"), "gate");
    let metrics = world.gate.metrics();
    let refused = metrics.total(
        "octroi_second_hellos_refused_total",
        &[("ministry", "culture")],
    );
    let attempts = metrics.total("octroi_attempts_total", &[]);
    assert_eq!((refused, attempts), (1, 1));
}

/// No byte of such a second hello reaches the server, and its client is told. What else it may say wrong, and how it
/// may come, is in `evasion/retries.rs`.
#[test]
fn a_second_hello_with_another_name_reaches_nobody() {
    let world = World::new();
    let first = Hello::named(TARGET);
    let (origin, mut wire) = asked_again(&world, &first);
    wire.send(record(20, &[1]));
    wire.send(Hello::named("www.drop.example").bytes());
    assert_eq!(wire.rest(), ACCESS_DENIED);
    assert_ended(&world, "other-name");
    eventually("the origin is let go", || {
        (origin.open() == 0).then_some(())
    });
    assert_eq!(origin.bytes(), [first.bytes(), record(20, &[1])].concat());
}

#[test]
fn a_second_hello_that_says_the_same_goes_on_and_so_does_all_behind_it() {
    let world = World::new();
    let first = Hello::named(TARGET).with(ech());
    let (origin, mut wire) = asked_again(&world, &first);
    let second = first.clone().with((44, vec![0, 1, 9])).bytes();
    let behind = [&record(20, &[1])[..], &second, b"whatever comes then"].concat();
    wire.trickle(&behind);
    wire.finish();
    wire.rest();
    assert_eq!(origin.bytes(), [first.bytes(), behind].concat());
    let line = world.recorded(TARGET, "culture", Became::Allowed);
    let close = world.gate.close_of(&line);
    assert_eq!(close.text(field::REASON), "finished", "{close:?}");
}

/// `openssl s_server` with one group, on the address of a name.
struct Server(Child);

impl Server {
    fn start(world: &World, at: Ipv4Addr, group: &str) -> Self {
        let pair = world.pki.issue(&[TARGET]);
        let mut command = tool("openssl");
        command.args(["s_server", "-accept", &format!("{at}:443"), "-www"]);
        command.args(["-groups", group]);
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        command.args(["-cert", &path(&pair.certificate), "-key", &path(&pair.key)]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let server = Self(command.stderr(Stdio::null()).spawn().unwrap());
        eventually("openssl s_server listens", || {
            std::net::TcpStream::connect((at, 443)).ok()
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// OpenSSL on both ends: the client's only key share is of a group that the server does not have.
#[test]
fn openssl_asks_openssl_for_another_hello_and_gets_it() {
    let world = World::new();
    let at = world.block.ip(10);
    world.dns.v4(TARGET, at);
    let _server = Server::start(&world, at, "P-521");
    let (gate, from) = (
        world.gate.address().to_string(),
        world.block.ordinary().to_string(),
    );
    let mut command = tool("openssl");
    command.args(["s_client", "-proxy", &gate, "-bind", &from, "-msg"]);
    command.args(["-connect", "allowed.example:443", "-servername", TARGET]);
    command.args(["-groups", "X25519:P-521"]);
    let (_, said) = finish(&mut command);
    let hellos = said.matches("ClientHello").count();
    assert_eq!(hellos, 2, "no second hello: {said}");
    assert!(said.contains("Server Temp Key: ECDH, secp521r1"), "{said}");
    let line = world.recorded(TARGET, "culture", Became::Allowed);
    let close = world.gate.close_of(&line);
    assert_ne!(close.text(field::REASON), "second-hello", "{close:?}");
}

/// The same server, and a client that writes its second hello itself.
#[test]
fn openssl_never_sees_the_other_name_it_asked_for() {
    let world = World::new();
    let at = world.block.ip(10);
    world.dns.v4(TARGET, at);
    let _server = Server::start(&world, at, "P-521");
    let first: &[u8] = include_bytes!("../proxy/wire/tests/fixtures/openssl-tls13.bin");
    let named = |name: &str| replaced(first, b"example.org", name.as_bytes());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.stream.write_all(&named(TARGET)).unwrap();
    wire.stream.write_all(&named("outlook.example")).unwrap();
    let heard = wire.rest();
    let random = &RETRY[11..43];
    assert_eq!(&heard[11..43], random, "{heard:?}");
    assert!(heard.ends_with(&ACCESS_DENIED), "{heard:?}");
    assert_eq!(heard.len(), RETRY.len() + ACCESS_DENIED.len());
    assert_ended(&world, "other-name");
}

/// A recorded hello with another server name, its lengths made to fit.
fn replaced(hello: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = hello
        .windows(old.len())
        .position(|part| part == old)
        .unwrap();
    let mut made = [&hello[..at], new, &hello[at + old.len()..]].concat();
    let more = u16::try_from(new.len() - old.len()).unwrap();
    let suites = 44 + usize::from(hello[43]);
    let suites_length = usize::from(u16::from_be_bytes([hello[suites], hello[suites + 1]]));
    let extensions = suites + 2 + suites_length + 2;
    for length in [3, 7, extensions, at - 7, at - 5, at - 2] {
        let grown = u16::from_be_bytes([made[length], made[length + 1]]) + more;
        made[length..length + 2].copy_from_slice(&grown.to_be_bytes());
    }
    made
}

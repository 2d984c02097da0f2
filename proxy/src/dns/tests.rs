mod server;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, AAAA};
use server::{Reply, Server};

use super::*;
use crate::config;

const NAME: &str = "www.example";

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn resolver(servers: &[&Server]) -> Resolver {
    let addresses = servers.iter().map(|server| server.address).collect();
    with_ttl(addresses, Ttl::default())
}

fn with_ttl(addresses: Vec<std::net::SocketAddr>, ttl: Ttl) -> Resolver {
    let dns = Dns {
        servers: config::Servers::Listed(addresses),
        timeout: Duration::from_millis(300),
        cache: 1000,
    };
    Resolver::with_ttl(&dns, ttl).unwrap()
}

async fn resolved(resolver: &Resolver, text: &str) -> (Vec<String>, Vec<String>) {
    let resolution = resolver.resolve(&name(text)).await.unwrap();
    let chain = resolution
        .chain
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    (
        chain,
        resolution
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
    )
}

async fn error(resolver: &Resolver, text: &str) -> DnsError {
    resolver.resolve(&name(text)).await.unwrap_err()
}

/// One server with one answer each for A and AAAA of `www.example`.
async fn server(a: Reply, aaaa: Reply) -> Server {
    let server = Server::start().await;
    server.say(NAME, A, a).say(NAME, AAAA, aaaa);
    server
}

fn records(records: &[(&'static str, u32, &'static str)]) -> Reply {
    Reply::Records(records.to_vec())
}

#[tokio::test]
async fn both_families_are_found_and_taken_in_turn() {
    let server = server(
        records(&[
            (NAME, 60, "192.0.2.1"),
            (NAME, 60, "192.0.2.2"),
            (NAME, 60, "192.0.2.3"),
        ]),
        records(&[(NAME, 60, "2001:db8::1"), (NAME, 60, "2001:db8::2")]),
    )
    .await;
    let (chain, addresses) = resolved(&resolver(&[&server]), NAME).await;
    assert!(chain.is_empty());
    assert_eq!(
        addresses,
        [
            "2001:db8::1",
            "192.0.2.1",
            "2001:db8::2",
            "192.0.2.2",
            "192.0.2.3"
        ]
    );
}

#[tokio::test]
async fn every_hop_of_a_chain_is_kept() {
    let chain = [
        (NAME, 60, "a.cdn.example"),
        ("a.cdn.example", 60, "b.cdn.example"),
        ("b.cdn.example", 60, "c.cdn.example"),
        ("c.cdn.example", 60, "192.0.2.1"),
    ];
    let server = server(records(&chain), Reply::NoData(60)).await;
    let (chain, addresses) = resolved(&resolver(&[&server]), NAME).await;
    assert_eq!(chain, ["a.cdn.example", "b.cdn.example", "c.cdn.example"]);
    assert_eq!(addresses, ["192.0.2.1"]);
}

#[tokio::test]
async fn a_chain_cut_between_answers_is_followed() {
    let server = server(records(&[(NAME, 60, "a.cdn.example")]), Reply::NoData(60)).await;
    server.say(
        "a.cdn.example",
        A,
        records(&[("a.cdn.example", 60, "b.cdn.example")]),
    );
    server.say(
        "b.cdn.example",
        A,
        records(&[("b.cdn.example", 60, "192.0.2.1")]),
    );
    let (chain, addresses) = resolved(&resolver(&[&server]), NAME).await;
    assert_eq!(chain, ["a.cdn.example", "b.cdn.example"]);
    assert_eq!(addresses, ["192.0.2.1"]);
}

#[tokio::test]
async fn loops_are_refused_within_an_answer_and_across_answers() {
    let within = records(&[(NAME, 60, "a.example"), ("a.example", 60, NAME)]);
    let server = server(within.clone(), within).await;
    for kind in [A, AAAA] {
        server.say(
            "x.example",
            kind,
            records(&[("x.example", 60, "y.example")]),
        );
        server.say(
            "y.example",
            kind,
            records(&[("y.example", 60, "x.example")]),
        );
    }
    let resolver = resolver(&[&server]);
    for looping in [NAME, "x.example"] {
        assert_eq!(
            error(&resolver, looping).await.reason(),
            "dns-alias-loop",
            "{looping}"
        );
    }
}

#[tokio::test]
async fn a_chain_without_end_is_refused() {
    let server = Server::start().await;
    let names: Vec<&'static str> = (0..40).map(|n| &*format!("n{n}.example").leak()).collect();
    for pair in names.windows(2) {
        for kind in [A, AAAA] {
            server.say(pair[0], kind, records(&[(pair[0], 60, pair[1])]));
        }
    }
    let resolver = resolver(&[&server]);
    assert_eq!(
        error(&resolver, "n0.example").await.reason(),
        "dns-too-many-hops"
    );
    assert!(server.asked("n20.example", A) == 0);
}

#[tokio::test]
async fn a_truncated_answer_is_asked_again_over_tcp() {
    let server = server(
        Reply::Truncated(vec![(NAME, 60, "192.0.2.1")]),
        Reply::NoData(60),
    )
    .await;
    let (_, addresses) = resolved(&resolver(&[&server]), NAME).await;
    assert_eq!(addresses, ["192.0.2.1"]);
    assert_eq!(server.asked_over("tcp"), 1);
}

#[tokio::test]
async fn a_server_that_is_silent_or_fails_is_passed_over_and_then_spared() {
    for first in [
        Reply::Silence,
        Reply::Code(ResponseCode::ServFail),
        Reply::Code(ResponseCode::Refused),
    ] {
        let bad = server(first.clone(), first.clone()).await;
        let good = server(records(&[(NAME, 60, "192.0.2.1")]), Reply::NoData(60)).await;
        good.say(
            "other.example",
            A,
            records(&[("other.example", 60, "192.0.2.2")]),
        );
        let resolver = resolver(&[&bad, &good]);
        assert_eq!(
            resolved(&resolver, NAME).await.1,
            ["192.0.2.1"],
            "{first:?}"
        );
        let before = bad.asked_over("udp");
        assert_eq!(resolved(&resolver, "other.example").await.1, ["192.0.2.2"]);
        assert_eq!(bad.asked_over("udp"), before, "{first:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_over() {
    let good = server(records(&[(NAME, 60, "192.0.2.1")]), Reply::NoData(60)).await;
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let resolver = with_ttl(vec![gone, good.address], Ttl::default());
    assert_eq!(resolved(&resolver, NAME).await.1, ["192.0.2.1"]);
}

#[tokio::test]
async fn each_failure_has_its_own_word() {
    let no_data = || Reply::NoData(60);
    let code = |code| Reply::Code(code);
    for (a, aaaa, reason) in [
        (
            code(ResponseCode::NXDomain),
            code(ResponseCode::NXDomain),
            "dns-nxdomain",
        ),
        (no_data(), no_data(), "dns-no-data"),
        (records(&[]), records(&[]), "dns-no-data"),
        (
            records(&[(NAME, 60, "a.example")]),
            no_data(),
            "dns-nxdomain",
        ),
        (
            code(ResponseCode::ServFail),
            code(ResponseCode::ServFail),
            "dns-servfail",
        ),
        (
            code(ResponseCode::Refused),
            code(ResponseCode::Refused),
            "dns-refused",
        ),
        (Reply::Silence, Reply::Silence, "dns-timeout"),
        (Reply::Garbage, Reply::Garbage, "dns-timeout"),
        (Reply::Silence, no_data(), "dns-timeout"),
        (
            records(&[(NAME, 60, "a.example"), (NAME, 60, "b.example")]),
            no_data(),
            "dns-contradiction",
        ),
        (
            records(&[(NAME, 60, "a.example"), (NAME, 60, "192.0.2.1")]),
            no_data(),
            "dns-contradiction",
        ),
        (
            records(&[("elsewhere.example", 60, "192.0.2.1")]),
            no_data(),
            "dns-no-data",
        ),
    ] {
        let shown = format!("{a:?} {aaaa:?}");
        let server = server(a, aaaa).await;
        assert_eq!(
            error(&resolver(&[&server]), NAME).await.reason(),
            reason,
            "{shown}"
        );
    }
}

#[tokio::test]
async fn one_half_that_fails_does_not_lose_the_other() {
    let good = || records(&[(NAME, 3600, "a.example"), ("a.example", 3600, "192.0.2.1")]);
    for bad in [
        Reply::Silence,
        Reply::Code(ResponseCode::ServFail),
        Reply::Code(ResponseCode::NXDomain),
    ] {
        let server = server(good(), bad.clone()).await;
        let resolver = resolver(&[&server]);
        let found = resolver.resolve(&name(NAME)).await.unwrap();
        assert_eq!(found.addresses.len(), 1, "{bad:?}");
        assert_eq!(found.chain, [name("a.example")]);
        assert!(found.expires <= Instant::now() + Ttl::PARTIAL, "{bad:?}");
    }
}

#[tokio::test]
async fn many_callers_ask_once_and_the_answer_is_remembered() {
    let server = server(records(&[(NAME, 60, "192.0.2.1")]), Reply::NoData(60)).await;
    let resolver = resolver(&[&server]);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.resolve_from(&name(NAME)).await })
        })
        .collect();
    let mut asked = 0;
    for caller in callers {
        let (result, from) = caller.await.unwrap();
        assert_eq!(result.unwrap().addresses.len(), 1);
        asked += usize::from(from == AnswerFrom::Servers);
    }
    assert_eq!(asked, 1);
    assert_eq!(
        resolver.resolve_from(&name(NAME)).await.1,
        AnswerFrom::Cache
    );
    assert_eq!((server.asked(NAME, A), server.asked(NAME, AAAA)), (1, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_hold_up_the_next() {
    let silent = server(Reply::Silence, Reply::Silence).await;
    let resolver = resolver(&[&silent]);
    let first = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolver.resolve(&name(NAME)).await }
    });
    while silent.asked(NAME, A) == 0 {
        tokio::task::yield_now().await;
    }
    silent
        .say(NAME, A, records(&[(NAME, 60, "192.0.2.1")]))
        .say(NAME, AAAA, Reply::NoData(60));
    first.abort();
    assert_eq!(resolved(&resolver, NAME).await.1, ["192.0.2.1"]);
}

#[tokio::test]
async fn what_has_expired_is_asked_for_again() {
    let ttl = Ttl {
        floor: Duration::ZERO,
        ..Ttl::default()
    };
    let server = server(records(&[(NAME, 0, "192.0.2.1")]), Reply::NoData(0)).await;
    let resolver = with_ttl(vec![server.address], ttl);
    for asked in 1..=3 {
        assert_eq!(resolved(&resolver, NAME).await.1, ["192.0.2.1"]);
        assert_eq!(server.asked(NAME, A), asked);
    }
    server.say(NAME, A, records(&[(NAME, 0, "192.0.2.9")]));
    assert_eq!(resolved(&resolver, NAME).await.1, ["192.0.2.9"]);
}

#[tokio::test]
async fn failures_and_absences_are_remembered_for_a_while() {
    let server = server(Reply::NoData(60), Reply::NoData(60)).await;
    let resolver = resolver(&[&server]);
    for _ in 0..3 {
        assert_eq!(error(&resolver, NAME).await, DnsError::NoData);
    }
    assert_eq!(server.asked(NAME, A), 1);
}

#[test]
fn times_to_live_have_a_floor_and_a_ceiling() {
    let ttl = Ttl::default();
    let seconds = Duration::from_secs;
    for (stated, whole, held) in [
        (Some(0), true, Ttl::FLOOR),
        (Some(60), true, seconds(60)),
        (Some(u32::MAX), true, Ttl::CEILING),
        (None, true, Ttl::CEILING),
        (Some(3600), false, Ttl::PARTIAL),
        (Some(1), false, Ttl::FLOOR),
    ] {
        assert_eq!(ttl.positive(stated, whole), held, "{stated:?} {whole}");
    }
    for (stated, held) in [
        (None, Ttl::FLOOR),
        (Some(0), Ttl::FLOOR),
        (Some(30), seconds(30)),
        (Some(86_400), Ttl::NEGATIVE),
    ] {
        assert_eq!(ttl.negative(stated), held, "{stated:?}");
    }
}

#[tokio::test]
async fn special_names_are_asked_of_nobody() {
    let server = Server::start().await;
    let resolver = resolver(&[&server]);
    for local in ["localhost", "a.localhost"] {
        assert_eq!(resolved(&resolver, local).await.1, ["::1", "127.0.0.1"]);
    }
    for none in ["hidden.onion", "x.invalid"] {
        assert_eq!(error(&resolver, none).await, DnsError::NxDomain);
    }
    assert_eq!(server.asked_over("udp"), 0);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let server = Server::start().await;
    let dns = Dns {
        servers: config::Servers::Listed(vec![server.address]),
        timeout: Duration::from_secs(1),
        cache: 100,
    };
    let resolver = Resolver::new(&dns).unwrap();
    for n in 0..500 {
        assert_eq!(
            error(&resolver, &format!("n{n}.example")).await,
            DnsError::NxDomain
        );
    }
    assert!(
        resolver.shared.cache.len() <= 100,
        "{}",
        resolver.shared.cache.len()
    );
}

use std::net::Ipv4Addr;

use octroi_policy::name::DomainName;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn refusal(name: &str, second: i64) -> Kept {
    Kept {
        at: at(second),
        times: 1,
        incident: FlowId::draw(),
        target: Host::Name(DomainName::parse(name).unwrap()),
        port: 443,
        ground: Some(Ground::Port(443)),
        rules: Box::default(),
        services: Box::default(),
        because: None,
    }
}

fn source(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn names(kept: &[Kept]) -> Vec<String> {
    kept.iter().map(|kept| kept.target.to_string()).collect()
}

#[test]
fn a_source_sees_its_own_refusals_the_last_one_first() {
    let refusals = Refusals::default();
    refusals.keep(source(1), refusal("a.example", 0));
    refusals.keep(source(2), refusal("b.example", 1));
    refusals.keep(source(1), refusal("c.example", 2));
    let seen = |number| names(&refusals.of(source(number), at(3)));
    assert_eq!(seen(1), ["c.example", "a.example"]);
    assert_eq!(seen(2), ["b.example"]);
    assert!(seen(3).is_empty());
}

#[test]
fn an_ipv4_client_is_the_same_in_both_spellings() {
    let refusals = Refusals::default();
    refusals.keep("::ffff:192.0.2.1".parse().unwrap(), refusal("a.example", 0));
    for spelling in ["192.0.2.1", "::ffff:192.0.2.1"] {
        let seen = refusals.of(spelling.parse().unwrap(), at(0));
        assert_eq!(seen.len(), 1, "{spelling}");
    }
}

#[test]
fn what_is_tried_again_and_again_is_one_refusal_with_its_last_number() {
    let refusals = Refusals::default();
    refusals.keep(source(1), refusal("a.example", 0));
    refusals.keep(source(1), refusal("b.example", 1));
    let last = refusal("a.example", 2);
    refusals.keep(source(1), last.clone());
    let seen = refusals.of(source(1), at(2));
    assert_eq!(names(&seen), ["a.example", "b.example"]);
    assert_eq!((seen[0].times, seen[1].times), (2, 1));
    assert_eq!((seen[0].incident, seen[0].at), (last.incident, last.at));
    let other_port = Kept {
        port: 80,
        ..refusal("a.example", 3)
    };
    refusals.keep(source(1), other_port);
    assert_eq!(refusals.of(source(1), at(3)).len(), 3);
}

#[test]
fn one_source_has_so_many_and_loses_the_oldest() {
    let refusals = Refusals::default();
    for number in 0..100 {
        refusals.keep(source(1), refusal(&format!("n{number}.example"), number));
    }
    let seen = names(&refusals.of(source(1), at(100)));
    assert_eq!(seen.len(), PER_SOURCE);
    assert_eq!((&*seen[0], &*seen[19]), ("n99.example", "n80.example"));
    assert_eq!(refusals.table().held, PER_SOURCE);
}

#[test]
fn everything_is_forgotten_after_a_day() {
    let refusals = Refusals::default();
    let day = KEPT_FOR.as_secs() as i64;
    refusals.keep(source(1), refusal("a.example", 0));
    refusals.keep(source(2), refusal("b.example", 10));
    refusals.keep(source(1), refusal("c.example", 20));
    assert_eq!(refusals.of(source(1), at(day)).len(), 2);
    assert_eq!(names(&refusals.of(source(1), at(day + 1))), ["c.example"]);
    assert_eq!(refusals.of(source(1), at(day + 15)).len(), 1);
    let table = refusals.table();
    assert!(
        !table.sources.contains_key(&source(2)),
        "dropped, not only hidden"
    );
    drop(table);
    assert!(refusals.of(source(1), at(day + 21)).is_empty());
    let table = refusals.table();
    assert_eq!(
        (table.sources.len(), table.order.len(), table.held),
        (0, 0, 0)
    );
}

#[test]
fn a_clock_that_jumps_back_forgets_nothing() {
    let refusals = Refusals::default();
    refusals.keep(source(1), refusal("a.example", 1_000_000));
    assert_eq!(refusals.of(source(1), at(0)).len(), 1);
}

#[test]
fn sources_and_refusals_are_bounded_and_the_one_refused_longest_ago_goes_first() {
    let refusals = Refusals::default();
    let most = u32::try_from(SOURCES).unwrap();
    for number in 0..most + 10 {
        refusals.keep(source(number), refusal("a.example", 0));
        // Source 0 is refused again and again, and stays.
        refusals.keep(source(0), refusal("a.example", 0));
    }
    let held = |number| !refusals.of(source(number), at(0)).is_empty();
    assert_eq!(refusals.table().sources.len(), SOURCES);
    assert!(held(0) && !held(1) && !held(10) && held(11) && held(most + 9));

    let each = u32::try_from(PER_SOURCE).unwrap();
    for number in 0..most / 4 {
        for name in 0..each {
            refusals.keep(source(number), refusal(&format!("n{name}.example"), 0));
        }
    }
    let table = refusals.table();
    assert!(table.held <= IN_ALL, "{}", table.held);
    let counted: usize = table.sources.values().map(|s| s.kept.len()).sum();
    assert_eq!(table.held, counted);
    assert_eq!(table.sources.len(), table.order.len());
}

#[test]
fn a_refusal_is_small() {
    assert!(size_of::<Kept>() <= 160, "{}", size_of::<Kept>());
}

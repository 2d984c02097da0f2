use std::cell::RefCell;

use octroi_policy::flow::{Hello, Protocol, Source};
use octroi_policy::name::Host;

use super::*;

fn evidence(name: &str) -> Evidence {
    Evidence {
        source: Source::from_address("192.0.2.1".parse().unwrap()),
        protocol: Protocol::Connect,
        target: Host::parse(name).unwrap(),
        port: 443,
        original: None,
        host: None,
        hello: Some(Hello::Absent),
        resolution: None,
    }
}

fn revocation() -> Revocation {
    Revocation {
        ground: "deny",
        rule: Some("no-drop".into()),
        policy: "test".into(),
        digest: "d1ge57".into(),
    }
}

fn permits(_: &Evidence) -> Option<Revocation> {
    None
}

/// A judge that denies one name.
fn denies(name: &str) -> impl Fn(&Evidence) -> Option<Revocation> {
    let name = Host::parse(name).unwrap();
    move |evidence| (evidence.target == name).then(revocation)
}

fn enter(tunnels: &Arc<Tunnels>, name: &str) -> Member {
    tunnels.enter(evidence(name), tunnels.round(), |_| {
        panic!("nothing changed, so nothing is judged again")
    })
}

#[tokio::test]
async fn those_denied_are_told_once_and_the_others_are_not() {
    let tunnels = Arc::default();
    let drop_box = enter(&tunnels, "drop.example");
    let steady: Vec<_> = (0..40).map(|_| enter(&tunnels, "steady.example")).collect();
    let tally = tunnels.judge_all(|| denies("drop.example"));
    assert_eq!((tally.judged, tally.revoked), (41, 1));
    drop_box.revoked().await;
    assert_eq!(drop_box.revocation(), Some(&revocation()));
    assert!(steady.iter().all(|member| member.revocation().is_none()));
    let tally = tunnels.judge_all(|| denies("drop.example"));
    assert_eq!((tally.judged, tally.revoked), (41, 0), "told already");
}

#[test]
fn a_tunnel_that_ended_is_judged_no_more() {
    let tunnels = Arc::default();
    let ended = enter(&tunnels, "drop.example");
    let open = enter(&tunnels, "steady.example");
    drop(ended);
    assert_eq!(tunnels.open(), 1);
    let tally = tunnels.judge_all(|| denies("drop.example"));
    assert_eq!((tally.judged, tally.revoked), (1, 0));
    drop(open);
    assert_eq!(tunnels.open(), 0);
}

/// Judged by the old policy, taken in after the round that followed the swap: nobody else would look.
#[tokio::test]
async fn a_tunnel_that_a_round_may_have_missed_is_judged_as_it_enters() {
    let tunnels: Arc<Tunnels> = Arc::default();
    let judged_in = tunnels.round();
    tunnels.judge_all(|| permits);
    let late = tunnels.enter(evidence("drop.example"), judged_in, denies("drop.example"));
    late.revoked().await;
    let late = tunnels.enter(
        evidence("steady.example"),
        judged_in,
        denies("drop.example"),
    );
    assert!(late.revocation().is_none());
}

/// The round is announced before its policy is taken, so that an entrant either is found or knows.
#[test]
fn a_round_has_begun_when_its_policy_is_taken() {
    let tunnels: Arc<Tunnels> = Arc::default();
    let before = tunnels.round();
    tunnels.judge_all(|| {
        assert_ne!(tunnels.round(), before);
        permits
    });
}

/// Judging holds no lock: tunnels open and close meanwhile.
#[test]
fn tunnels_open_and_close_while_others_are_judged() {
    let tunnels: Arc<Tunnels> = Arc::default();
    let open: Vec<_> = (0..SHARDS * 3)
        .map(|_| enter(&tunnels, "a.example"))
        .collect();
    let open = RefCell::new(open);
    tunnels.judge_all(|| {
        |_: &Evidence| {
            open.borrow_mut().pop();
            open.borrow_mut().push(enter(&tunnels, "b.example"));
            None
        }
    });
    assert_eq!(tunnels.open(), open.borrow().len());
}

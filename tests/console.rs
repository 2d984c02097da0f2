//! The console in a real browser, on a real gate, under real traffic.

mod access;
mod everybody;
mod hostile;
mod live;
mod views;
mod why;

use std::net::Ipv4Addr;

use crate::harness::origin::echo;
use crate::harness::tools::{finish, tool};
use crate::harness::world::{Plan, World, repository};

/// The address of a place of the console.
fn at(world: &World, place: &str) -> String {
    format!("http://{}/{place}", world.gate.admin())
}

/// The suite's own gate, with an ordinary origin, a watched one, and a name that is an alias into a prohibited service.
fn world() -> World {
    furnished(Plan::new())
}

fn furnished(plan: Plan) -> World {
    let world = plan.start();
    world
        .dns
        .alias("mail.vendor.example", "contoso.mail.protection.outlook.com");
    let dns = &world.dns;
    dns.v4("contoso.mail.protection.outlook.com", world.block.ip(11));
    dns.v4("outlook.office.com", world.block.ip(12));
    dns.v4("news.example", world.block.ip(13));
    world
}

/// Asks for a tunnel; what the gate answers.
fn tries(world: &World, from: Ipv4Addr, target: &str) -> u16 {
    world.wire(from).connect(target).status
}

/// Origins that answer, for as long as they are held.
fn origins(world: &World) -> [crate::harness::origin::Origin; 2] {
    [
        world.origin("outlook.office.com", 12, 443, echo()),
        world.origin("news.example", 13, 443, echo()),
    ]
}

#[test]
fn every_word_is_there_in_both_languages() {
    let mut command = tool("node");
    command
        .arg("words.mjs")
        .current_dir(repository().join("tests/browser"));
    let (code, said) = finish(&mut command);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("words in each of 2 languages"), "{said}");
}

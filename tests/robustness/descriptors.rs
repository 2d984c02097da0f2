//! A gate, and a machine, without descriptors.

use super::*;

/// Seconds of processor time that the gate has used.
fn processor_time(world: &World) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.gate.pid())).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ, the same on every Linux we know.
    ticks / 100.0
}

fn allow_descriptors(world: &World, most: &str) {
    let mut command = tool("prlimit");
    command.args(["--pid", &world.gate.pid().to_string()]);
    let (code, said) = finish(command.arg(format!("--nofile={most}:")));
    assert_eq!(code, Some(0), "{said}");
}

/// Not one descriptor is left: open tunnels go on, nothing spins, and who waited is served when
/// there are some again.
#[test]
fn a_gate_without_descriptors_stands_and_accepts_again() {
    let mut world = Plan::new().alone().start();
    with_steady(&world);
    let mut open = tunnel(world.ordinary());
    allow_descriptors(&world, "10");
    let mut waiting: Vec<_> = (0..20).map(|_| world.ordinary()).collect();
    let (began, used) = (Instant::now(), processor_time(&world));
    eventually("three seconds pass", || {
        assert_lives(&mut open);
        (began.elapsed() > Duration::from_secs(3)).then_some(())
    });
    let used = processor_time(&world) - used;
    eprintln!("{used:.2} s of processor time in 3 s without descriptors");
    assert!(used < 1.5, "{used} s: it spins");
    assert!(world.gate.is_running());
    let said = world.gate.log().matches("Accept() failed").count();
    assert_eq!(said, 1, "one line in ten seconds");
    allow_descriptors(&world, "1024");
    let reason = [("reason", "descriptors")];
    world.gate.counted("octroi_accept_errors_total", &reason, 3);
    for wire in &mut waiting {
        assert_eq!(wire.connect("nowhere.example:443").status, 502);
    }
    assert_eq!(world.gate.ask("GET", "/-/healthy").status, 200);
    assert_lives(&mut open);
}

/// Stands before the kernel's `accept4`: while the file that it is told of is there, the machine has no descriptors.
const NO_FILES_LEFT: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    if (access(getenv("NO_FILES_LEFT"), F_OK) == 0) {
        errno = ENFILE;
        return -1;
    }
    return syscall(SYS_accept4, fd, address, length, flags);
}
"#;

/// The whole machine has no descriptors left, for which the engine under the gate does not wait: nothing spins, one
/// line tells of it, and who waited is served afterwards.
#[test]
fn a_machine_without_descriptors_is_waited_for() {
    let plan = Plan::new().alone();
    let (source, library) = (plan.path("accept.c"), plan.path("accept.so"));
    std::fs::write(&source, NO_FILES_LEFT).unwrap();
    let mut command = tool("cc");
    command
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    let (code, said) = finish(&mut command);
    assert_eq!(code, Some(0), "{said}");
    let none_left = plan.path("none-left");
    let plan = plan
        .environment("LD_PRELOAD", library.display().to_string())
        .environment("NO_FILES_LEFT", none_left.display().to_string());
    let world = plan.start();
    with_steady(&world);
    let mut open = tunnel(world.ordinary());
    std::fs::write(&none_left, "").unwrap();
    let mut waiting: Vec<_> = (0..20).map(|_| world.ordinary()).collect();
    let (began, used) = (Instant::now(), processor_time(&world));
    eventually("two seconds pass", || {
        assert_lives(&mut open);
        (began.elapsed() > Duration::from_secs(2)).then_some(())
    });
    let used = processor_time(&world) - used;
    eprintln!("{used:.2} s of processor time in 2 s without descriptors");
    assert!(used < 1.0, "{used} s: it spins");
    assert_eq!(world.gate.log().matches("Accept() failed").count(), 1);
    std::fs::remove_file(&none_left).unwrap();
    for wire in &mut waiting {
        assert_eq!(wire.connect("nowhere.example:443").status, 502);
    }
    let reason = [("reason", "system-descriptors")];
    world
        .gate
        .counted("octroi_accept_errors_total", &reason, 10);
    assert_lives(&mut open);
}

/// More connections than descriptors carry, and a configuration that asks for them: the gate can
/// be asked how it is all the while, and serves whoever says what it wants.
#[test]
fn a_flood_of_connections_leaves_the_administrator_a_descriptor() {
    let plan = Plan::new().descriptors(600);
    let plan = plan.set("limits", "connections: 5000");
    let world = plan.start();
    with_steady(&world);
    let said = "5000 connections are more than the limit of 600 descriptors carries, which is 108";
    assert!(world.gate.log().contains(said), "{}", world.gate.log());
    let mut open = tunnel(world.ordinary());
    let flood: Vec<_> = (0..700).map(|_| world.ordinary()).collect();
    for _ in 0..20 {
        let healthy = request(world.gate.admin(), "GET", "/-/healthy");
        assert_eq!(healthy.expect("the gate answers").status, 200);
    }
    assert_lives(&mut open);
    let room = ["connection-limit", "displaced"];
    eventually("all beyond the limit are refused or make room", || {
        let errors = world
            .gate
            .metrics()
            .by("octroi_client_errors_total", "reason");
        let told: u64 = room.iter().filter_map(|reason| errors.get(*reason)).sum();
        (told >= 500).then_some(())
    });
    let usage = [("limit", "connections")];
    assert_eq!(
        world
            .gate
            .metrics()
            .total("octroi_limit_usage_ratio", &usage),
        1
    );
    eventually("who asks is served beside them", || {
        let mut wire = world.ordinary();
        wire.send("CONNECT nowhere.example:443 HTTP/1.1\r\nHost: nowhere.example:443\r\n\r\n");
        (wire.head().status == 502).then_some(())
    });
    drop(flood);
    assert_lives(&mut open);
}

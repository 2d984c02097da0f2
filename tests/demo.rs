//! `octroi demo` from outside: what it needs, what it shows, and what it leaves.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::demo::Demo;
use crate::harness::scrape::Scrape;
use crate::harness::tools::{finish, tool};
use crate::harness::{eventually, within};

mod pictures;
mod watch;

/// How long a month takes where a test waits for its end.
const QUICK: [&str; 4] = ["--months", "1", "--month-seconds", "10"];

/// What a demonstration cannot bring about: faults of the machine (descriptors, disk), more series than there are ids, a bundle with
/// findings, a restart, another program in its place, and people who ask the console for what it does not give.
const STILL: [&str; 9] = [
    "octroi_accept_errors_total",
    "octroi_admin_refused_total",
    "octroi_audit_errors_total",
    "octroi_audit_lost_lines_total",
    "octroi_metric_series_limited_total",
    "octroi_policy_findings",
    "octroi_policy_from_state",
    "octroi_state_errors_total",
    "octroi_upgrades_total",
];

/// The metrics that README lists.
fn families() -> Vec<String> {
    let readme = crate::readme::readme();
    let rows = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `octroi_"));
    let names = rows.filter_map(|row| Some(format!("octroi_{}", row.split('`').next()?)));
    let all: Vec<String> = names.collect();
    assert!(all.len() > 30, "{all:?}");
    all
}

/// Whether a family has a sample that is not 0.
fn moves(metrics: &Scrape, family: &str) -> bool {
    let parts = [family.to_owned(), format!("{family}_count")];
    let mut samples = metrics.samples.iter();
    samples.any(|sample| parts.contains(&sample.name) && sample.value != 0.0)
}

#[test]
fn it_takes_no_rights_and_no_network_and_everything_moves_within_a_month() {
    let mut demo = Demo::start_alone(&[]);
    let begun = std::time::Instant::now();
    demo.tells("month 1 begins");
    let admin = demo.admin();
    let scrape = || {
        let mut curl = tool("nsenter");
        curl.arg(format!("--target={}", demo.pid().as_raw_nonzero()));
        curl.args(["--net", "curl", "-s", &format!("http://{admin}/metrics")]);
        let (code, said) = finish(&mut curl);
        (code == Some(0)).then(|| Scrape::parse(said))
    };
    let mut still = families();
    within(Duration::from_secs(200), "every family moves", || {
        let is_over = demo.said().contains("month 2 begins");
        let metrics = scrape()?;
        still.retain(|family| !moves(&metrics, family));
        if still.len() <= STILL.len() {
            return Some(());
        }
        assert!(!is_over, "{still:?} did not move in a month");
        std::thread::park_timeout(Duration::from_millis(500));
        None
    });
    assert_eq!(still, STILL);
    let (ticks, lived) = (ticks(&demo), begun.elapsed());
    assert!(
        ticks < lived.as_millis() as u64 / 10 * 40 / 100,
        "{ticks} hundredths of a second in {lived:?}: left running, it would be in the way"
    );
    demo.send(Signal::INT);
    assert_eq!(demo.ends(), Some(0), "{}", demo.said());
    assert!(demo.remains().is_empty(), "{:?}", demo.remains());
}

/// Processor time so far, in hundredths of a second.
fn ticks(demo: &Demo) -> u64 {
    let path = format!("/proc/{}/stat", demo.pid().as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap();
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let figure = |at: usize| fields[at].parse::<u64>().unwrap();
    figure(11) + figure(12)
}

#[test]
fn whenever_it_is_stopped_nothing_is_left() {
    for (signal, after) in [
        (Signal::INT, "octroi demo: "),
        (Signal::TERM, "octroi demo: "),
        (Signal::TERM, "month 1 begins"),
        (Signal::INT, "Thu  4"),
    ] {
        let mut demo = Demo::start(&["--month-seconds", "20"]);
        demo.tells(after);
        demo.send(signal);
        assert_eq!(demo.ends(), Some(0), "{after}: {}", demo.said());
        assert!(demo.remains().is_empty(), "{after}: {:?}", demo.remains());
    }
}

#[test]
fn a_busy_port_is_told_with_what_to_do() {
    let demo = Demo::start(&[]);
    let taken = [demo.proxy(), demo.admin().to_string()];
    for (flag, other, address) in [
        ("--listen", "--admin", &taken[0]),
        ("--admin", "--listen", &taken[1]),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_octroi"));
        let temporary = tempfile::tempdir().unwrap();
        command.args(["demo", flag, address, other, "127.0.0.1:0"]);
        let (code, said) = finish(command.env("TMPDIR", temporary.path()));
        assert_eq!(code, Some(74), "{said}");
        assert!(
            said.contains(&format!("error: cannot listen on {address}: ")),
            "{said}"
        );
        assert!(
            said.contains("`--listen 127.0.0.1:0` and `--admin 127.0.0.1:0`"),
            "{said}"
        );
        assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn it_stays_on_this_machine() {
    for address in ["0.0.0.0:3128", "192.0.2.1:3128", "[::1]:3128", "3128"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_octroi"));
        let (code, said) = finish(command.args(["demo", "--listen", address]));
        assert_eq!(code, Some(2), "{said}");
    }
}

/// What it says in its last lines: who was refused how often.
fn summary(demo: &mut Demo) -> String {
    demo.tells("after 1 month");
    assert_eq!(demo.ends(), Some(0));
    let said = demo.said();
    let at = said.find("after 1 month").unwrap();
    said[at..].to_owned()
}

#[test]
fn the_same_seed_tells_the_same_story_also_side_by_side() {
    let start = |seed| Demo::start(&[&QUICK[..], &["--seed", seed]].concat());
    let mut demos = ["7", "7", "8"].map(start);
    let [one, two, other] = demos.each_mut().map(summary);
    assert_eq!(one, two);
    assert_ne!(one, other);
    for demo in &demos {
        assert!(demo.remains().is_empty(), "{:?}", demo.remains());
    }
    let ministries = one.lines().filter(|line| line.contains("refused")).count();
    assert!(ministries > 12, "{one}");
}

#[test]
fn a_person_gets_answers_through_it() {
    let demo = Demo::start(&[]);
    let (proxy, authority) = (demo.proxy(), demo.directory().join("tls/ca.pem"));
    let curl = |from: &str, arguments: &[&str]| {
        let mut curl = tool("curl");
        curl.args(["-sS", "-x", &format!("http://{proxy}"), "--interface", from]);
        finish(curl.args(arguments)).1
    };
    let authority = authority.to_str().unwrap();
    let answered = "the demonstration's own origin answers";
    eventually("the gate serves", || {
        let said = curl("127.0.0.2", &["-k", "https://outlook.office.com/"]);
        said.contains(answered).then_some(())
    });
    for arguments in [
        &["http://www.mairie.example/"][..],
        &["--cacert", authority, "https://www.legifrance.gouv.fr/"],
        &[
            "--cacert",
            authority,
            "--tls-max",
            "1.2",
            "https://chatgpt.com/",
        ],
    ] {
        let said = curl("127.0.0.2", arguments);
        assert!(said.contains(answered), "{arguments:?}: {said}");
    }
    let said = curl("127.0.0.1", &["-k", "https://outlook.office.com/"]);
    assert!(said.contains("403"), "{said}");
    let said = curl("127.0.0.1", &["http://courrier.prefecture.example/"]);
    assert!(said.contains("r9-sensitive-data"), "{said}");
    // What was judged and recorded is the address that DNS gave, and not that of the origin.
    let log = std::fs::read_to_string(demo.audit()).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("\"chatgpt.com\"") && line.contains("127.0.0.2"));
    assert!(
        line.is_some_and(|line| line.contains("104.18.32.47")),
        "{line:?}"
    );
}

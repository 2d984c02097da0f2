use octroi_policy::catalogue::Id;

use super::*;

/// A day that began `into` a step, and what the counters of one ministry say.
struct Sampled {
    day: Day,
    phase: Duration,
    counts: Counts,
}

impl Sampled {
    fn new(into: u64) -> Self {
        Self {
            day: Day::default(),
            phase: Duration::from_secs(into),
            counts: Counts::default(),
        }
    }

    /// So many more are denied until `seconds` after the start, where it is sampled.
    fn denied(&mut self, more: u64, seconds: u64) {
        self.counts[2] += more;
        let tally = Tally::from_iter([(Label::Word("culture"), self.counts)]);
        let elapsed = Duration::from_secs(seconds);
        self.day.sample(self.phase, elapsed, (tally, Tally::new()));
    }

    /// Denials by step, the present one last; those at the beginning that are nothing left out.
    fn told(&self) -> Vec<u32> {
        let rows = self.day.rows(&self.day.ministries);
        let steps = rows.first().map_or(&[][..], |row| &row.steps);
        assert!(steps.is_empty() || steps.len() == STEPS);
        let denied = steps.iter().map(|step| step[2]);
        denied.skip_while(|&count| count == 0).collect()
    }
}

#[test]
fn what_came_between_two_samples_is_the_steps_in_which_it_came() {
    let mut sampled = Sampled::new(100);
    sampled.denied(5, 10);
    assert_eq!(sampled.told(), [5]);
    sampled.denied(2, 199);
    assert_eq!(sampled.told(), [7]);
    sampled.denied(1, 200);
    assert_eq!(sampled.told(), [8, 0], "the step ended at its 300th second");
    sampled.denied(3, 500);
    sampled.denied(4, 800);
    assert_eq!(sampled.told(), [8, 3, 4, 0]);
    // Nothing was sampled for an hour.
    sampled.denied(6, 4400);
    let told = sampled.told();
    assert_eq!(told.len(), 4 + 12);
    assert_eq!(told[..5], [8, 3, 4, 6, 0]);
}

#[test]
fn a_day_later_it_is_gone() {
    let mut sampled = Sampled::new(0);
    sampled.denied(5, 300);
    sampled.denied(7, 600);
    let day = STEP * STEPS as u64;
    sampled.denied(0, day);
    assert_eq!(
        sampled.told()[0],
        7,
        "the first step made room for the present one"
    );
    sampled.denied(0, day + 300);
    assert_eq!(sampled.told(), [0u32; 0]);
    sampled.denied(9, day + 310);
    assert_eq!(sampled.told(), [9]);
    sampled.denied(1, 40 * day);
    assert_eq!(
        sampled.told(),
        [0u32; 0],
        "longer than a day without a sample"
    );
    sampled.denied(2, 40 * day + 1);
    assert_eq!(sampled.told(), [2]);
}

#[test]
fn a_counter_that_begins_anew_takes_nothing_away() {
    let mut sampled = Sampled::new(0);
    sampled.denied(5, 1);
    sampled.counts = Counts::default();
    sampled.denied(2, 2);
    sampled.denied(1, 3);
    assert_eq!(sampled.told(), [6]);
}

#[test]
fn steps_are_named_by_the_clock_on_the_wall() {
    let at = |text: &str| from(text.parse().unwrap()).to_string();
    assert_eq!(at("2026-11-24T12:04:59Z"), "2026-11-23T12:05:00Z");
    assert_eq!(at("2026-11-24T12:05:00Z"), "2026-11-23T12:10:00Z");
    let history = History::new("2026-11-24T12:04:30.5Z".parse().unwrap());
    assert_eq!(history.phase, Duration::from_millis(270_500));
}

#[test]
fn rows_are_bounded_and_those_beyond_are_told_together() {
    let mut rows = Rows::new();
    let tally = |many: u64, each: u64| -> Tally {
        let ids = (0..many).map(|n| Label::Id(Id::from(format!("s{n}"))));
        let mut tally: Tally = ids.map(|id| (id, [each, 0, 0])).collect();
        tally.insert(Label::Word("other"), [each, 0, 0]);
        tally
    };
    note(&mut rows, 100, tally(90, 1), 0);
    assert_eq!(rows.len(), 91);
    note(&mut rows, 100, tally(300, 2), 0);
    assert_eq!(rows.len(), 100);
    let all: u64 = rows.values().map(|row| u64::from(row.steps[0][0])).sum();
    assert_eq!(all, 2 * 301, "each is counted once");
    note(&mut rows, 100, tally(300, 3), 1);
    let all: u64 = rows.values().map(|row| u64::from(row.steps[1][0])).sum();
    assert_eq!((rows.len(), all), (100, 301));
}

/// The figure of the module's documentation, and of the worst case.
#[test]
fn the_bound_in_bytes_is_the_one_stated() {
    const { assert!(BYTES < 4 << 20) };
    const MOST: usize = (MOST_MINISTRIES + MOST_SERVICES + 2) * size_of::<(Label, Box<Row>, Row)>();
    const { assert!(MOST < 9 << 20) };
}

#[test]
fn it_says_what_the_counters_say() {
    let audit = crate::config::Audit {
        sink: crate::config::Sink::Off,
        ..crate::config::Audit::default()
    };
    let ledger = Ledger::open_books(&audit, 10_000).unwrap();
    let history = History::new(Timestamp::now());
    for machine in [1, 2, 2] {
        drop(ledger.open(crate::ledger::Opened {
            source: octroi_policy::flow::Source::from_address([192, 0, 2, machine].into()),
            client_port: 1,
            balancer: None,
            protocol: octroi_policy::flow::Protocol::Connect,
            method: "CONNECT".to_owned(),
            target: octroi_policy::name::Host::parse("a.example").unwrap(),
            port: 443,
            original: None,
            user_agent: None,
        }));
    }
    let (ministries, services) = history.tell(ledger.metrics());
    let [ministry] = &ministries[..] else {
        panic!("{ministries:?}")
    };
    assert_eq!(ministry.id.as_str(), "unassigned");
    assert_eq!(ministry.total(), [0, 0, 3]);
    let [(service, machines)] = &services[..] else {
        panic!("{services:?}")
    };
    assert_eq!(service.id.as_str(), "unlisted");
    assert_eq!((service.total(), *machines), ([0, 0, 3], 2));
}

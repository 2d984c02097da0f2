use super::*;

fn crowd(line: &Arc<Line>, many: usize) -> Vec<Arc<Visit>> {
    let visits: Vec<_> = (0..many).map(|_| line.visit()).collect();
    visits.iter().for_each(Visit::wait);
    visits
}

fn is_displaced(visit: &Visit) -> bool {
    visit.at.load(Ordering::Relaxed) == DISPLACED
}

/// When everybody who waits now has waited long enough.
fn later() -> Instant {
    Instant::now() + GRACE
}

#[test]
fn the_one_that_has_waited_longest_goes_first() {
    let line = Arc::<Line>::default();
    let visits = crowd(&line, 3);
    for gone in 1..=3 {
        assert!(line.displace(later()));
        let displaced: Vec<_> = visits.iter().map(|it| is_displaced(it)).collect();
        assert_eq!(displaced, [true, gone > 1, gone > 2]);
    }
    assert!(!line.displace(later()), "nobody is left");
    assert_eq!(line.len(), 0);
}

#[test]
fn nobody_is_displaced_with_a_flow_under_way_and_afterwards_it_is_the_last_in_the_line() {
    let line = Arc::<Line>::default();
    let visits = crowd(&line, 2);
    let engaged = visits[0].engage().unwrap();
    assert!(line.displace(later()));
    assert!(is_displaced(&visits[1]));
    assert!(!line.displace(later()), "the other one is at work");
    assert!(visits[1].engage().is_none(), "its place is somebody else's");
    let newcomer = crowd(&line, 1);
    drop(engaged);
    assert!(line.displace(later()));
    assert!(is_displaced(&newcomer[0]));
    assert!(line.displace(later()));
    assert!(is_displaced(&visits[0]));
}

#[test]
fn whoever_has_just_come_is_left_the_time_to_speak() {
    let line = Arc::<Line>::default();
    let _visits = crowd(&line, 1);
    let almost = Instant::now() + GRACE - Duration::from_millis(50);
    assert!(!line.displace(almost));
    assert!(line.displace(later()));
}

/// Held against a list that is searched from one end to the other.
#[test]
fn any_order_of_coming_and_going_keeps_the_line_whole() {
    let line = Arc::<Line>::default();
    let mut naive: Vec<Arc<Visit>> = Vec::new();
    let mut engaged: Vec<Engaged> = Vec::new();
    let mut seed = 1_u64;
    for step in 0..20_000 {
        // xorshift64: any will do, as long as it is the same each time.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let any = |of: usize| (seed >> 8) as usize % of.max(1);
        match seed % 5 {
            0 | 1 => naive.extend(crowd(&line, 1)),
            2 if !naive.is_empty() => assert!(!naive.remove(any(naive.len())).leave()),
            3 if !naive.is_empty() => {
                engaged.push(naive.remove(any(naive.len())).engage().unwrap())
            }
            4 if !engaged.is_empty() => {
                let back = engaged.swap_remove(any(engaged.len()));
                naive.push(Arc::clone(&back.0));
            }
            _ => {
                let oldest = (!naive.is_empty()).then(|| naive.remove(0));
                assert_eq!(line.displace(later()), oldest.is_some(), "step {step}");
                assert!(oldest.is_none_or(|visit| is_displaced(&visit) && visit.leave()));
            }
        }
        assert_eq!(line.len(), naive.len(), "step {step}");
    }
    let nodes = line.lock().nodes.len();
    assert!(nodes < 10_000, "{nodes} nodes: none is used again");
    while let Some(oldest) = (!naive.is_empty()).then(|| naive.remove(0)) {
        assert!(line.displace(later()) && is_displaced(&oldest));
    }
}

#[tokio::test]
async fn what_is_under_way_is_dropped_where_it_stands() {
    let line = Arc::<Line>::default();
    let visit = crowd(&line, 1).remove(0);
    let held = Arc::new(());
    let serving = tokio::spawn({
        let (visit, held) = (Arc::clone(&visit), Arc::clone(&held));
        async move {
            let forever = async move {
                let _held = held;
                std::future::pending::<()>().await;
            };
            visit.unless_displaced(pin!(forever)).await
        }
    });
    tokio::task::yield_now().await;
    assert!(line.displace(later()));
    assert_eq!(serving.await.unwrap(), Err(Displaced));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(
        visit.unless_displaced(pin!(async { 7 })).await,
        Ok(7),
        "what is ready is ready"
    );
}

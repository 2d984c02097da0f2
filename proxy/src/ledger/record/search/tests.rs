use super::*;

fn id(n: u8) -> FlowId {
    format!("7ZQ4-0M1K-TXBE-93{n:02}").parse().unwrap()
}

fn line(second: u8, id: FlowId, action: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-11-24T00:00:{second:02}.000000Z","event":{{"action":"{action}","id":"{id}"}}}}"#
    )
}

/// A log with two files set aside.
fn log(files: [&[String]; 3]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        "audit.jsonl.20261124T000000.000000Z",
        "audit.jsonl.20261124T000001.000000Z",
        "audit.jsonl",
    ];
    for (name, lines) in names.iter().zip(files) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn found(search: &Search) -> [Option<(String, u64)>; 2] {
    let place = |found: &Option<(Place, Record)>| {
        let (place, _) = found.as_ref()?;
        let file = Path::new(&place.file).file_name().unwrap();
        Some((file.to_str().unwrap().to_owned(), place.line))
    };
    [place(&search.decision), place(&search.close)]
}

#[test]
fn a_flow_is_found_across_the_files_set_aside() {
    let dir = log([
        &[line(1, id(1), "decision"), line(2, id(2), "decision")],
        &[
            line(3, id(2), "close"),
            line(4, id(3), "decision"),
            line(5, id(3), "close"),
        ],
        &[
            line(6, id(1), "close"),
            line(7, id(4), "reject"),
            line(8, id(5), "decision"),
        ],
    ]);
    let path = dir.path().join("audit.jsonl");
    let place = |stamp: &str, line| Some((format!("audit.jsonl{stamp}"), line));
    let (first, second) = (".20261124T000000.000000Z", ".20261124T000001.000000Z");
    for (n, files, expected) in [
        (1, 3, [place(first, 1), place("", 1)]),
        (2, 3, [place(first, 2), place(second, 1)]),
        (3, 2, [place(second, 2), place(second, 3)]),
        (4, 1, [place("", 2), None]),
        (5, 1, [place("", 3), None]),
        (6, 3, [None, None]),
    ] {
        let mut search = Search::new(id(n), Order::NewestFirst);
        search.log(&path).unwrap();
        assert_eq!(found(&search), expected, "{n}");
        assert_eq!(
            search.searched.len(),
            files,
            "{n}: no file is read for nothing, or twice"
        );
    }
    let mut search = Search::new(id(6), Order::NewestFirst);
    search.log(&path).unwrap();
    let newest = &search.searched[0];
    assert_eq!(newest.first.as_deref(), Some("2026-11-24T00:00:06.000000Z"));
    assert_eq!(newest.last.as_deref(), Some("2026-11-24T00:00:08.000000Z"));
}

#[test]
fn files_may_be_given_in_any_order() {
    let lines = |all: &[String]| all.join("\n") + "\n";
    let newer = lines(&[line(3, id(1), "close")]);
    let older = lines(&[line(1, id(1), "decision")]);
    for order in [[&newer, &older], [&older, &newer]] {
        let mut search = Search::new(id(1), Order::AsGiven);
        for text in order {
            assert!(!search.is_done());
            search.stream("-".to_owned(), text.as_bytes());
        }
        assert!(search.is_done());
    }
}

#[test]
fn what_is_no_line_of_a_log_is_skipped_and_counted() {
    let mut text = b"Nov 24 gate started\n\xff\xfe\x00\n\n{}\n".to_vec();
    // A client that calls itself by another's number does not get its line.
    text.extend(format!(r#"{{"@timestamp":"t","event":{{"action":"decision","id":"x"}},"user_agent":{{"original":"{}"}}}}"#, id(1)).bytes());
    text.extend(format!("\n{{\"broken\": \"{}\" }}\n", id(1)).bytes());
    text.extend(line(1, id(1), "decision").bytes());
    text.extend(b"\n{\"@timestamp\":\"2026-11-24T00:0");
    let mut search = Search::new(id(1), Order::AsGiven);
    search.stream("-".to_owned(), text.as_slice());
    let searched = &search.searched[0];
    assert_eq!(found(&search)[0], Some(("-".to_owned(), 7)));
    assert_eq!((searched.lines, searched.skipped), (8, 3));
}

/// Endless bytes without a newline.
struct Flood(u64);

impl Read for Flood {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.0).unwrap());
        buffer[..length].fill(b'{');
        self.0 -= length as u64;
        Ok(length)
    }
}

#[test]
fn an_endless_line_takes_no_memory() {
    let after = format!("\n{}\n", line(1, id(1), "decision"));
    let mut lines = Lines::new(Flood(1 << 30).chain(after.as_bytes()));
    assert_eq!(lines.next().unwrap(), Some(Length::TooLong));
    assert!(
        lines.line.capacity() <= 4 * MOST_LINE,
        "{}",
        lines.line.capacity()
    );
    assert_eq!(lines.next().unwrap(), Some(Length::Whole));
    assert_eq!(lines.line, line(1, id(1), "decision").as_bytes());
    assert_eq!(lines.next().unwrap(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_the_others_are_searched() {
    let dir = log([&[line(1, id(1), "decision")], &[], &[]]);
    let path = dir.path().join("audit.jsonl");
    std::fs::remove_file(&path).unwrap();
    let mut search = Search::new(id(1), Order::NewestFirst);
    search.log(&path).unwrap();
    assert!(search.decision.is_some());
    let mut search = Search::new(id(1), Order::AsGiven);
    search.file(&path);
    search.file(dir.path());
    assert!(
        search
            .searched
            .iter()
            .all(|searched| searched.error.is_some())
    );
    assert!(
        Search::new(id(1), Order::NewestFirst)
            .log(Path::new("/nonexistent/audit.jsonl"))
            .is_err()
    );
}

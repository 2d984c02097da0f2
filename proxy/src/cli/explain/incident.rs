//! `octroi explain --incident`: what a number read out by somebody refused stands for, then and now.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::address::Forbid;
use octroi_policy::bundle::Bundle;
use octroi_policy::explain::explain;

use super::changes::{agree, changes};
use super::recorded::{Rows, tell, verdict};
use super::{Arguments, bundle, config};
use crate::cli::{CONFIG, IO, NO, USAGE, complain, policy, say};
use crate::config::{Config, Sink};
use crate::ledger::FlowId;
use crate::ledger::record::{
    Asker, Octroi, Order, Question, Record, RecordError, Search, Searched,
};

pub(super) fn run(arguments: &Arguments) -> u8 {
    match answer(arguments) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

fn answer(arguments: &Arguments) -> Result<(), u8> {
    let id = id(&arguments.incident)?;
    let config = config(arguments)?;
    let search = search(id, arguments, &config)?;
    let Some(decision) = &search.decision else {
        return Err(not_found(&search));
    };
    told_faults(&search);
    let mut rows = Rows::default();
    tell(&mut rows, decision, search.close.as_ref());
    say(rows.into_text().trim_end());
    let question = match decision.1.question() {
        Ok(question) => question,
        Err(RecordError::NoQuestion) => return Ok(()),
        Err(error) => {
            complain(format_args!("note: it is not judged again: {error}"));
            return Ok(());
        }
    };
    let bundle = bundle(arguments, &config)?;
    let policy = policy(&bundle)?;
    let now = Now {
        policy: &policy,
        bundle: &bundle,
        forbid: &config.upstream.forbid,
        at: arguments.at.unwrap_or_else(Timestamp::now),
    };
    now.tell(&decision.1, &question);
    Ok(())
}

fn id(words: &[String]) -> Result<FlowId, u8> {
    let text = words.concat();
    text.parse().map_err(|error| {
        let help = "it stands on the refusal page and in the header `Proxy-Status`, as in `7ZQ4-0M1K-TXBE-93RA`";
        let said = words.join(" ");
        complain(format_args!("error: `{said}` is no incident number: {error}\n  = help: {help}"));
        USAGE
    })
}

fn search(id: FlowId, arguments: &Arguments, config: &Config) -> Result<Search, u8> {
    if !arguments.audit.is_empty() {
        let mut search = Search::new(id, Order::AsGiven);
        for path in &arguments.audit {
            if search.is_done() {
                break;
            } else if path == Path::new("-") {
                search.stream("standard input".to_owned(), std::io::stdin().lock());
            } else {
                search.file(path);
            }
        }
        return Ok(search);
    }
    let path = log(arguments, config)?;
    let mut search = Search::new(id, Order::NewestFirst);
    search.log(path).map_err(|error| {
        complain(format_args!(
            "error: cannot read `{}`: {error}",
            path.display()
        ));
        IO
    })?;
    Ok(search)
}

/// The file of the log that the configuration names.
fn log<'a>(arguments: &Arguments, config: &'a Config) -> Result<&'a PathBuf, u8> {
    let (code, message, help) = match (&config.audit.sink, &arguments.config) {
        (Sink::File(path), _) => return Ok(path),
        (_, None) => (
            USAGE,
            "which log is to be searched?",
            "name the gate's own file, `--config octroi.yaml`, or logs, `--audit FILE…`, or `--audit -` for standard input",
        ),
        (Sink::StandardOutput, Some(_)) => (
            CONFIG,
            "the audit log of this gate goes to standard output, and where from there is not known here",
            "give what collects it to `--audit -`, for instance `journalctl -o cat -u octroi | octroi explain --incident ID --audit -`",
        ),
        (Sink::Off, Some(_)) => (
            CONFIG,
            "this gate keeps no audit log (`audit.path: none`)",
            "name a file under `audit.path`",
        ),
    };
    complain(format_args!("error: {message}\n  = help: {help}"));
    Err(code)
}

/// Says where it was searched; the exit code.
fn not_found(search: &Search) -> u8 {
    let id = search.id();
    complain(match &search.close {
        Some((place, _)) => format!(
            "error: of incident {id} only its end is in the log ({}:{}): its decision is in a file that is gone",
            place.file, place.line
        ),
        None => format!("error: incident {id} is not in the log"),
    });
    for searched in &search.searched {
        complain(format_args!("  searched {}", described(searched)));
    }
    complain(
        "  = help: was the number read out whole? An older log, or one that was compressed, is given by `--audit FILE…` or `zcat FILE… | octroi explain --incident ID --audit -`",
    );
    let unread = |searched: &Searched| searched.error.is_some();
    if search.searched.iter().all(unread) {
        IO
    } else {
        NO
    }
}

fn described(searched: &Searched) -> String {
    let Searched {
        file,
        lines,
        skipped,
        first,
        last,
        error,
    } = searched;
    let mut text = match (first, last) {
        (Some(first), Some(last)) => format!("{file}: {lines} lines, from {first} to {last}"),
        _ => format!("{file}: {lines} lines"),
    };
    if *skipped > 0 {
        text.push_str(&format!(", of which {skipped} are none of an audit log"));
    }
    if let Some(error) = error {
        text.push_str(&format!("; cannot be read: {error}"));
    }
    text
}

/// What could not be read, where the incident was found all the same.
fn told_faults(search: &Search) {
    for searched in &search.searched {
        if searched.error.is_some() || searched.skipped > 0 {
            complain(format_args!("note: {}", described(searched)));
        }
    }
}

/// The policy in force, asked again.
struct Now<'a> {
    policy: &'a Policy,
    bundle: &'a Bundle,
    forbid: &'a Forbid,
    at: Timestamp,
}

impl Now<'_> {
    fn tell(&self, record: &Record, question: &Question) {
        let decision = match question.judge(self.policy, self.forbid, self.at) {
            Ok(decision) => decision,
            Err(error) => {
                complain(format_args!("note: it is not judged again: {error}"));
                return;
            }
        };
        let (then, now) = (&record.octroi, question.answered(self.policy, &decision));
        let mut rows = Rows::default();
        let (was, is) = (verdict(then), verdict(&now));
        match (agree(then, &now), was == is) {
            (true, _) => rows.row("now", format_args!("the same answer: {is}")),
            (false, true) => rows.row(
                "now",
                format_args!("the same answer on other grounds: {is}"),
            ),
            (false, false) => rows.row("now", format_args!("another answer: {is}, was {was}")),
        }
        rows.row("", self.by(then));
        if !agree(then, &now) {
            rows.rows("changed", changes(then, &now, self.policy, self.at));
            rows.rows("", self.date(record, question));
        }
        rows.rows("note", notes(question));
        let flow = question.flow(self.forbid);
        let story = explain(self.policy, &flow, &decision, Some(self.bundle));
        say(format_args!("\n{}\n{}", rows.into_text(), story.trim_end()));
    }

    /// Which policy answers now.
    fn by(&self, then: &Octroi) -> String {
        let (name, digest) = (self.policy.name(), self.policy.digest());
        match &then.policy {
            Some(policy) if policy.digest == **digest => {
                "by the policy that decided then".to_owned()
            }
            Some(_) => format!("by another policy than then: {name}, digest {digest}"),
            None => format!("by policy {name}, digest {digest}"),
        }
    }

    /// The policy answers otherwise than then because of a date in it.
    fn date(&self, record: &Record, question: &Question) -> Option<String> {
        let at: Timestamp = record.octroi.judged_at.as_ref()?.parse().ok()?;
        let decision = question.judge(self.policy, self.forbid, at).ok()?;
        let answer = question.answered(self.policy, &decision);
        agree(&record.octroi, &answer).then(|| {
            format!("this policy too gives the recorded answer at {at}: a date has passed since")
        })
    }
}

/// What the answer does not rest on.
fn notes(question: &Question) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if *question.asker() != Asker::Address {
        notes.push("the address was not recorded: judged for the workload recorded, which may not be the machine's now");
    }
    if !question.is_resolved() {
        notes.push("the name was not resolved then: what stands behind it is not judged here");
    } else if question.lacks_hello() {
        notes.push("no ClientHello had come then: none is judged here");
    }
    notes
}

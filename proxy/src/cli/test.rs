//! `octroi test`

use std::path::PathBuf;

use clap::Args;
use octroi_policy::Policy;
use octroi_policy::suite::{self, Failure};

use super::{NO, say, unreadable};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The bundle; the embedded example if absent
    #[arg(value_name = "BUNDLE")]
    path: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let bundle = match super::bundle(arguments.path.as_deref()) {
        Ok(bundle) => bundle,
        Err(error) => return unreadable(&error),
    };
    let policy = match super::policy(&bundle) {
        Ok(policy) => policy,
        Err(code) => return code,
    };
    let failures = suite::run(&policy);
    for failure in &failures {
        tell(&policy, failure);
    }
    let all = policy.model().tests.len();
    say(format_args!("{} of {all} tests pass", all - failures.len()));
    if failures.is_empty() { 0 } else { NO }
}

fn tell(policy: &Policy, failure: &Failure) {
    say(format_args!(
        "error: the test `{}` fails\n  --> {}",
        failure.name,
        policy.model().place(failure.place)
    ));
    for difference in &failure.differences {
        say(format_args!("   = {difference}"));
    }
    for line in failure.explanation.lines() {
        say(format_args!("   | {line}"));
    }
    say("");
}

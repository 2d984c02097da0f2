//! The commands: arguments in, an exit code out. 0 good, 1 the answer is no, 2 usage, and of
//! sysexits 74 for what cannot be read or opened, 78 for a file that is wrong.

mod check;
mod demo;
mod explain;
mod run;
mod test;
mod upgrade;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use octroi_policy::Policy;
use octroi_policy::bundle::{Bundle, ReadError};
use octroi_policy::diagnostic::Colour;

/// The answer is no.
const NO: u8 = 1;
/// The command is not understood, as clap says it.
const USAGE: u8 = 2;
/// sysexits `EX_IOERR`.
const IO: u8 = 74;
/// sysexits `EX_CONFIG`.
const CONFIG: u8 = 78;

/// Who may reach which cloud service from where, and who tried: an egress proxy that enforces a policy.
#[derive(Debug, Parser)]
#[command(
    name = "octroi",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default): with no file, on loopback with the example policy
    Run(run::Arguments),
    /// Find what is wrong with a policy bundle, or with octroi.yaml and the policy it names
    Check(check::Arguments),
    /// Run a policy bundle's own tests
    Test(test::Arguments),
    /// Say how a flow would be judged and why, or what happened by the number of a refusal
    Explain(Box<explain::Arguments>),
    /// See it all at work: a gate among made-up ministries, names and origins, all on this machine
    Demo(demo::Arguments),
    /// Have the gate that runs replaced by the program that is installed now, without a connection lost
    Upgrade(upgrade::Arguments),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let command = command.unwrap_or_else(|| Command::Run(run::Arguments::default()));
    let code = match &command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Upgrade(arguments) => upgrade::run(arguments),
    };
    ExitCode::from(code)
}

/// Answers on standard output; a reader that has left wants no more of it.
fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says what went wrong on standard error.
fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The bundle at `path`, else the embedded example.
fn bundle(path: Option<&Path>) -> Result<Bundle, ReadError> {
    path.map_or_else(crate::reload::embedded, Bundle::read)
}

/// Complains about a bundle that cannot be read; the exit code.
fn unreadable(error: &ReadError) -> u8 {
    complain(format_args!("error: {error}"));
    match error {
        ReadError::Io { .. } => IO,
        _ => CONFIG,
    }
}

/// Colours for people at a terminal.
fn colour() -> Colour {
    if std::io::stdout().is_terminal() {
        Colour::Always
    } else {
        Colour::Never
    }
}

/// The policy that a bundle makes; its findings and an exit code where it makes none.
fn policy(bundle: &Bundle) -> Result<Policy, u8> {
    let checked = octroi_policy::check::check(bundle, None);
    checked.model.map(Policy::compile).ok_or_else(|| {
        complain(checked.findings.render(bundle, Colour::Never).trim_end());
        CONFIG
    })
}

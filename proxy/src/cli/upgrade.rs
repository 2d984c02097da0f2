//! `octroi upgrade`

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{IO, NO, complain, say};
use crate::config::{Config, Upgrade};
use crate::server::upgrade::wire::{Caller, Message, control};

/// Where the unit's gate listens if the file does not say.
const DIRECTORY: &str = "/run/octroi";
/// How much longer than the gate's own deadline its answer is waited for.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The gate's own file (octroi.yaml), for `upgrade.path`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let upgrade = match arguments.config.as_deref().map(Config::load).transpose() {
        Ok(config) => config.map_or_else(Upgrade::default, |config| config.upgrade),
        Err(error) => {
            complain(&error);
            return error.exit_code();
        }
    };
    let directory = upgrade.path.as_deref().unwrap_or(Path::new(DIRECTORY));
    match ask(directory, upgrade.timeout + MARGIN) {
        Ok(Message::Upgraded { pid, version }) => {
            say(format_args!("upgraded: process {pid}, version {version}"));
            0
        }
        Ok(Message::NotUpgraded { why }) => {
            complain(format_args!(
                "not upgraded, the gate goes on as it was: {why}"
            ));
            NO
        }
        Ok(other) => {
            complain(format_args!("error: the gate says {other:?}"));
            IO
        }
        Err(error) => {
            let socket = control(directory);
            complain(format_args!(
                "error: cannot ask the gate at `{}`: {error}\nhelp: run it as root or as the gate's user, with `--config` of the gate's own file",
                socket.display()
            ));
            IO
        }
    }
}

fn ask(directory: &Path, patience: Duration) -> io::Result<Message> {
    let mut gate = Caller::call(directory, patience)?;
    gate.say(&Message::Upgrade)?;
    gate.hear()
}

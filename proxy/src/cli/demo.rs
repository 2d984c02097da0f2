//! `octroi demo`

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::{CONFIG, IO, complain};
use crate::demo::{self, DemoError, Options, Screen};

/// What is logged unless `OCTROI_LOG` says otherwise: faults, but not the edits that are meant to fail.
const DEFAULT_FILTER: &str = "error,octroi::reload=off,pingora_core::server::transfer_fd=off";

/// How fast and how slow a month may be, in seconds.
const MONTH: std::ops::RangeInclusive<u64> = 5..=86_400;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where clients connect: an IPv4 address of this machine alone; port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3128", value_parser = loopback)]
    listen: SocketAddr,
    /// Where console and metrics are
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9128", value_parser = loopback)]
    admin: SocketAddr,
    /// How many seconds a month takes
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds)]
    month_seconds: u64,
    /// End after so many months (default: when told to stop)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    months: Option<u32>,
    /// What chance is drawn from: with the same seed the same people try the same things
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(SocketAddr::V4(address)) if IpAddr::from(*address.ip()).is_loopback() => {
            Ok(address.into())
        }
        Ok(_) => Err("the demonstration stays on this machine: 127.0.0.1 and a port".to_owned()),
        Err(_) => Err("an address and a port are needed, such as 127.0.0.1:3128".to_owned()),
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|it| MONTH.contains(it));
    seconds.ok_or_else(|| format!("{} to {}", MONTH.start(), MONTH.end()))
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let screen = Screen::default();
    super::run::log(DEFAULT_FILTER, screen.clone());
    let options = Options {
        listen: arguments.listen,
        admin: arguments.admin,
        month: Duration::from_secs(arguments.month_seconds),
        months: arguments.months,
        seed: arguments.seed,
    };
    match demo::run(options, screen) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            if error.is_busy() {
                complain(
                    "help: another gate or demonstration has the port: stop it, or choose others with `--listen 127.0.0.1:0` and `--admin 127.0.0.1:0`",
                );
            }
            match error {
                DemoError::Start(error) => error.exit_code(),
                DemoError::Config(_) => CONFIG,
                DemoError::Io(_) | DemoError::Certificates(_) => IO,
            }
        }
    }
}

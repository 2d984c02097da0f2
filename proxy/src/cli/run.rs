//! `octroi run`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::complain;
use crate::config::Config;
use crate::server;

/// What is logged unless `OCTROI_LOG` says otherwise: our own words, and others' warnings.
const DEFAULT_FILTER: &str = "warn,octroi=info,pingora_core=error,pingora_proxy=error";

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// The gate's own file (octroi.yaml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let config = match arguments.config.as_deref().map(Config::load).transpose() {
        Ok(config) => config.unwrap_or_else(Config::default_demo),
        Err(error) => {
            complain(&error);
            return error.exit_code();
        }
    };
    log();
    match server::start(config) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

fn log() {
    let filter =
        EnvFilter::try_from_env("OCTROI_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

//! `octroi run`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{IO, complain};
use crate::accept_errors::AcceptErrors;
use crate::config::Config;
use crate::server;
use crate::server::upgrade::{Arrival, program};

/// What is logged unless `OCTROI_LOG` says otherwise: our own words, and others' warnings. Pingora
/// takes a hand-over that is not there yet for an error.
const DEFAULT_FILTER: &str = "warn,octroi=info,pingora_core=error,pingora_proxy=error,\
     pingora_core::server::transfer_fd=off";

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// The gate's own file (octroi.yaml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take over from the gate that listens in this directory: an upgrade starts its program so
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    take_over: Option<PathBuf>,
    /// The process is nobody's child
    #[arg(long, hide = true)]
    detached: bool,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let Some(directory) = &arguments.take_over else {
        return serve(arguments, None);
    };
    if !arguments.detached {
        return started(program::detach());
    }
    log(DEFAULT_FILTER, io::stderr);
    match Arrival::greet(directory) {
        Ok(arrival) => serve(arguments, Some(arrival)),
        Err(error) => {
            complain(format_args!("error: {error}"));
            IO
        }
    }
}

fn started(outcome: io::Result<()>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            complain(format_args!("error: cannot start the new gate: {error}"));
            IO
        }
    }
}

fn serve(arguments: &Arguments, arrival: Option<Arrival>) -> u8 {
    let config = match arguments.config.as_deref().map(Config::load).transpose() {
        Ok(config) => config.unwrap_or_else(Config::default_demo),
        Err(error) => {
            complain(&error);
            if let Some(arrival) = arrival {
                arrival.fail(&error.to_string());
            }
            return error.exit_code();
        }
    };
    if arrival.is_none() {
        log(DEFAULT_FILTER, io::stderr);
    }
    match server::start(config, arrival) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

/// Logs to `writer`, which stands for standard error.
pub(super) fn log<W>(default_filter: &str, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_from_env("OCTROI_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        .finish()
        .with(AcceptErrors::default())
        .init();
}

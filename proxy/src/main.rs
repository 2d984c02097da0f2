//! The `octroi` command: see `octroi --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    octroi::cli::main()
}

//! The repository's own commands: `cargo xtask demo`, `cargo xtask test`, `cargo xtask tidy`, `cargo xtask bench`.
//!
//! # Never
//!
//! - is part of what users install: nothing imports it
//! - writes outside `target/` and the temporary folder, but for the results of `bench`, which go to `benches/`

mod bench;
mod callgrind;
mod demo;
mod instructions;
mod python;
mod repository;
mod server;
mod steps;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Shows Skein at work, and checks that it works.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures Skein, alone and beside other engines, and writes tables and plots.
    Bench(bench::Options),
    /// Starts Skein, registers the examples with the unmodified SDK, and runs them.
    Demo(demo::Options),
    /// Runs every check and every test; makes the Python environments that they need.
    Test(test::Options),
    /// Holds the house rules: who imports whom, and what must not be said.
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Tidy => test::run(&test::Options::only("tidy")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

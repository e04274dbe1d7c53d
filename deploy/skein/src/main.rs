//! The Skein binary: composition, and the commands of a person. What the engine does stands in the crates that it puts
//! together.
//!
//! # Never
//!
//! - It contains no logic of the engine: it reads settings, puts parts together, and says what it found.

mod address;
mod args;
mod ask;
mod bench;
mod cache;
mod client;
mod config;
mod connectors;
mod doctor;
mod gates;
mod inspect;
mod logs;
mod machine;
mod notifications;
mod notify;
mod owner;
mod parts;
mod places;
mod profile;
mod python;
mod schedule;
mod secrets;
mod show;
mod signals;
mod up;
mod usage;
mod watch;
mod why;
mod words;
mod worker;

use anyhow::Context as _;
use args::{Args, Command, LogCommand};
use clap::Parser as _;
use std::process::ExitCode;

/// What a command that was not carried out exits with.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("skein: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(up) => runtime()?.block_on(up::run(up)),
        Command::Worker(worker) => runtime()?.block_on(worker::run(worker)),
        Command::Watch(watch) => Ok(runtime()?.block_on(watch::run(&watch))),
        Command::Why(why) => Ok(runtime()?.block_on(why::run(&why))),
        Command::Show(show) => Ok(runtime()?.block_on(show::show(&show))),
        Command::Diff(diff) => Ok(runtime()?.block_on(show::diff(&diff))),
        Command::Usage(usage) => Ok(runtime()?.block_on(usage::run(&usage))),
        Command::Cache(cache) => Ok(runtime()?.block_on(cache::run(&cache))),
        Command::Notifications(what) => Ok(runtime()?.block_on(notifications::run(&what))),
        Command::Schedule(schedule) => Ok(runtime()?.block_on(schedule::run(&schedule))),
        Command::Signal(signal) => Ok(runtime()?.block_on(gates::run(&signal))),
        Command::Secrets(secrets) => Ok(runtime()?.block_on(secrets::run(&secrets))),
        Command::Logs(logs) => Ok(runtime()?.block_on(logs::run(&logs))),
        Command::Log(LogCommand::Cat(cat)) => runtime()?.block_on(inspect::cat(&cat)),
        Command::Log(LogCommand::Verify(at)) => runtime()?.block_on(inspect::verify(&at)),
        Command::Log(LogCommand::Stats(at)) => runtime()?.block_on(inspect::stats(&at)),
        Command::Bench(bench) => runtime()?.block_on(bench::run(bench)),
        Command::Doctor(doctor) => {
            let containers = runtime()?.block_on(doctor::containers(&doctor));
            Ok(doctor::run(&doctor, containers))
        }
        Command::Version => {
            println!("skein {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")
}

//! Measures a whole system as its users meet it: a server of its own, functions registered by the real SDK, executions
//! created over gRPC, times by the server's own clock where it has one.
//!
//! # Never
//!
//! - It imports the engine: what it cannot see from outside it does not report.
//! - A figure is made up or carried over: one that could not be taken is missing from the table, with the reason.

mod cases;
mod client;
mod encode;
mod figures;
mod nats;
mod plot;
mod server;

pub use cases::{CASES, Effort};
pub use figures::Figure;

use anyhow::Context as _;
use cases::Bench;
use std::path::PathBuf;

/// What to measure, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program whose `up` is started.
    pub program: PathBuf,
    /// A Python with flytekit.
    pub python: PathBuf,
    /// The names of the cases to run; empty for all.
    pub only: Vec<String>,
    /// How long it may take.
    pub effort: Effort,
    /// A `nats-server` to start for the cases that keep the log in NATS; none to leave them out.
    pub nats: Option<PathBuf>,
    /// Where to write the figures as a Markdown table and a plot; none to print them only.
    pub out: Option<PathBuf>,
}

/// Runs the cases one after another, prints each figure when it is there, and answers all of them.
///
/// # Errors
/// When a server cannot be started, the SDK refuses the functions, or an execution does not succeed.
pub async fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    if let Some(unknown) = options.only.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!("there is no case {unknown}; there are {}", known.join(", "));
    }
    let bench = Bench::new(options).await?;
    let mut figures = Vec::new();
    for case in CASES
        .iter()
        .filter(|case| options.only.is_empty() || options.only.iter().any(|name| name == case.name))
    {
        let taken = (case.run)(&bench).await.with_context(|| format!("case {}", case.name))?;
        for figure in &taken {
            println!("{}", figure.line());
        }
        figures.extend(taken);
    }
    bench.end().await?;
    if let Some(folder) = &options.out {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("figures.md"), figures::table(&figures))?;
        std::fs::write(folder.join("figures.svg"), plot::svg(&figures))?;
        println!("written to {}: figures.md, figures.svg", folder.display());
    }
    Ok(figures)
}

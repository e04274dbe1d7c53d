//! `skein bench`: what this machine reaches.

use crate::args::Bench;
use crate::python;
use anyhow::Context as _;
use skein_bench::{Effort, Options};
use std::process::ExitCode;

/// Measures, and prints each figure beside its bound; what misses it has a `!` in front.
///
/// # Errors
/// When there is no Python with flytekit, or something does not run at all. A missed bound is no error.
pub async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    let python = python::find(bench.python.as_deref())?;
    let mut words = Vec::new();
    if let Some(log) = bench.kept.log {
        words = vec!["--log".to_owned(), log, "--replicas".to_owned(), bench.kept.replicas.to_string()];
    }
    let options = Options {
        program: std::env::current_exe().context("this program's own file cannot be found")?,
        python: python.path,
        only: bench.only,
        effort: if bench.full { Effort::Full } else { Effort::Short },
        words,
        out: bench.out,
    };
    skein_bench::run(&options).await?;
    Ok(ExitCode::SUCCESS)
}

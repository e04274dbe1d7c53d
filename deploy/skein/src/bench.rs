//! `skein bench`: what this machine reaches.

use crate::args::Bench;
use crate::python;
use anyhow::Context as _;
use skein_bench::{Effort, Options};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures, and prints each figure beside its bound; what misses it has a `!` in front.
///
/// # Errors
/// When there is no Python with flytekit, or something does not run at all. A missed bound is no error.
pub async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    let python = python::find(bench.python.as_deref())?;
    let nats = nats(&bench)?;
    let options = Options {
        program: std::env::current_exe().context("this program's own file cannot be found")?,
        python: python.path,
        only: bench.only,
        effort: if bench.full { Effort::Full } else { Effort::Short },
        nats,
        out: bench.out,
    };
    skein_bench::run(&options).await?;
    Ok(ExitCode::SUCCESS)
}

/// Answers the program of the NATS servers; none where there is none and nobody asked for one.
fn nats(bench: &Bench) -> anyhow::Result<Option<PathBuf>> {
    if let Some(named) = &bench.nats {
        anyhow::ensure!(named.is_file(), "there is no nats-server at {}; say --nats PATH", named.display());
        return Ok(Some(named.clone()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|at| at.is_file());
    if found.is_none() && bench.only.iter().any(|case| case == "jetstream") {
        anyhow::bail!(
            "the case jetstream needs a nats-server, and there is none on the PATH; say --nats PATH"
        );
    }
    Ok(found)
}

//! `cargo xtask bench`: what Skein reaches on this machine, and what other engines do beside it.

use crate::instructions;
use crate::python::{FLYTEKIT_ALONE, SERVERS};
use crate::repository::{cargo, release, root, target};
use crate::steps::{loud, sdk_environment};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Small counts, one round; the results go to target/bench instead of benches.
    #[arg(long)]
    quick: bool,
    /// Counts instructions of the inner parts and records them in benches/instructions.toml; measures nothing else.
    #[arg(long, conflicts_with = "quick")]
    record_instructions: bool,
    /// The Python to make the environments with [default: python3]
    #[arg(long)]
    python: Option<PathBuf>,
    /// Words for benches/peers/run.py, after `--`: for example `-- --only ray,dask`.
    #[arg(last = true)]
    peers: Vec<String>,
}

/// Builds the program, measures it alone with `skein bench`, and then beside the others.
///
/// # Errors
///
/// When something cannot be built or installed, or a measurement of ours does not run.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.record_instructions {
        return instructions::record();
    }
    let python = FLYTEKIT_ALONE.ensure(options.python.as_deref())?.join("python");
    let skein = release()?;
    let out = if options.quick { target().join("bench") } else { root().join("benches") };
    let mut alone = Command::new(&skein);
    alone.arg("bench").arg("--python").arg(&python).arg("--out").arg(&out);
    alone.arg("--nats").arg(SERVERS.ensure(options.python.as_deref())?.join("nats-server"));
    if options.quick {
        alone.args(["--only", "chains,recovery"]);
    }
    loud(sdk_environment(&mut alone)).context("`skein bench` did not run")?;
    inside(options, &out)?;
    let mut beside = Command::new(&python);
    beside.arg(root().join("benches/peers/run.py")).arg("--skein").arg(&skein).arg("--out").arg(&out);
    if options.quick {
        beside.arg("--quick");
    }
    loud(sdk_environment(&mut beside).args(&options.peers)).context("the comparison did not run")
}

/// The engine without Python, and its inner parts.
fn inside(options: &Options, out: &Path) -> Result<()> {
    let mut engine = Command::new(cargo());
    engine.current_dir(root()).args(["run", "--quiet", "--release", "--package", "skein-benches"]);
    engine.args(["--bin", "bench-engine", "--", "--out"]).arg(out);
    if options.quick {
        engine.arg("--quick");
    }
    loud(&mut engine).context("the engine alone was not measured")?;
    let mut parts = Command::new(cargo());
    parts.current_dir(root()).args(["bench", "--quiet", "--package", "skein-inner"]);
    loud(&mut parts).context("the inner parts were not measured")
}

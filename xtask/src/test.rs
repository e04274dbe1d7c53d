//! `cargo xtask test`: every check and every test, each as one step.

use crate::instructions;
use crate::python::{CONNECTOR, FLYTEKIT_ALONE, GUIDE, SERVERS, TOOLS, WITH_UNION};
use crate::repository::{cargo, root, target};
use crate::steps::{Steps, loud, sdk_environment};
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::Command;

/// The step that compares.
const OBSERVED: &str = "observed";
/// Its files.
const COMPARE: [&str; 3] = ["test_observed.py", "test_observed_flows.py", "test_observed_calls.py"];

/// What to test.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs the long forms: 200 moments to be killed at, more of everything.
    #[arg(long)]
    long: bool,
    /// Runs only this step: format, tidy, deny, advisories, clippy, docs, instructions, rust, sdk, or observed, which is
    /// the part of sdk that compares what Flyte 1 answers and ends with a table (may be given more than once). Advisories are left out where their database cannot be fetched, instructions where they cannot be
    /// counted as they were recorded, unless they are named here.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The Python to make the environments with [default: python3]
    #[arg(long)]
    python: Option<PathBuf>,
    /// Words for pytest, after `--`: for example `-- -k durability`.
    #[arg(last = true)]
    pytest: Vec<String>,
}

impl Options {
    /// One step and nothing else.
    pub(crate) fn only(name: &str) -> Self {
        Self { long: false, only: vec![name.to_owned()], python: None, pytest: Vec::new() }
    }
}

/// Runs the steps in the order in which they fail fastest.
///
/// # Errors
///
/// When a step failed, or a Python environment could not be made.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::only(options.only.clone());
    let needs_python = ["rust", "sdk", OBSERVED].iter().any(|step| steps.wanted(step));
    let python = if needs_python { Some(Pythons::ensure(options)?) } else { None };
    steps.step("format", || loud(&mut cargo_with(&["fmt", "--all", "--check"])));
    steps.step("tidy", || loud(&mut cargo_with(&["test", "--quiet", "--package", "skein-tidy"])));
    steps.step("deny", || deny(options));
    advisories(&mut steps, options);
    steps.step("clippy", || {
        loud(&mut cargo_with(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    });
    steps.step("docs", || {
        loud(cargo_with(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    instructions::step(&mut steps);
    if let Some(python) = python {
        steps.step("rust", || rust(&python, options.long));
        steps.step("sdk", || sdk(&python, options, &[]));
        if steps.is_named(OBSERVED) {
            steps.step(OBSERVED, || sdk(&python, options, &COMPARE));
        }
    }
    steps.finish()
}

/// The `bin` folders of the environments.
struct Pythons {
    flytekit: PathBuf,
    union: PathBuf,
    guide: PathBuf,
    servers: PathBuf,
    connector: PathBuf,
}

impl Pythons {
    fn ensure(options: &Options) -> Result<Self> {
        let python = options.python.as_deref();
        Ok(Self {
            flytekit: FLYTEKIT_ALONE.ensure(python)?,
            union: WITH_UNION.ensure(python)?,
            guide: GUIDE.ensure(python)?,
            servers: SERVERS.ensure(python)?,
            connector: CONNECTOR.ensure(python)?,
        })
    }

    /// Tells tests where to find what they need.
    fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        sdk_environment(command)
            .env("SKEIN_TEST_PYTHON", self.union.join("python"))
            .env("SKEIN_TEST_GUIDE_PYTHON", self.guide.join("python"))
            .env("SKEIN_TEST_FLYTEKIT_PYTHON", self.flytekit.join("python"))
            .env("SKEIN_TEST_NATS_SERVER", self.servers.join("nats-server"))
            .env("SKEIN_TEST_MOTO_PYTHON", self.servers.join("python"))
            .env("SKEIN_TEST_CONNECTOR_PYTHON", self.connector.join("python"))
    }
}

fn cargo_with(words: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(words);
    command
}

/// Calls `cargo-deny`, which is made on the first call.
fn cargo_deny(options: &Options, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(TOOLS.ensure(options.python.as_deref())?.join("cargo-deny"));
    command.current_dir(root()).args(["--workspace", "--log-level", "error"]).args(words);
    Ok(command)
}

/// Licences, bans and sources.
fn deny(options: &Options) -> Result<()> {
    loud(&mut cargo_deny(options, &["check", "bans", "licenses", "sources"])?)
}

/// Known faults of what we depend upon, where their database can be fetched. Where it cannot, which says nothing about
/// the change under test, only whoever asks for them by name is told with a failure.
fn advisories(steps: &mut Steps, options: &Options) {
    if !steps.wanted("advisories") {
        return;
    }
    let fetched = cargo_deny(options, &["fetch", "db"])
        .is_ok_and(|mut fetch| fetch.output().is_ok_and(|answer| answer.status.success()));
    if !fetched && !steps.is_named("advisories") {
        steps.leave_out("advisories", "their database cannot be fetched from here");
        return;
    }
    steps.step("advisories", || {
        if !fetched {
            bail!("their database cannot be fetched from here");
        }
        loud(&mut cargo_deny(options, &["check", "--disable-fetch", "advisories"])?)
    });
}

/// All tests of all crates, documentation examples included.
fn rust(python: &Pythons, long: bool) -> Result<()> {
    let mut command = cargo_with(&["test", "--workspace", "--quiet"]);
    if long {
        command.env("SKEIN_LONG", "1");
    }
    loud(python.tell(&mut command))
}

/// The real SDKs against the real program.
fn sdk(python: &Pythons, options: &Options, files: &[&str]) -> Result<()> {
    loud(&mut cargo_with(&["build", "--quiet", "--package", "skein"]))?;
    loud(&mut cargo_with(&["build", "--quiet", "--package", "skein-task", "--examples"]))?;
    let mut command = Command::new(python.flytekit.join("python"));
    command.current_dir(root().join("tests/sdk")).args(["-m", "pytest"]).args(files).args(&options.pytest);
    command.env("SKEIN_BINARY", target().join("debug/skein"));
    command.env("SKEIN_NATIVE_EXAMPLES", target().join("debug/examples"));
    if options.long {
        command.env("SKEIN_LONG", "1");
    }
    loud(python.tell(&mut command))
}

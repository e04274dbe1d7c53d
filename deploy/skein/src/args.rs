//! The command line.

use crate::places::Places;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Runs Flyte and Union tasks and workflows: the SDK and the CLI stay as they are, everything behind them is Skein.
#[derive(Debug, Parser)]
#[command(
    name = "skein",
    version,
    after_help = "\
Begin with `skein up` in one terminal; it prints what to export in another. Then:

    pyflyte register my_workflows/
    pyflyte run --remote my_workflows/wf.py my_workflow --wait

If something does not work, `skein doctor` says what this machine lacks."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: gateway, engine and workers.
    Up(Up),
    /// Run workers in a process of their own, for a `skein up --no-workers`.
    Worker(Worker),
    /// Show how far an execution is until it has ended.
    Watch(crate::watch::Watch),
    /// Say what each unfinished part of an execution waits for, and what each try that failed was charged to.
    Why(crate::why::Why),
    /// Print the tree of an execution, as it is or as it was at any moment.
    Show(crate::show::Show),
    /// Name the first difference of two executions.
    Diff(crate::show::DiffOf),
    /// Say what each try of an execution used of its machine at most, and what it may use.
    Usage(crate::usage::UsageOf),
    /// List what cached tasks have left for others, or have it no longer count.
    #[command(subcommand)]
    Cache(crate::cache::Cache),
    /// List who was told that executions have ended and who could not be, or have somebody told again.
    #[command(subcommand)]
    Notifications(crate::notifications::Notifications),
    /// List the launch plans that start by themselves: when next, when last, and why not.
    #[command(subcommand)]
    Schedule(crate::schedule::ScheduleCommand),
    /// List the signals that the gates of an execution wait for, or give one its value.
    #[command(subcommand)]
    Signal(crate::gates::Signal),
    /// Show which secrets there are, or encrypt all of them by a new key. `union create secret` makes one.
    #[command(subcommand)]
    Secrets(crate::secrets::Secrets),
    /// Show what the tasks of an execution printed, also while they print it.
    Logs(crate::logs::LogsOf),
    /// Look into a log: a data folder (also one in use, or a copy), or a NATS URL. Changes nothing.
    #[command(subcommand)]
    Log(LogCommand),
    /// Check what this machine has: Python, flytekit, ports, disk, cgroups, container engine.
    Doctor(Doctor),
    /// Measure this machine: maps, chains, swarms, memory, a crash. Some two minutes, on a data folder of its own.
    Bench(Bench),
    /// Print the version.
    Version,
}

/// Run everything in one process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ctrl-C or SIGTERM lets what runs finish for a few seconds, then hands it back and ends with 0; a second one ends at once.
Nothing that was acknowledged is lost either way: start it again and it goes on.")]
pub struct Up {
    /// Where everything is kept: log, values, views. Made if it is not there. Default: ~/.skein
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// The Python that runs user code; it needs flytekit. Default: the active virtual environment's, then python3
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Where the log is kept.
    #[command(flatten)]
    pub kept: Kept,
    /// Run no workers: they are processes of their own, `skein worker`, which go on while this one is away.
    #[arg(long, requires = "log", conflicts_with_all = ["resources", "gpu", "no_gpus"])]
    pub no_workers: bool,
    /// What attempts are given of the machine.
    #[command(flatten)]
    pub given: Given,
    /// How many attempts or chunks run at once; with --no-workers, how many slots the workers have together. Default:
    /// one a core, with --no-workers 16
    #[arg(long, value_name = "N")]
    pub slots: Option<std::num::NonZeroUsize>,
    /// Where values are kept: inputs, outputs, code. The same at each start. Default: blobs in the data folder
    #[arg(long, value_name = "DIR")]
    pub blobs: Option<PathBuf>,
    /// Where tasks run that ask for an image.
    #[command(flatten)]
    pub places: Places,
    /// A TOML file with settings for tasks, by project, domain and name. Default: what SKEIN_CONFIG names, else none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where a connector listens that does tasks, as often as there are connectors: http://HOST:PORT. It is asked what it does
    #[arg(long, value_name = "URL")]
    pub connector: Vec<String>,
    /// Where the key of the secrets is.
    #[command(flatten)]
    pub secrets: crate::secrets::KeyArgs,
    /// Write where the server's time goes, as tables and a flamegraph: profile.md and profile.svg, when it ends and on
    /// each SIGUSR1. Default: the folder profile in the data folder
    #[arg(long, value_name = "DIR")]
    pub profile: Option<Option<PathBuf>>,
    /// Allow an address that others can reach. There is no login yet: whoever reaches it can run code here.
    #[arg(long)]
    pub allow_remote: bool,
    /// Write log lines as JSON objects.
    #[arg(long)]
    pub json_logs: bool,
}

/// What attempts are given of the machine.
#[derive(Clone, Debug, clap::Args)]
pub struct Given {
    /// What tasks ask for of processor and memory: noted only, or held to by control groups of the kernel
    #[arg(long, value_name = "HOW", value_enum, default_value_t = HeldTo::Advise)]
    pub resources: HeldTo,
    /// An accelerator that the machine has, as often as it has kinds: NAME, NAME=COUNT or NAME:PARTITION=UUID,UUID, such as
    /// T4=2. Default: those that NVIDIA's driver tells of
    #[arg(long, value_name = "DEVICE")]
    pub gpu: Vec<String>,
    /// Hand no accelerators out: every task sees all that the machine has, and what tasks ask for is not looked at
    #[arg(long, conflicts_with = "gpu")]
    pub no_gpus: bool,
}

/// What becomes of what tasks ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HeldTo {
    /// It is noted, and in nobody's way.
    Advise,
    /// It holds: who takes more memory is killed, who takes more processor waits, and what the machine does not have is
    /// refused.
    Enforce,
}

/// Where a log is kept that is not in the data folder.
#[derive(Debug, clap::Args)]
pub struct Kept {
    /// Keep the log in NATS JetStream instead of the data folder: nats://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub log: Option<String>,
    /// How many NATS servers keep each record (1, 3 or 5); only with --log.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "log")]
    pub replicas: usize,
}

/// Run workers in a process of their own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Start it before or after its server, `skein up --log URL --no-workers`, and as many as you like, each with a folder of its
own. SIGTERM lets what runs finish for a few seconds, hands the rest back and ends with 0. While the server is away,
what runs goes on, and its results wait.")]
pub struct Worker {
    /// The NATS JetStream of the server: nats://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub log: String,
    /// Working folders and compiled modules; this worker's own. Made if it is not there, and may be deleted when it has ended
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The server's folder of values, under the path that it has there. Default: as the server says
    #[arg(long, value_name = "DIR")]
    pub blobs: Option<PathBuf>,
    /// The Python that runs user code; it needs flytekit. Default: the active virtual environment's, then python3
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// How many attempts or chunks run at once. Default: one a core
    #[arg(long, value_name = "N")]
    pub slots: Option<std::num::NonZeroUsize>,
    /// Where the key of the secrets is. Default: none, and tasks that ask for secrets fail here
    #[command(flatten)]
    pub secrets: crate::secrets::KeyArgs,
    /// Where tasks run that ask for an image.
    #[command(flatten)]
    pub places: Places,
    /// How much is kept of what an attempt prints, in MiB. Default: 64
    #[arg(long, value_name = "MIB")]
    pub keep_log_mib: Option<std::num::NonZeroU32>,
    /// Whose work is run.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub pool: String,
    /// What attempts are given of the machine.
    #[command(flatten)]
    pub given: Given,
    /// Write log lines as JSON objects.
    #[arg(long)]
    pub json_logs: bool,
}

/// Ways to look into a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print records, oldest first, one JSON object a line.
    Cat(Select),
    /// Check every record against the chain of digests; name all that is wrong.
    Verify(At),
    /// Count journals, records and bytes.
    Stats(Select),
}

/// Where the log is.
#[derive(Debug, clap::Args)]
pub struct At {
    /// A data folder, or nats://HOST:PORT
    #[arg(value_name = "DIR|URL")]
    pub at: String,
}

/// Which records to look at.
#[derive(Debug, clap::Args)]
pub struct Select {
    /// Where the log is.
    #[command(flatten)]
    pub at: At,
    /// Only journals whose name holds this, such as an execution's name
    #[arg(long, value_name = "TEXT")]
    pub journal: Option<String>,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The Python to check, as `skein up` would take it
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// The data folder whose disk is measured. Default: ~/.skein, or the folder above it that is there
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address to check
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
}

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Only these cases, with a comma between: maps, memory, large, dispatch, chains, swarm, uneven, jetstream, recovery
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Larger maps and more runs: some ten minutes
    #[arg(long)]
    pub full: bool,
    /// The Python that runs user code; it needs flytekit. Default: as `skein up` finds it
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// The nats-server that the case jetstream starts, one and then three. Default: the one on the PATH; without one the
    /// case is left out
    #[arg(long, value_name = "PATH")]
    pub nats: Option<PathBuf>,
    /// Where to write a table (figures.md) and a plot (figures.svg)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Answers the data folder: as given, or the user's own.
///
/// # Errors
/// When none was given and there is no home folder.
pub fn data_folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given {
        Some(folder) => Ok(folder),
        None => match std::env::var_os("HOME") {
            Some(home) if !home.is_empty() => Ok(PathBuf::from(home).join(".skein")),
            _ => anyhow::bail!("there is no home folder (HOME is not set): say --data DIR"),
        },
    }
}

//! `cargo xtask demo`: what a new user would do by hand, with its results.

use crate::python::{FLYTEKIT_ALONE, WITH_UNION};
use crate::repository::{release, root};
use crate::server::Server;
use crate::steps::{loud, sdk_environment};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What the demo is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// The SDK whose command line registers and runs the examples.
    #[arg(long, value_enum, default_value_t = Sdk::Flytekit)]
    sdk: Sdk,
    /// Leaves the server up, and says how to stop it.
    #[arg(long)]
    keep: bool,
    /// The Python to make the environment with [default: python3]
    #[arg(long)]
    python: Option<PathBuf>,
}

/// The two SDKs that people have.
#[derive(Clone, Copy, ValueEnum)]
enum Sdk {
    /// `flytekit` alone, through `pyflyte`.
    Flytekit,
    /// `union`, through its own command.
    Union,
}

impl Sdk {
    /// The name of the command line program.
    fn program(self) -> &'static str {
        match self {
            Self::Flytekit => "pyflyte",
            Self::Union => "union",
        }
    }

    /// The folder of the examples that import it.
    fn examples(self) -> &'static str {
        match self {
            Self::Flytekit => "with_flytekit",
            Self::Union => "with_union",
        }
    }
}

/// One run of one example: how it is called here, its file and its workflow with what it is given.
struct Run {
    name: &'static str,
    file: &'static str,
    words: &'static [&'static str],
}

const RUNS: [Run; 4] = [
    Run { name: "map-of-ten", file: "map_workflow.py", words: &["map_workflow"] },
    Run { name: "map-of-10000", file: "map_workflow.py", words: &["map_many", "--count", "10000"] },
    Run { name: "chain-of-20", file: "chain.py", words: &["chain"] },
    Run { name: "diamond", file: "diamond.py", words: &["diamond", "--note", "first day of the year"] },
];

/// Builds, starts, registers, runs, shows, and ends what it started.
///
/// # Errors
///
/// When any of this fails; the message says which, and what to do where that is known.
pub(crate) fn run(options: &Options) -> Result<()> {
    let environment = match options.sdk {
        Sdk::Flytekit => FLYTEKIT_ALONE,
        Sdk::Union => WITH_UNION,
    };
    let bin = environment.ensure(options.python.as_deref())?;
    let skein = release()?;
    println!("starting it");
    let server = Server::start(&skein, &bin.join("python"))?;
    println!("  ready after {:.2} s", server.ready_after.as_secs_f64());
    let client = Client { sdk: options.sdk, bin, config: server.client_config() };
    client.register()?;
    for run in &RUNS {
        client.run(run)?;
    }
    client.show()?;
    if options.keep {
        say_how_to_go_on(&client, server);
        return Ok(());
    }
    server.stop()?;
    println!("\nThe server was ended. With --keep it stays up.");
    Ok(())
}

/// The SDK's command line, pointed at the server by the file that the server wrote.
struct Client {
    sdk: Sdk,
    bin: PathBuf,
    config: PathBuf,
}

impl Client {
    /// Registers the folder of examples, as a user would.
    fn register(&self) -> Result<()> {
        let words = ["register".to_owned(), format!("examples/{}", self.sdk.examples())];
        self.sdk_command(self.sdk.program(), &words).context("the examples could not be registered")
    }

    /// Runs one example and waits for it.
    fn run(&self, run: &Run) -> Result<()> {
        let file = format!("examples/{}/{}", self.sdk.examples(), run.file);
        let options = ["run", "--remote", "--wait", "--poll-interval", "1", "--name", run.name, &file];
        let words: Vec<String> = options.iter().chain(run.words).map(|&word| word.to_owned()).collect();
        self.sdk_command(self.sdk.program(), &words).with_context(|| format!("{} did not succeed", run.name))
    }

    /// Prints what came out of all runs, how long each took, and where it can be looked at.
    fn show(&self) -> Result<()> {
        let script = root().join("xtask/python/show.py");
        let words =
            std::iter::once(script.display().to_string()).chain(RUNS.iter().map(|run| run.name.to_owned()));
        self.sdk_command("python", &words.collect::<Vec<_>>()).context("the outputs could not be read")
    }

    fn sdk_command(&self, program: &str, words: &[String]) -> Result<()> {
        println!("\n$ {program} {}", words.join(" "));
        let start = Instant::now();
        loud(
            sdk_environment(&mut Command::new(self.bin.join(program)))
                .args(words)
                .current_dir(root())
                .env("FLYTECTL_CONFIG", &self.config)
                .env("UNION_CONFIG", &self.config),
        )?;
        println!("  (the command took {:.1} s)", start.elapsed().as_secs_f64());
        Ok(())
    }
}

fn say_how_to_go_on(client: &Client, server: Server) {
    let (url, data, config) = (server.url.clone(), server.data.clone(), shown(&client.config));
    println!("\nThe server stays up at {url}, its data is in {}.", shown(&data));
    println!("To use it from another shell:");
    println!("  export FLYTECTL_CONFIG={config} UNION_CONFIG={config}");
    println!("  {} --help", shown(&client.bin.join(client.sdk.program())));
    if let Some(pid) = server.keep() {
        println!("To stop it: kill {pid}");
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

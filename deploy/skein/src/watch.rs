//! `skein watch`: shows how far an execution is until it has ended.

mod draw;
mod events;
mod screen;
mod source;

use crate::address::{self, Which};
use crate::words::is_broken_pipe;
use screen::Screen;
use skein_gateway::progress::{Phase, Progress};
use skein_model::ExecutionId;
use source::{Next, Source};
use std::process::ExitCode;

/// What a watch exits with whose execution failed or was ended.
const ENDED_BADLY: u8 = 1;
/// What it exits with when it could not watch.
const NOT_WATCHED: u8 = 2;

/// Show how far an execution is, node by node, until it has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with 0 when the execution succeeded, with 1 when it failed or was ended, and with 2 when it cannot be watched. With
--once it ends with 1 only if the execution has failed or was ended already.

On a terminal the picture is drawn anew where it stands; elsewhere a line is printed for each node that has changed.")]
pub struct Watch {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    #[command(flatten)]
    which: Which,
    /// Say once how far it is, and end.
    #[arg(long)]
    pub once: bool,
    /// Print each state as a JSON object in a line of its own.
    #[arg(long)]
    pub json: bool,
}

/// Watches; answers what to exit with. What keeps it from watching is printed.
pub async fn run(watch: &Watch) -> ExitCode {
    match watch_to_the_end(watch).await {
        Ok(phase) => exit_code(phase, watch.once),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skein: {error:#}");
            ExitCode::from(NOT_WATCHED)
        }
    }
}

async fn watch_to_the_end(watch: &Watch) -> anyhow::Result<Phase> {
    let server = watch.which.server()?;
    let mut source = Source::of(&server, &watch.execution)?;
    let mut screen = Screen::of_stdout(watch.json);
    if watch.once {
        let (progress, json) = source.now().await?;
        screen.show_once(&progress, &json)?;
        return Ok(progress.phase);
    }
    source.open().await?;
    loop {
        match source.next().await? {
            Next::Progress(progress, json) => {
                screen.show(&progress, &json)?;
                if progress.phase.is_terminal() {
                    return Ok(progress.phase);
                }
            }
            Next::Lost(reason) => screen.note(&reason)?,
        }
    }
}

fn exit_code(phase: Phase, once: bool) -> ExitCode {
    match phase {
        Phase::Succeeded => ExitCode::SUCCESS,
        phase if once && !phase.is_terminal() => ExitCode::SUCCESS,
        _ => ExitCode::from(ENDED_BADLY),
    }
}

/// A progress as it came: what it says, and its JSON.
type Received = (Progress, String);

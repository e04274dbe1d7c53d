//! An attempt that a worker of its actor environment runs, which somebody else started on this machine.
//!
//! It reads and writes where a child of ours would: in a working folder of this attempt, from which what it left is taken as
//! that of a child. So what a worker does that was given up changes nothing any more.

use super::{Ended, result, stopped};
use crate::child::Exit;
use crate::failure;
use crate::fast_task::Kept;
use crate::fast_task::state::Verdict;
use crate::machine::{Machine, Prepared};
use crate::stop::Stop;
use skein_idl::fasttask::{ExecutionIdentifier, HeartbeatResponse};
use skein_model::command::Outcome;
use skein_model::{Failure, Work};
use tokio::time::Instant;

/// Where a command line names the archive with the code.
const ARCHIVE: &str = "--additional-distribution";

/// Has the worker that `kept` a place run one try of a task node; calls `started` when it says that user code runs.
pub(crate) async fn bridged(
    machine: &Machine,
    work: &Work,
    stop: &mut Stop,
    mut kept: Kept,
    started: impl FnOnce(Option<String>),
) -> Ended<Outcome> {
    let mut early = stop.clone();
    let prepared = tokio::select! {
        biased;
        stopping = early.stopped() => return stopped(stopping),
        prepared = prepare(machine, work) => prepared,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return Ended::Reported(Outcome::Failed(failure)),
    };
    if !kept.assign(message(machine, work, &prepared)) {
        // Its worker went away before it had it.
        return Ended::GivenBack;
    }
    let mut started = Some(started);
    // The time of an attempt begins with its user code.
    let mut until: Option<Instant> = None;
    loop {
        let expired = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let verdict = tokio::select! {
            biased;
            verdict = kept.verdict() => verdict,
            stopping = stop.stopped() => return stopped(stopping),
            () = expired => {
                let failure = failure::timed_out(work.timeout.unwrap_or_default());
                return Ended::Reported(Outcome::Failed(failure));
            }
        };
        if !matches!(verdict, Verdict::Lost(_))
            && let Some(started) = started.take()
        {
            started(Some(format!("worker {}, which this server did not start", kept.worker.worker)));
        }
        match verdict {
            Verdict::Began => until = work.timeout.map(|timeout| Instant::now() + timeout),
            Verdict::Finished => {
                return Ended::Reported(result::collect(machine, work, &prepared, Exit::Code(0), "").await);
            }
            Verdict::Failed { reason, is_permanent, is_systems } => {
                return Ended::Reported(Outcome::Failed(failure::by_worker(
                    &kept.worker.worker,
                    &reason,
                    is_permanent,
                    is_systems,
                )));
            }
            Verdict::Lost(why) => return Ended::Reported(Outcome::Failed(failure::worker_lost(why))),
        }
    }
}

async fn prepare(machine: &Machine, work: &Work) -> Result<Prepared, Failure> {
    let prepared = machine.prepare(work).await?;
    let written = tokio::fs::write(prepared.folder.inputs(), &prepared.inputs).await;
    written.map_err(|error| failure::not_started(&error))?;
    Ok(prepared)
}

/// Answers what the worker is told: the command line as it was rendered, with its folders on this machine.
fn message(machine: &Machine, work: &Work, prepared: &Prepared) -> HeartbeatResponse {
    let mut is_archive = false;
    let cmd = work.args.iter().map(|arg| {
        let was_named = std::mem::replace(&mut is_archive, arg == ARCHIVE);
        if *arg == work.input_uri {
            prepared.folder.inputs().display().to_string()
        } else if *arg == work.output_prefix {
            prepared.folder.outputs().display().to_string()
        } else if was_named {
            machine.blobs.local_path(arg).map_or_else(|| arg.clone(), |path| path.display().to_string())
        } else {
            arg.clone()
        }
    });
    let execution = &work.id.execution;
    HeartbeatResponse {
        namespace: format!("{}-{}", execution.project, execution.domain),
        workflow_id: Some(execution.name.clone()),
        cmd: cmd.collect(),
        env_vars: work.env.iter().cloned().chain(prepared.variables()).collect(),
        exec_id: Some(ExecutionIdentifier {
            org: String::new(),
            project: execution.project.clone(),
            domain: execution.domain.clone(),
            name: execution.name.clone(),
        }),
        ..HeartbeatResponse::default()
    }
}

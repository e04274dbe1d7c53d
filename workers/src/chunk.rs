//! One chunk: a range of a map's items in a warm child, from their inputs to what became of each.

mod gather;
mod inputs;

use crate::attempt::Ended;
use crate::child::Exit;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::plain::Interface;
use crate::report;
use crate::scratch::Folder;
use crate::stop::{Stop, Stopping};
use crate::warm::{OF_ATTEMPT, Warm};
use gather::Gather;
use inputs::ChunkInputs;
use skein_model::event::{FinishedChunk, ItemRange};
use skein_model::{DataRef, Failure, Work, paths};
use skein_protocol::messages::{Chunk, ChunkJob, Part};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many items fail with the chunk when none of it can be run; the others are given back, so that one report
/// stays small.
const FAILED_WITH_CHUNK_MAX: u32 = 256;
/// How often the item that runs is looked at, where there is a limit to how long it may.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(100);
const INDEX_VARIABLE_NAME: &str = "BATCH_JOB_ARRAY_INDEX_VAR_NAME";
const INDEX_VARIABLE: &str = "FLYTE_K8S_ARRAY_INDEX";

/// A range of items, and who runs it.
pub(crate) struct Range<'a> {
    pub items: ItemRange,
    pub bound: &'a [String],
    pub worker: &'a str,
}

/// How the child stopped to run items.
enum Wait {
    Done(u64),
    Exited(Exit),
    TimedOut(Option<u32>),
    Stopped(Stopping),
}

/// Runs a range of items. The child is kept for the next range when it is still good.
pub(crate) async fn run(
    machine: &Machine,
    work: &Work,
    range: &Range<'_>,
    stop: &mut Stop,
) -> Ended<FinishedChunk> {
    let began = Instant::now();
    let mut early = stop.clone();
    let begun = tokio::select! {
        biased;
        stopping = early.stopped() => Err(stopping),
        begun = begin(machine, work, range) => Ok(begun),
    };
    let Begun { mut gather, mut warm, mut folder } = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(failure)) => return Ended::Reported(failed(work, range, &failure)),
        Err(Stopping::Drained) => return Ended::Reported(returned(work, range)),
        Err(Stopping::Withdrawn | Stopping::No) => return Ended::Withdrawn,
    };
    let waited = wait(&mut warm, work, &mut gather, stop).await;
    if !matches!(waited, Wait::Done(_) | Wait::Exited(_)) {
        warm.child.end(machine.config.kill_grace).await;
    }
    let tail = warm.child.capture.end().await;
    if matches!(waited, Wait::Done(_)) && warm.keep(machine, work).await {
        folder.may_be_kept();
    }
    match waited {
        Wait::Stopped(Stopping::Withdrawn | Stopping::No) => return Ended::Withdrawn,
        Wait::Done(_) | Wait::Stopped(Stopping::Drained) => {}
        Wait::TimedOut(item) => gather.fail(item, failure::timed_out(work.timeout.unwrap_or_default())),
        Wait::Exited(exit) => {
            let item = gather.running;
            let failure = failure::from_exit(&work.id, exit, &tail);
            gather.fail(item, failure.unwrap_or_else(|| failure::outputs_not_found(&work.output_prefix)));
        }
    }
    let micros = match waited {
        Wait::Done(micros) => micros,
        _ => u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    Ended::Reported(finish(machine, work, range, gather, micros).await)
}

/// A chunk whose items are about to run.
struct Begun {
    gather: Gather,
    warm: Warm,
    folder: Folder,
}

/// Brings a chunk to the point where its items run.
async fn begin(machine: &Machine, work: &Work, range: &Range<'_>) -> Result<Begun, Failure> {
    let mut prepared = machine.prepare(work).await?;
    if !prepared.line.is_map() && !prepared.line.is_native() {
        let command = &prepared.line.argv[0];
        return Err(failure::invalid(format!(
            "items of a map run by pyflyte-map-execute or a program of their own, but task {} runs {command}",
            work.task.name
        )));
    }
    let outputs = prepared.folder.outputs().display().to_string();
    prepared.line.redirect(&work.output_prefix, &outputs);
    let template = &prepared.template;
    // A program's task is mapped as it was registered: its interface is an item's.
    let interface = if prepared.line.is_native() {
        Interface::of_task(template)
    } else {
        Interface::of_item(template, range.bound)
    };
    let gather = Gather::new(range.items, template, interface, &work.output_prefix);
    let mut warm = Warm::ready(machine, work, &prepared, gather.interface()).await?;
    let inputs = match inputs::of_chunk(&prepared, range, gather.interface().filter(|_| warm.is_fast)) {
        Ok(inputs) => inputs,
        Err(failure) => {
            warm.keep(machine, work).await;
            return Err(failure);
        }
    };
    if matches!(inputs, ChunkInputs::File { .. }) {
        let written = tokio::fs::write(prepared.folder.inputs(), &prepared.inputs).await;
        written.map_err(|error| failure::not_started(&error))?;
    }
    let setting = warm
        .is_forked
        .then(|| machine.setting(work, prepared.line.argv.clone(), &prepared.folder, prepared.code.as_ref()));
    let chunk = chunk(machine, work, range, &prepared, inputs, outputs);
    warm.child.capture.begin(&work.output_prefix).await;
    // A child that is gone already is found by how it ended.
    let _ = warm.child.send(&ChunkJob { chunk, setting }).await;
    Ok(Begun { gather, warm, folder: prepared.folder })
}

fn chunk(
    machine: &Machine,
    work: &Work,
    range: &Range<'_>,
    prepared: &Prepared,
    inputs: ChunkInputs,
    outputs: String,
) -> Chunk {
    let mut env = BTreeMap::from([(INDEX_VARIABLE_NAME.to_owned(), INDEX_VARIABLE.to_owned())]);
    env.extend(work.env.iter().filter(|(name, _)| name == OF_ATTEMPT).cloned());
    let (columns, bound, file, names) = match inputs {
        ChunkInputs::Plain { columns, bound } => (Some(columns), Some(bound), None, None),
        ChunkInputs::File { inputs, names } => (None, None, Some(inputs), Some(names)),
    };
    Chunk {
        start: range.items.start,
        count: range.items.len(),
        argv: prepared.line.argv.clone(),
        env,
        cwd: prepared.folder.work().display().to_string(),
        outputs,
        budget: machine.config.chunk_error_bytes_max,
        columns,
        bound,
        inputs: file,
        names,
    }
}

/// Takes results until the child is done or has to be stopped.
async fn wait(warm: &mut Warm, work: &Work, gather: &mut Gather, stop: &mut Stop) -> Wait {
    let look_every = work.timeout.map(|timeout| (timeout / 4).min(LOOK_EVERY_MAX));
    let mut running = (warm.child.item(), Instant::now());
    loop {
        let look = async {
            match look_every {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            stopping = stop.stopped() => return Wait::Stopped(stopping),
            part = warm.child.receive::<Part>() => match part {
                Ok(Some(Part { ended: Some(code), .. })) => {
                    gather.running = warm.child.item();
                    return Wait::Exited(Exit::Code(code));
                }
                Ok(Some(part)) => {
                    let (is_done, micros) = (part.done, part.micros);
                    gather.take(part);
                    if is_done {
                        return Wait::Done(micros);
                    }
                }
                // What it says when it is no message is as good as nothing.
                Ok(None) | Err(_) => {
                    gather.running = warm.child.item();
                    return Wait::Exited(warm.child.end(Duration::ZERO).await);
                }
            },
            () = look => {
                let item = warm.child.item();
                if item != running.0 {
                    running = (item, Instant::now());
                } else if work.timeout.is_some_and(|timeout| running.1.elapsed() >= timeout) {
                    return Wait::TimedOut(item);
                }
            }
        }
    }
}

async fn finish(
    machine: &Machine,
    work: &Work,
    range: &Range<'_>,
    gather: Gather,
    micros: u64,
) -> FinishedChunk {
    let (outputs, failures, returned) = gather.finish();
    let uri = paths::outputs(&work.output_prefix);
    let stored = report::insist(&machine.config, || machine.blobs.store(&uri, outputs.clone())).await;
    match stored {
        Ok(outputs) => FinishedChunk { outputs, failures, returned, micros, ..returned_all(work, range) },
        Err(error) => failed(work, range, &failure::not_started(&error)),
    }
}

/// None of the items was run, and it would not help to give them back.
fn failed(work: &Work, range: &Range<'_>, failure: &Failure) -> FinishedChunk {
    let ItemRange { start, end } = range.items;
    let middle = end.min(start.saturating_add(FAILED_WITH_CHUNK_MAX));
    let rest = ItemRange { start: middle, end };
    FinishedChunk {
        failures: (start..middle)
            .map(|index| skein_model::event::ItemFailure { index, failure: failure.clone() })
            .collect(),
        returned: if rest.is_empty() { Vec::new() } else { vec![rest] },
        ..returned_all(work, range)
    }
}

/// None of the items was run.
fn returned(work: &Work, range: &Range<'_>) -> FinishedChunk {
    FinishedChunk { returned: vec![range.items], ..returned_all(work, range) }
}

fn returned_all(work: &Work, range: &Range<'_>) -> FinishedChunk {
    FinishedChunk {
        range: range.items,
        attempt: work.id.attempt,
        outputs: DataRef::empty(),
        failures: Vec::new(),
        returned: Vec::new(),
        micros: 0,
        worker: range.worker.to_owned(),
    }
}

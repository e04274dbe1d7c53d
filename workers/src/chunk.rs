//! One chunk: a range of a map's items in a warm child, from their inputs to what became of each.

mod gather;
mod inputs;

use crate::attempt::Ended;
use crate::child::Exit;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::protocol::{Chunk, ChunkInputs, ChunkJob, Part};
use crate::report;
use crate::scratch::Folder;
use crate::stop::{Stop, Stopping};
use crate::warm::{OF_ATTEMPT, Warm, within};
use gather::Gather;
use skein_model::event::{FinishedChunk, ItemRange};
use skein_model::{DataRef, Failure, Work, paths};
use std::collections::BTreeMap;
use std::io;
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
    /// Nothing that it says is worth anything any more; why, in words.
    Broken(String),
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
    let Begun { mut gather, mut warm, mut folder, is_careful, is_sent } = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(failure)) => return Ended::Reported(failed(work, range, &failure)),
        Err(Stopping::Drained) => return Ended::Reported(returned(work, range)),
        Err(Stopping::Withdrawn | Stopping::No) => return Ended::Withdrawn,
    };
    let waited = if is_sent { wait(&mut warm, work, &mut gather, stop).await } else { Wait::TimedOut(None) };
    let key = warm.key;
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
            match failure::from_exit(&work.id, exit, &tail) {
                Some(failure) => gather.fail(item, failure),
                None => gather.leave(item, failure::outputs_not_found(&work.output_prefix)),
            }
        }
        Wait::Broken(ref why) if is_careful || gather.has_one_left() => {
            gather.fail(None, failure::foreign(why));
        }
        // Which of the items it was cannot be told: they run again, and the child answers each before the next.
        Wait::Broken(ref why) => {
            tracing::debug!(work = %work.id, why, "items are run again one by one");
            machine.careful.insert(key);
        }
    }
    let elapsed = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let micros = match waited {
        Wait::Done(micros) => micros.min(elapsed),
        _ => elapsed,
    };
    Ended::Reported(finish(machine, work, range, gather, micros).await)
}

/// A chunk whose items are about to run.
struct Begun {
    gather: Gather,
    warm: Warm,
    folder: Folder,
    /// Whether the child answers each item before it runs the next.
    is_careful: bool,
    /// Whether the child took the chunk in the time that an item has.
    is_sent: bool,
}

/// Brings a chunk to the point where its items run.
async fn begin(machine: &Machine, work: &Work, range: &Range<'_>) -> Result<Begun, Failure> {
    let mut prepared = machine.prepare(work).await?;
    if !prepared.line.is_map() {
        let command = &prepared.line.argv[0];
        return Err(failure::invalid(format!(
            "items of a map run by pyflyte-map-execute, but task {} runs {command}",
            work.task.name
        )));
    }
    let outputs = prepared.folder.outputs().display().to_string();
    prepared.line.redirect(&work.output_prefix, &outputs);
    let gather = Gather::new(range.items, &prepared.template, range.bound, &work.output_prefix);
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
    let is_careful = machine.careful.has(warm.key);
    let mut setting = machine.setting(
        work,
        prepared.line.argv.clone(),
        warm.folder.as_ref().unwrap_or(&prepared.folder),
        prepared.code.as_ref(),
    );
    setting.cwd = prepared.folder.work().display().to_string();
    let chunk = Chunk {
        job: warm.chunks,
        careful: is_careful,
        ..chunk(machine, work, range, &prepared, inputs, outputs)
    };
    warm.child.capture.begin(&work.output_prefix).await;
    let job = ChunkJob { chunk, setting };
    let is_sent = match within(work.timeout, warm.child.send(&job)).await {
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(failure::invalid(format!("the inputs of the items are {error}")));
        }
        // A child that is gone already is found by how it ended.
        sent => sent.is_some(),
    };
    Ok(Begun { gather, warm, folder: prepared.folder, is_careful, is_sent })
}

fn chunk<'a>(
    machine: &Machine,
    work: &Work,
    range: &Range<'_>,
    prepared: &'a Prepared,
    inputs: ChunkInputs,
    outputs: String,
) -> Chunk<'a> {
    let mut env = BTreeMap::from([(INDEX_VARIABLE_NAME.to_owned(), INDEX_VARIABLE.to_owned())]);
    env.extend(work.env.iter().filter(|(name, _)| name == OF_ATTEMPT).cloned());
    Chunk {
        start: range.items.start,
        count: range.items.len(),
        argv: &prepared.line.argv,
        env,
        cwd: prepared.folder.work().display().to_string(),
        outputs,
        budget: machine.config.chunk_error_bytes_max,
        job: 0,
        careful: false,
        inputs,
    }
}

/// Takes results until the child is done or has to be stopped.
async fn wait(warm: &mut Warm, work: &Work, gather: &mut Gather, stop: &mut Stop) -> Wait {
    let look_every = work.timeout.map(|timeout| (timeout / 4).min(LOOK_EVERY_MAX));
    let mut running = (warm.child.item(), Instant::now());
    let job = warm.chunks;
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
                    match gather.take(part, job) {
                        Err(why) => return Wait::Broken(failure::no_message(&why)),
                        Ok(()) if is_done => return Wait::Done(micros),
                        Ok(()) => {}
                    }
                }
                Ok(None) => {
                    gather.running = warm.child.item();
                    return match warm.child.leaves().await {
                        Some(exit) => Wait::Exited(exit),
                        None => Wait::Broken(failure::CLOSED.to_owned()),
                    };
                }
                Err(error) => return Wait::Broken(failure::no_message(&error)),
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

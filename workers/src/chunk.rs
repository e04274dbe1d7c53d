//! One chunk: a range of a map's items in a warm child, from their inputs to what became of each.

mod bisect;
mod gather;
mod inputs;

use crate::attempt::Ended;
use crate::capture::Printed;
use crate::child::Exit;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::report;
use crate::stop::{Stop, Stopping};
use crate::usage::Watched;
use crate::warm::{OF_ATTEMPT, Warm, within};
use bisect::{Death, Piece, Pieces, Process};
use gather::{Asked, Gather};
use inputs::ChunkInputs;
use skein_model::event::{FinishedChunk, ItemRange};
use skein_model::{DataRef, Failure, Work, WorkKind, paths};
use skein_protocol::messages::{Chunk, ChunkJob, Part};
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
    /// All that it was asked for has ended, after so many microseconds.
    Done(u64),
    /// It is gone, and this item ran.
    Exited {
        exit: Exit,
        running: Option<u32>,
        is_raised: bool,
    },
    /// This item ran for too long.
    TimedOut(Option<u32>),
    Stopped(Stopping),
    /// Nothing that it says is worth anything any more, for this reason in words, and this item ran.
    Broken {
        why: String,
        running: Option<u32>,
    },
}

/// What became of a piece of a chunk.
enum Ran {
    /// All of its items have ended.
    Whole,
    /// Its process ended, for this reason, maybe well; whose doing that was has to be found out.
    Died { death: Death, failure: Failure, is_well: bool },
    /// No more of the chunk is to be run.
    Over,
    /// It could not begin.
    NotBegun(Failure),
    /// Nobody wants to know any more.
    Withdrawn,
}

/// Runs a range of items. The child is kept for the next range when it is still good.
pub(crate) async fn run(
    machine: &Machine,
    work: &Work,
    range: &Range<'_>,
    stop: &mut Stop,
    watched: &Watched,
) -> Ended<FinishedChunk> {
    let mut early = stop.clone();
    let prepared = tokio::select! {
        biased;
        stopping = early.stopped() => return match stopping {
            Stopping::Drained => Ended::GivenBack,
            Stopping::Withdrawn | Stopping::No => Ended::Withdrawn,
        },
        prepared = prepare(machine, work) => prepared,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return Ended::Reported(failed(work, range, &failure)),
    };
    let interface = prepared.interface(work);
    let gather = Gather::new(range.items, &prepared.template, interface, &work.output_prefix);
    let mut chunk = Running { machine, work, range, watched, prepared, gather, micros: 0, kept: 0 };
    let mut pieces = Pieces::of(range.items);
    while let Some(piece) = pieces.next() {
        match chunk.run(piece, stop).await {
            Ran::Whole => {}
            Ran::Died { death, failure, is_well } => match pieces.charge(piece, death) {
                Some(item) if is_well => {
                    chunk.gather.leave(Some(item), failure);
                    break;
                }
                Some(item) => {
                    chunk.gather.fail(Some(item), failure);
                    break;
                }
                None => tracing::debug!(?death, "who ended the process is found out by running again"),
            },
            Ran::Over => break,
            Ran::NotBegun(failure) if chunk.gather.has_begun() => {
                tracing::debug!(failure.message, "what had begun runs again elsewhere");
                break;
            }
            Ran::NotBegun(failure) => return Ended::Reported(failed(work, range, &failure)),
            Ran::Withdrawn => return Ended::Withdrawn,
        }
    }
    if !chunk.gather.has_begun() {
        // Not by a report: whoever hears that nothing was run would offer the same again, while it is still leased.
        return Ended::GivenBack;
    }
    Ended::Reported(chunk.finish().await)
}

/// Fetches what a chunk needs.
async fn prepare(machine: &Machine, work: &Work) -> Result<Prepared, Failure> {
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
    Ok(prepared)
}

/// A chunk under way.
struct Running<'a> {
    machine: &'a Machine,
    work: &'a Work,
    range: &'a Range<'a>,
    watched: &'a Watched,
    prepared: Prepared,
    gather: Gather,
    /// How long items have run.
    micros: u64,
    /// How many bytes of what its processes have printed are kept.
    kept: u64,
}

impl Running<'_> {
    /// Runs a piece in one process.
    async fn run(&mut self, piece: Piece, stop: &mut Stop) -> Ran {
        let began = Instant::now();
        let mut early = stop.clone();
        let begun = tokio::select! {
            biased;
            stopping = early.stopped() => Err(stopping),
            begun = self.begin(piece) => Ok(begun),
        };
        let (mut warm, is_sent) = match begun {
            Ok(Ok(begun)) => begun,
            Ok(Err(failure)) => return Ran::NotBegun(failure),
            Err(Stopping::Drained) => return Ran::Over,
            Err(Stopping::Withdrawn | Stopping::No) => return Ran::Withdrawn,
        };
        self.watched.runs(warm.child.target(true, Some(piece.items.start)));
        let waited = if is_sent {
            let may_stop = self.within(piece).is_some();
            let asked = Asked { job: warm.chunks, items: piece.items, may_stop };
            wait(&mut warm, self.work, &mut self.gather, &asked, stop).await
        } else {
            Wait::TimedOut(None)
        };
        self.watched.rests();
        if !matches!(waited, Wait::Done(_) | Wait::Exited { .. }) {
            warm.child.end(self.machine.config.kill_grace).await;
        } else if !matches!(waited, Wait::Done(_)) && self.work.resources.gpus() > 0 {
            // It may only have said that it ends, and before it is gone its accelerators are not another's.
            warm.child.end(Duration::ZERO).await;
        }
        let Printed { tail, kept } = warm.child.capture.end().await;
        self.kept = kept;
        let (is_used, was_out_of_memory) = (warm.is_used(), warm.child.was_out_of_memory());
        if matches!(waited, Wait::Done(_)) && warm.keep(self.machine, self.work).await {
            self.prepared.folder.may_be_kept();
        }
        let elapsed = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros += match waited {
            // It may say anything.
            Wait::Done(micros) => micros.min(elapsed),
            _ => elapsed,
        };
        match waited {
            Wait::Stopped(Stopping::Withdrawn | Stopping::No) => Ran::Withdrawn,
            Wait::Stopped(Stopping::Drained) => Ran::Over,
            Wait::Done(_) if self.gather.next == piece.items.end => Ran::Whole,
            Wait::Done(_) => Ran::Over,
            Wait::TimedOut(item) => {
                self.gather.fail(item, failure::timed_out(self.work.timeout.unwrap_or_default()));
                Ran::Over
            }
            Wait::Exited { exit, running, is_raised } => {
                let failure = failure::from_exit(&self.work.id, exit, &tail);
                let is_well = failure.is_none();
                let failure = failure.unwrap_or_else(|| failure::outputs_not_found(&self.work.output_prefix));
                let failure = match was_out_of_memory {
                    true => failure::out_of_memory(self.work.resources.limits.memory_bytes, &failure),
                    false => failure,
                };
                let death = Death { next: self.gather.next, running, is_raised, is_used };
                Ran::Died { death, failure, is_well }
            }
            // What it said last came from the item that ran, or from any before it: results come in bundles.
            Wait::Broken { why, running } => {
                let running = running.or(Some(piece.items.end - 1));
                let death = Death { next: self.gather.next, running, is_raised: false, is_used };
                Ran::Died { death, failure: failure::foreign(&why), is_well: false }
            }
        }
    }

    /// Brings a piece to the point where its items run; says whether the child took it in the time that an item has.
    async fn begin(&self, piece: Piece) -> Result<(Warm, bool), Failure> {
        let Self { machine, work, range, prepared, gather, .. } = self;
        let mut warm = match piece.process {
            Process::Any => Warm::ready(machine, work, prepared, gather.interface()).await?,
            Process::New => Warm::for_once(machine, work, prepared, gather.interface(), self.kept).await?,
        };
        let interface = gather.interface().filter(|_| warm.is_fast);
        let inputs = match inputs::of_chunk(prepared, range, piece.items, interface) {
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
        let folder = warm.folder.as_ref().unwrap_or(&prepared.folder);
        let mut setting = machine.setting(work, prepared, folder);
        setting.cwd = warm.home().unwrap_or(&prepared.folder).work().display().to_string();
        let setting = machine.confine(&mut warm.child, work, setting)?;
        warm.child.capture.begin_at(&work.output_prefix, self.kept).await;
        let job = ChunkJob { chunk: self.chunk(piece, inputs, &warm), setting };
        let is_sent = match within(work.timeout, warm.child.send(&job)).await {
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(failure::invalid(format!("the inputs of the items are {error}")));
            }
            // A child that is gone already is found by how it ended.
            sent => sent.is_some(),
        };
        Ok((warm, is_sent))
    }

    /// Answers after how long no further item of a piece begins; none is never.
    fn within(&self, piece: Piece) -> Option<Duration> {
        match (&self.work.kind, piece.process) {
            (WorkKind::Items { within, .. }, Process::Any) => *within,
            (WorkKind::Items { .. } | WorkKind::Task, _) => None,
        }
    }

    fn chunk(&self, piece: Piece, inputs: ChunkInputs, warm: &Warm) -> Chunk {
        let Self { machine, work, prepared, gather, .. } = self;
        let mut env = BTreeMap::from([(INDEX_VARIABLE_NAME.to_owned(), INDEX_VARIABLE.to_owned())]);
        env.extend(work.env.iter().filter(|(name, _)| name == OF_ATTEMPT).cloned());
        let (columns, bound, file, names, skip) = match inputs {
            ChunkInputs::Plain { columns, bound } => (Some(columns), Some(bound), None, None, None),
            ChunkInputs::File { inputs, names, skip } => (None, None, Some(inputs), Some(names), Some(skip)),
        };
        Chunk {
            start: piece.items.start,
            count: piece.items.len(),
            argv: prepared.line.argv.clone(),
            env,
            cwd: warm.home().unwrap_or(&prepared.folder).work().display().to_string(),
            outputs: prepared.folder.outputs().display().to_string(),
            budget: machine.config.chunk_error_bytes_max.saturating_sub(gather.error_bytes()),
            within: self.within(piece).map(|within| within.as_secs_f64()),
            job: warm.chunks,
            columns,
            bound,
            inputs: file,
            names,
            skip,
            mark: Some(warm.child.capture.mark().to_owned()),
        }
    }

    async fn finish(self) -> FinishedChunk {
        let Self { machine, work, range, gather, micros, .. } = self;
        let (outputs, failures, returned) = gather.finish();
        let uri = paths::outputs(&work.output_prefix);
        let stored = report::insist(&machine.config, || machine.blobs.store(&uri, outputs.clone())).await;
        match stored {
            Ok(outputs) => FinishedChunk { outputs, failures, returned, micros, ..blank(work, range) },
            Err(error) => failed(work, range, &failure::not_started(&error)),
        }
    }
}

/// Takes results until the child is done or has to be stopped.
async fn wait(warm: &mut Warm, work: &Work, gather: &mut Gather, asked: &Asked, stop: &mut Stop) -> Wait {
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
                    let running = warm.child.item();
                    return Wait::Exited { exit: Exit::Code(code), running, is_raised: true };
                }
                Ok(Some(part)) => {
                    let (is_done, micros) = (part.done, part.micros);
                    match gather.take(part, asked) {
                        Err(why) => {
                            let (why, running) = (failure::no_message(&why), warm.child.item());
                            return Wait::Broken { why, running };
                        }
                        Ok(()) if is_done => return Wait::Done(micros),
                        Ok(()) => {}
                    }
                }
                Ok(None) => {
                    let running = warm.child.item();
                    return match warm.child.leaves().await {
                        Some(exit) => Wait::Exited { exit, running, is_raised: false },
                        None => Wait::Broken { why: failure::CLOSED.to_owned(), running },
                    };
                }
                Err(error) => {
                    let (why, running) = (failure::no_message(&error), warm.child.item());
                    return Wait::Broken { why, running };
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
        ..blank(work, range)
    }
}

/// A chunk of which nothing is said yet.
fn blank(work: &Work, range: &Range<'_>) -> FinishedChunk {
    FinishedChunk {
        range: range.items,
        attempt: work.id.attempt,
        outputs: DataRef::empty(),
        failures: Vec::new(),
        returned: Vec::new(),
        micros: 0,
        worker: range.worker.to_owned(),
        used: None,
    }
}

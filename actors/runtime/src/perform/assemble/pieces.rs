//! Outputs that are larger than what should be held: written as they are read, twice, because what stands before a list
//! says how long it is.

use super::{Fault, Wanted, present, split};
use crate::ports::Ports;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use skein_core::map_task::Part;
use skein_log::BlobError;
use skein_model::DataRef;
use skein_model::event::ItemRange;
use skein_model::literals::{self, ChunkOutputs};
use std::io;
use std::sync::{Mutex, PoisonError};

const GAP_ITEMS_MAX: u32 = 100_000;

/// Items in order, and the part that has their outputs.
struct Run<'a> {
    range: ItemRange,
    part: &'a Part,
    /// Which part that is.
    index: usize,
}

/// What is written next.
enum Step<'a> {
    Head { variable: &'a str, region_bytes: usize },
    Gap(u32),
    Run { variable: &'a str, run: &'a Run<'a> },
}

/// The runs of all parts, and what reads their outputs.
struct Source<'a> {
    ports: &'a Ports,
    runs: Vec<Run<'a>>,
    /// What was read last: the runs of a part follow each other, mostly.
    last: Mutex<Option<(usize, Vec<ChunkOutputs>)>>,
}

/// Writes the outputs.
pub(super) async fn store(ports: &Ports, wanted: &Wanted, uri: &str) -> Result<DataRef, Fault> {
    let source = Source { ports, runs: runs(wanted)?, last: Mutex::new(None) };
    let mut variables = wanted.variables();
    variables.sort_unstable();
    let lengths = source.lengths(&variables, wanted.size).await?;
    let mut steps = Vec::new();
    for (variable, region_bytes) in variables.iter().copied().zip(lengths) {
        steps.push(Step::Head { variable, region_bytes });
        let mut free = 0;
        for run in &source.runs {
            steps.extend(gaps(run.range.start - free));
            steps.push(Step::Run { variable, run });
            free = run.range.end;
        }
        steps.extend(gaps(wanted.size - free));
    }
    let pieces = stream::iter(&steps).then(|step| source.piece(step)).map_err(io::Error::other);
    match ports.blobs.put_stream(uri, pieces.boxed(), u64::MAX).await {
        Ok(blob) => Ok(DataRef::Blob(blob)),
        Err(BlobError::Source { uri, source }) => Err(match source.downcast::<Fault>() {
            Ok(fault) => fault,
            Err(source) => Fault::Blob(BlobError::Source { uri, source }),
        }),
        Err(fault) => Err(Fault::Blob(fault)),
    }
}

/// Cuts items without outputs into pieces that are small enough to be held.
fn gaps<'a>(items: u32) -> impl Iterator<Item = Step<'a>> {
    let whole = (0..items / GAP_ITEMS_MAX).map(|_| Step::Gap(GAP_ITEMS_MAX));
    let rest = items % GAP_ITEMS_MAX;
    whole.chain((rest > 0).then_some(Step::Gap(rest)))
}

/// Answers what each part has, in the order of the items.
fn runs(wanted: &Wanted) -> Result<Vec<Run<'_>>, Fault> {
    let mut runs: Vec<Run<'_>> = wanted
        .parts
        .iter()
        .enumerate()
        .flat_map(|(index, part)| present(part).into_iter().map(move |range| Run { range, part, index }))
        .collect();
    runs.sort_unstable_by_key(|run| run.range.start);
    literals::check_ranges(wanted.size, runs.iter().map(|run| run.range)).map_err(Fault::Wire)?;
    Ok(runs)
}

impl Source<'_> {
    /// Answers how many bytes the elements of each list have.
    async fn lengths(&self, variables: &[&str], size: u32) -> Result<Vec<usize>, Fault> {
        let covered: u32 = self.runs.iter().map(|run| run.range.len()).sum();
        let gaps = literals::gap_region(1).len() * (size - covered) as usize;
        let mut lengths = vec![gaps; variables.len()];
        for run in &self.runs {
            for (variable, length) in variables.iter().zip(&mut lengths) {
                *length += self.region(variable, run).await?.len();
            }
        }
        Ok(lengths)
    }

    async fn piece(&self, step: &Step<'_>) -> Result<Bytes, Fault> {
        match step {
            Step::Head { variable, region_bytes } => Ok(literals::list_head(variable, *region_bytes)),
            Step::Gap(items) => Ok(literals::gap_region(*items as usize)),
            Step::Run { variable, run } => self.region(variable, run).await,
        }
    }

    /// Answers the elements of a run.
    async fn region(&self, variable: &str, run: &Run<'_>) -> Result<Bytes, Fault> {
        let held = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let chunks = match held {
            Some((index, chunks)) if index == run.index => chunks,
            _ => {
                let outputs = self.ports.blobs.load(&run.part.outputs).await.map_err(Fault::Blob)?;
                let mut chunks = Vec::new();
                split(run.part, outputs, &mut chunks).map_err(Fault::Wire)?;
                chunks
            }
        };
        let region = chunks
            .iter()
            .find(|chunk| chunk.range == run.range)
            .map_or(Ok(Bytes::new()), |chunk| literals::chunk_region(variable, chunk));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((run.index, chunks));
        region.map_err(Fault::Wire)
    }
}

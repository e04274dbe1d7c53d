//! Outputs that are larger than what should be held: written as they are read, twice, because what stands before a list
//! says how long it is.

use super::{Fault, present, split};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use skein_core::map_task::Part;
use skein_log::{BlobError, BlobStore};
use skein_model::DataRef;
use skein_model::event::ItemRange;
use skein_model::literals::{self, ChunkOutputs};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

const GAP_ITEMS_MAX: u32 = 100_000;

/// Items in order, and the part that has their outputs.
struct Run<'a> {
    range: ItemRange,
    part: &'a Part,
    /// Which part that is, and which of its runs this.
    place: (usize, usize),
}

/// What is written next.
enum Step<'a> {
    Head { variable: &'a str, region_bytes: usize },
    Gap(u32),
    Run { variable: &'a str, run: &'a Run<'a> },
}

/// The runs of all parts, and what reads their outputs.
struct Source<'a> {
    blobs: &'a BlobStore,
    runs: Vec<Run<'a>>,
    /// The part that was fetched last: its runs follow each other, but for single items that were tried again, whose
    /// parts are small and at hand.
    last: Mutex<Option<(usize, Vec<ChunkOutputs>)>>,
}

/// Writes the outputs of a map of `size` items.
pub(super) async fn store(
    blobs: &BlobStore,
    parts: &[Part],
    mut variables: Vec<&str>,
    size: u32,
    uri: &str,
) -> Result<DataRef, Fault> {
    let source = Source { blobs, runs: runs(parts, size)?, last: Mutex::new(None) };
    variables.sort_unstable();
    let lengths = source.lengths(&variables, size).await?;
    let mut steps = Vec::new();
    for (variable, region_bytes) in variables.iter().copied().zip(lengths) {
        steps.push(Step::Head { variable, region_bytes });
        let mut free = 0;
        for run in &source.runs {
            steps.extend(gaps(run.range.start - free));
            steps.push(Step::Run { variable, run });
            free = run.range.end;
        }
        steps.extend(gaps(size - free));
    }
    let pieces = stream::iter(&steps).then(|step| source.piece(step)).map_err(io::Error::other);
    match blobs.put_stream(uri, pieces.boxed(), u64::MAX).await {
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
fn runs(parts: &[Part], size: u32) -> Result<Vec<Run<'_>>, Fault> {
    let mut runs = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let ranges = present(part).into_iter().enumerate();
        runs.extend(ranges.map(|(nth, range)| Run { range, part, place: (index, nth) }));
    }
    runs.sort_unstable_by_key(|run| run.range.start);
    literals::check_ranges(size, runs.iter().map(|run| run.range)).map_err(Fault::Wire)?;
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
        let (index, nth) = run.place;
        if let DataRef::Inline(outputs) = &run.part.outputs {
            return region_of(variable, run, &cut(run.part, outputs.clone())?, nth);
        }
        let held = self.last().take().filter(|(held, _)| *held == index);
        let chunks = match held {
            Some((_, chunks)) => chunks,
            None => cut(run.part, self.blobs.load(&run.part.outputs).await.map_err(Fault::Blob)?)?,
        };
        let region = region_of(variable, run, &chunks, nth);
        *self.last() = Some((index, chunks));
        region
    }

    fn last(&self) -> MutexGuard<'_, Option<(usize, Vec<ChunkOutputs>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(part: &Part, outputs: Bytes) -> Result<Vec<ChunkOutputs>, Fault> {
    let mut chunks = Vec::new();
    split(part, outputs, &mut chunks).map_err(Fault::Wire)?;
    Ok(chunks)
}

fn region_of(variable: &str, run: &Run<'_>, chunks: &[ChunkOutputs], nth: usize) -> Result<Bytes, Fault> {
    // A part that has not what its record says is told as one that has too few outputs.
    let nothing = ChunkOutputs { range: run.range, failed: Vec::new(), outputs: Bytes::new() };
    literals::chunk_region(variable, chunks.get(nth).unwrap_or(&nothing)).map_err(Fault::Wire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::literals::{encode_collection, encode_integer, encode_literal_map, encode_string};

    const fn range(start: u32, end: u32) -> ItemRange {
        ItemRange { start, end }
    }

    /// A part whose items give their number and, as text, the try that it came from; stored apart when it is large.
    async fn part(blobs: &BlobStore, range: ItemRange, absent: &[u32], attempt: u32) -> Part {
        let items = (range.start..range.end).filter(|item| !absent.contains(item));
        let (mut numbers, mut tries) = (Vec::new(), Vec::new());
        for item in items {
            numbers.push(encode_integer(item.into()));
            tries.push(encode_string(&format!("try {attempt}")));
        }
        let (numbers, tries) = (encode_collection(&numbers), encode_collection(&tries));
        let outputs = encode_literal_map([("n", numbers.as_ref()), ("try", tries.as_ref())]);
        let uri = blobs.url(&format!("part-{}-{attempt}", range.start));
        let outputs = blobs.store(&uri, outputs).await.expect("a disk");
        Part { range, absent: absent.to_vec(), outputs }
    }

    #[tokio::test]
    async fn outputs_in_pieces_are_those_at_once_also_where_items_were_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("the folder is there");
        let parts = [
            part(&blobs, range(500, 1_000), &[], 0).await,
            part(&blobs, range(0, 500), &[0, 7, 8, 499], 0).await,
            part(&blobs, range(7, 9), &[8], 1).await,
            part(&blobs, range(499, 500), &[], 1).await,
        ];
        assert!(
            matches!(parts[1].outputs, DataRef::Blob(_)) && matches!(parts[2].outputs, DataRef::Inline(_))
        );
        let uri = blobs.url("whole");
        let stored = store(&blobs, &parts, vec!["try", "n"], 1_010, &uri).await.expect("all is there");
        let mut chunks = Vec::new();
        for part in &parts {
            chunks.extend(cut(part, blobs.load(&part.outputs).await.expect("a disk")).expect("as recorded"));
        }
        chunks.sort_unstable_by_key(|chunk| chunk.range.start);
        let whole = literals::assemble_map(["n", "try"], 1_010, &chunks).expect("they fit");
        assert_eq!(blobs.load(&stored).await.ok(), Some(whole));
    }

    #[tokio::test]
    async fn a_part_that_lacks_what_its_record_says_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("the folder is there");
        let short = Part { range: range(0, 9), ..part(&blobs, range(0, 8), &[], 0).await };
        let uri = blobs.url("whole");
        let fault = store(&blobs, &[short], vec!["n"], 9, &uri).await.expect_err("one is missing");
        assert!(fault.to_string().contains("8 outputs of a chunk in which 9 items succeeded"), "{fault}");
        let twice = [part(&blobs, range(0, 9), &[], 0).await, part(&blobs, range(8, 9), &[], 1).await];
        assert!(matches!(store(&blobs, &twice, vec!["n"], 9, &uri).await, Err(Fault::Wire(_))));
    }

    #[tokio::test]
    async fn a_part_that_is_gone_is_told_as_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("the folder is there");
        let gone = part(&blobs, range(0, 900), &[], 0).await;
        blobs.delete(&blobs.url("part-0-0")).await.expect("a disk");
        let stored = store(&blobs, &[gone], vec!["n"], 900, &blobs.url("whole")).await;
        assert!(matches!(stored, Err(Fault::Blob(BlobError::NotFound { .. }))), "{stored:?}");
    }
}

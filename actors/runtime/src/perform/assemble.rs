//! Puts the outputs of a map together from those of its chunks.

mod pieces;

use super::{Done, later_or, system_failure};
use crate::ports::Ports;
use bytes::Bytes;
use skein_core::map_task::Part;
use skein_core::{Execution, Plan};
use skein_log::BlobError;
use skein_model::event::{Created, ItemRange};
use skein_model::literals::{self, ChunkOutputs, Collection, WireError};
use skein_model::{Attempt, Command, DataRef, NodeId, paths};
use std::sync::Arc;

/// A map whose items have all ended, taken from an execution's state.
pub(super) struct Wanted {
    node: NodeId,
    plan: Arc<Plan>,
    place: usize,
    created: Arc<Created>,
    parts: Vec<Part>,
    size: u32,
}

impl Wanted {
    pub(super) fn of(execution: &Execution, node: NodeId) -> Option<Self> {
        let map = execution.map_of(&node)?;
        Some(Self {
            plan: Arc::clone(execution.plan()),
            place: execution.find(&node)?,
            created: Arc::clone(execution.created()?),
            parts: map.parts.clone(),
            size: map.size,
            node,
        })
    }

    /// Answers how large the outputs of all parts are, in bytes.
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.outputs.size()).sum()
    }

    fn variables(&self) -> Vec<&str> {
        let interface = self.plan.template(self.place).interface.as_ref();
        let outputs = interface.and_then(|interface| interface.outputs.as_ref());
        outputs.into_iter().flat_map(|outputs| outputs.variables.keys().map(String::as_str)).collect()
    }
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Blob(BlobError),
    #[error(transparent)]
    Wire(WireError),
}

/// Puts the outputs together and answers the execution.
pub(super) async fn outputs(ports: &Ports, wanted: &Wanted) -> Done {
    let node = wanted.node.clone();
    let failed = |failure| Command::InputsFailed { node: wanted.node.clone(), failure };
    let prefix = paths::attempt_prefix(&wanted.created.data_prefix, &node, Attempt(0));
    let uri = paths::outputs(&prefix);
    let stored = if wanted.bytes() > ports.config.outputs_at_once_max {
        pieces::store(&ports.blobs, &wanted.parts, wanted.variables(), wanted.size, &uri).await
    } else {
        store(ports, wanted, &uri).await
    };
    match stored {
        Ok(outputs) => Done::answer(Command::MapAssembled { node, outputs }),
        Err(Fault::Blob(fault)) => later_or(fault, failed),
        Err(Fault::Wire(fault)) => {
            let message = format!("the outputs of the items cannot be put together: {fault}");
            Done::answer(failed(system_failure("OutputsUnreadable", message)))
        }
    }
}

async fn store(ports: &Ports, wanted: &Wanted, uri: &str) -> Result<DataRef, Fault> {
    let mut chunks = Vec::with_capacity(wanted.parts.len());
    for part in &wanted.parts {
        let outputs = ports.blobs.load(&part.outputs).await.map_err(Fault::Blob)?;
        split(part, outputs, &mut chunks).map_err(Fault::Wire)?;
    }
    chunks.sort_unstable_by_key(|chunk: &ChunkOutputs| chunk.range.start);
    let outputs = literals::assemble_map(wanted.variables(), wanted.size, &chunks).map_err(Fault::Wire)?;
    ports.blobs.store(uri, outputs).await.map_err(Fault::Blob)
}

/// Cuts a part at the items it lacks: other parts, of later tries, have those.
fn split(part: &Part, outputs: Bytes, chunks: &mut Vec<ChunkOutputs>) -> Result<(), WireError> {
    if part.absent.is_empty() {
        chunks.push(ChunkOutputs { range: part.range, failed: Vec::new(), outputs });
        return Ok(());
    }
    let mut lists = Vec::new();
    for (name, value) in literals::literal_map_entries(&outputs)? {
        lists.push((name, Collection::of(&value)?));
    }
    let mut taken = 0;
    for range in present(part) {
        let from = taken;
        taken += range.len() as usize;
        let mut values = Vec::with_capacity(lists.len());
        for (name, list) in &lists {
            if let Some(list) = list {
                values.push((name.as_str(), list.slice(from, taken)?));
            }
        }
        let outputs =
            literals::encode_literal_map(values.iter().map(|(name, value)| (*name, value.as_ref())));
        chunks.push(ChunkOutputs { range, failed: Vec::new(), outputs });
    }
    Ok(())
}

/// Lists the ranges of items that a part has.
fn present(part: &Part) -> Vec<ItemRange> {
    let mut ranges = Vec::new();
    let mut start = part.range.start;
    for absent in part.absent.iter().copied().chain([part.range.end]) {
        if start < absent {
            ranges.push(ItemRange { start, end: absent });
        }
        start = absent.saturating_add(1);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::DataRef;

    #[test]
    fn a_part_is_cut_at_the_items_it_lacks() {
        let part = |absent: &[u32]| Part {
            range: ItemRange { start: 2, end: 7 },
            absent: absent.to_vec(),
            outputs: DataRef::empty(),
        };
        let range = |start, end| ItemRange { start, end };
        assert_eq!(present(&part(&[])), [range(2, 7)]);
        assert_eq!(present(&part(&[2, 4, 5])), [range(3, 4), range(6, 7)]);
        assert_eq!(present(&part(&[6])), [range(2, 6)]);
    }
}

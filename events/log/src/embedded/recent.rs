//! The last records, in memory: whoever follows closely need not go to the disk.

use crate::event_log::{Followed, Position};
use skein_model::{Category, Envelope};
use std::collections::VecDeque;

const RECORDS_MAX: usize = 4096;
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Recent {
    records: VecDeque<(u64, Envelope)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn push(&mut self, sequence: u64, envelope: Envelope) {
        self.bytes += envelope.record.body.len();
        self.records.push_back((sequence, envelope));
        while self.records.len() > RECORDS_MAX || self.bytes > BYTES_MAX {
            let Some((_, dropped)) = self.records.pop_front() else { break };
            self.bytes -= dropped.record.body.len();
        }
    }

    /// Gives at most `limit` records of a category after `seen`, and up to where that is all of them. None when some
    /// of them are not here any more.
    pub(super) fn after(&self, category: Category, seen: u64, limit: usize) -> Option<(Vec<Followed>, u64)> {
        let (first, _) = self.records.front()?;
        let start = usize::try_from((seen + 1).checked_sub(*first)?).ok()?;
        let (mut batch, mut end) = (Vec::new(), seen);
        for (sequence, envelope) in self.records.iter().skip(start) {
            if batch.len() == limit {
                break;
            }
            end = *sequence;
            if envelope.journal.category() == category {
                let position = Position { shard: 0, sequence: *sequence };
                batch.push(Followed { position, envelope: envelope.clone() });
            }
        }
        Some((batch, end))
    }
}

//! Journals that follow one another: when one is full, the next begins. Where they end is found without reading them.

use crate::event_log::{EventLog, ReadError};
use skein_model::{Envelope, Head, JournalId};

/// Answers the number of the last journal of a row that has records, and where that ends; none when not even the first has.
/// A row has no holes: a journal is begun when the one before is full.
///
/// # Errors
/// When the log cannot be read.
pub async fn last_segment(
    log: &dyn EventLog,
    journal: impl Fn(u32) -> JournalId,
) -> Result<Option<(u32, Head)>, ReadError> {
    let mut last = None;
    let mut step = 1_u32;
    // First in steps that double, until there is nothing; then back in steps that halve.
    let mut reach = 0_u32;
    loop {
        let head = log.head(&journal(reach)).await?;
        if head == Head::EMPTY {
            break;
        }
        last = Some((reach, head));
        let Some(next) = reach.checked_add(step) else { break };
        (reach, step) = (next, step.saturating_mul(2));
    }
    let Some((mut found, mut end)) = last else { return Ok(None) };
    let mut above = reach;
    while above - found > 1 {
        let middle = found + (above - found) / 2;
        let head = log.head(&journal(middle)).await?;
        if head == Head::EMPTY {
            above = middle;
        } else {
            (found, end) = (middle, head);
        }
    }
    Ok(Some((found, end)))
}

/// Reads the last two journals of a row; answers the number of the last, where it ends, and the records of both. None when not
/// even the first has records.
///
/// # Errors
/// When the log cannot be read.
pub async fn read_last_two(
    log: &dyn EventLog,
    journal: impl Fn(u32) -> JournalId,
) -> Result<Option<(u32, Head, Vec<Envelope>)>, ReadError> {
    let Some((last, head)) = last_segment(log, &journal).await? else { return Ok(None) };
    let mut records = match last.checked_sub(1) {
        Some(before) => log.read(&journal(before), Head::EMPTY).await?,
        None => Vec::new(),
    };
    records.extend(log.read(&journal(last), Head::EMPTY).await?);
    Ok(Some((last, head, records)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryLog;
    use skein_model::{Category, CauseId, Record, Timestamp};

    #[tokio::test]
    async fn the_last_of_a_row_is_found_however_long_it_is() {
        let log = MemoryLog::default();
        let journal = |segment| JournalId::from_parts(Category::Schedule, &format!("p/d/lp/{segment}"));
        assert_eq!(last_segment(&log, journal).await.expect("it is in memory"), None);
        for segment in 0..40 {
            let record = Record {
                time: Timestamp::EPOCH,
                cause: CauseId(0),
                trace: None,
                closes: true,
                body: bytes::Bytes::new(),
            };
            let appended = log.append(&journal(segment), Head::EMPTY, record).await.expect("it is in memory");
            let found = last_segment(&log, journal).await.expect("it is in memory");
            assert_eq!(found, Some((segment, appended.head)));
        }
    }
}

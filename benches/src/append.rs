//! How fast the logs append, beside what the same disk and the same NATS do raw:
//! `cargo run --release -p skein-benches --bin bench-append [-- nats://HOST:PORT]`.
//!
//! Raw and ours take turns, so that whatever else the machine does meets both; what counts is the ratio of each turn.
//! Raw does the same work at the same batch and the same sync, with nobody to be answered:
//!
//! - *disk*: as many bytes as the records have in our table are appended to a file, then `fdatasync`;
//! - *`SQLite`*: the same rows in the same table, write-ahead log, `synchronous = FULL`, checkpoints as `SQLite` does them;
//! - *NATS*: the same bodies published to one stream, each acknowledgement waited for.

#[path = "append/nats.rs"]
mod nats;
#[path = "append/raw.rs"]
mod raw;

use bytes::Bytes;
use futures::future::join_all;
use skein_benches::figures::{self, Turns};
use skein_log::EventLog;
use skein_log::embedded::EmbeddedLog;
use skein_model::{CauseId, ExecutionId, Head, JournalId, Record, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The size of a record's body in bytes: an attempt that ended, with small outputs.
const BODY: usize = 200;
/// Appends of one turn, and how many journals are written at once.
const SINGLE: u64 = 250;
const MANY: u64 = 6_400;
const JOURNALS: u64 = 64;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = skein_benches::folder();
    let log: Arc<dyn EventLog> =
        Arc::new(EmbeddedLog::open(&folder.path().join("log")).expect("an empty folder"));
    let table = raw::Table::new(folder.path());
    for (records, at_once) in [(SINGLE, 1), (MANY, JOURNALS)] {
        let words = if at_once == 1 { "one at a time".to_owned() } else { format!("{at_once} at once") };
        let mut turns = Turns::new();
        for _ in 0..figures::TURNS {
            turns.take("raw disk, fdatasync", || raw::disk(folder.path(), records, at_once));
            turns.take("raw SQLite, WAL and FULL", || table.insert(records, at_once));
            turns.take("embedded log", || runtime.block_on(append(&log, records, at_once)));
        }
        turns.report("records", &words);
        turns.ratio("embedded log", "raw disk, fdatasync");
        turns.ratio("embedded log", "raw SQLite, WAL and FULL");
    }
    if let Some(url) = std::env::args().nth(1) {
        runtime.block_on(nats::compare(&url));
    }
}

/// Appends to so many journals at once, each record when the one before it in its journal is durable.
async fn append(log: &Arc<dyn EventLog>, records: u64, journals: u64) -> u64 {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let writers = (0..journals).map(|number| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let name = format!("r{run}-{number}-{}", std::process::id());
            let id = ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name };
            let journal = JournalId::execution(&id);
            let mut head = Head::EMPTY;
            for _ in 0..records / journals {
                let record = Record {
                    time: Timestamp::EPOCH,
                    cause: CauseId(0),
                    trace: None,
                    closes: false,
                    body: Bytes::from_static(&[7; BODY]),
                };
                head = log.append(&journal, head, record).await.expect("the log works").head;
            }
        })
    });
    for writer in join_all(writers).await {
        writer.expect("no writer panics");
    }
    records / journals * journals
}

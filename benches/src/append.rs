//! How fast the logs append, beside what the same disk and the same NATS do raw:
//! `cargo run --release -p skein-benches --bin bench-append [-- nats://HOST:PORT]`.

use bytes::Bytes;
use futures::future::join_all;
use skein_benches::figures;
use skein_log::embedded::EmbeddedLog;
use skein_log::{EventLog, jetstream};
use skein_model::{CauseId, ExecutionId, Head, JournalId, Record, Timestamp};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// The size of a record's body in bytes: an attempt that ended, with small outputs.
const BODY: usize = 200;
/// Appends of one run, and how many journals are written at once.
const SINGLE: u64 = 2_000;
const MANY: u64 = 20_000;
const JOURNALS: u64 = 64;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = TempDir::new_in(".").expect("a folder beside the sources, on a real disk");
    let raw_one = figures::per_second("raw disk: fdatasync of one record", "records", || {
        raw_disk(folder.path(), SINGLE, 1)
    });
    let raw_many = figures::per_second("raw disk: fdatasync of 64 records", "records", || {
        raw_disk(folder.path(), MANY, 64)
    });
    let sqlite_one = figures::per_second("raw SQLite (WAL, FULL): commit of one row", "records", || {
        raw_sqlite(folder.path(), SINGLE, 1)
    });
    let sqlite_many = figures::per_second("raw SQLite (WAL, FULL): commit of 64 rows", "records", || {
        raw_sqlite(folder.path(), MANY, 64)
    });
    let log: Arc<dyn EventLog> =
        Arc::new(EmbeddedLog::open(&folder.path().join("log")).expect("an empty folder"));
    let one = figures::per_second("embedded log: one writer", "records", || {
        runtime.block_on(append(&log, SINGLE, 1))
    });
    let many = figures::per_second("embedded log: 64 writers", "records", || {
        runtime.block_on(append(&log, MANY, JOURNALS))
    });
    println!("embedded over raw disk: {:.2} single, {:.2} with 64 at once", one / raw_one, many / raw_many);
    println!(
        "embedded over raw SQLite: {:.2} single, {:.2} with 64 at once",
        one / sqlite_one,
        many / sqlite_many
    );
    if let Some(url) = std::env::args().nth(1) {
        runtime.block_on(nats(&url));
    }
}

fn raw_disk(folder: &Path, records: u64, batch: u64) -> u64 {
    let mut file = File::create(folder.join("raw")).expect("the folder is writable");
    let bytes = vec![7_u8; BODY * usize::try_from(batch).expect("a small number")];
    for _ in 0..records / batch {
        file.write_all(&bytes).expect("there is space");
        file.sync_data().expect("the disk works");
    }
    records / batch * batch
}

fn raw_sqlite(folder: &Path, records: u64, batch: u64) -> u64 {
    let file = folder.join("raw.db");
    let mut connection = rusqlite::Connection::open(&file).expect("the folder is writable");
    connection.pragma_update(None, "journal_mode", "WAL").expect("a new file");
    connection.pragma_update(None, "synchronous", "FULL").expect("a new file");
    connection
        .execute("CREATE TABLE IF NOT EXISTS t (seq INTEGER PRIMARY KEY, body BLOB)", ())
        .expect("a new file");
    let body = vec![7_u8; BODY];
    for _ in 0..records / batch {
        let transaction = connection.transaction().expect("nobody else writes");
        let mut insert = transaction.prepare("INSERT INTO t (body) VALUES (?)").expect("the table is there");
        for _ in 0..batch {
            insert.execute([&body]).expect("there is space");
        }
        drop(insert);
        transaction.commit().expect("the disk works");
    }
    records / batch * batch
}

async fn append(log: &Arc<dyn EventLog>, records: u64, journals: u64) -> u64 {
    static RUN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let run = RUN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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

async fn nats(url: &str) {
    let client = async_nats::connect(url).await.expect("a server");
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        ..Default::default()
    };
    context.get_or_create_stream(config).await.expect("a server with JetStream");
    let (raw_one, raw_many) = (publish(&context, SINGLE, 1).await, publish(&context, MANY, JOURNALS).await);
    let settings = jetstream::Settings { replicas: 1, ..jetstream::Settings::new("bench") };
    let stream = jetstream::connect(url, settings).await.expect("a server with JetStream");
    let log: Arc<dyn EventLog> = Arc::new(stream.log());
    let (one, many) = (
        timed("JetStream log: one writer", &log, 1).await,
        timed("JetStream log: 64 writers", &log, JOURNALS).await,
    );
    println!(
        "JetStream over raw publishing: {:.2} single, {:.2} with 64 at once",
        one / raw_one,
        many / raw_many
    );
}

async fn timed(name: &str, log: &Arc<dyn EventLog>, journals: u64) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let count = append(log, if journals == 1 { SINGLE } else { MANY }, journals).await;
        rates.push(figures::rate(count, start.elapsed()));
    }
    figures::report(name, "records", &mut rates)
}

async fn publish(context: &async_nats::jetstream::Context, records: u64, at_once: u64) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let publishers = (0..at_once).map(|number| {
            let context = context.clone();
            tokio::spawn(async move {
                for _ in 0..records / at_once {
                    let acknowledged =
                        context.publish(format!("raw.{number}"), Bytes::from_static(&[7; BODY])).await;
                    acknowledged.expect("a server").await.expect("it is stored");
                }
            })
        });
        for publisher in join_all(publishers).await {
            publisher.expect("no publisher panics");
        }
        rates.push(figures::rate(records / at_once * at_once, start.elapsed()));
    }
    let name = if at_once == 1 {
        "raw NATS: publish and wait, one at a time"
    } else {
        "raw NATS: publish and wait, 64 at once"
    };
    figures::report(name, "records", &mut rates)
}

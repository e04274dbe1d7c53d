//! `skein log`: looks into a log without changing it.

use crate::args::{At, Select};
use crate::parts;
use anyhow::Context as _;
use futures::StreamExt as _;
use serde::Serialize;
use skein_log::embedded::EmbeddedReader;
use skein_log::{Cursor, EventLog as _, Followed, ReadError, jetstream};
use skein_model::{
    CatalogEvent, Category, Envelope, Event, Head, JournalId, NotificationEvent, RegistryEvent,
    ScheduleEvent, codec,
};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints records, oldest first, one JSON object a line.
///
/// # Errors
/// When the log cannot be read.
pub async fn cat(select: &Select) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |followed: Followed| -> anyhow::Result<()> {
        if select.has(&followed.envelope.journal) {
            // Whoever reads may have seen enough (`| head`); that is no fault.
            writeln!(out, "{}", readable(&followed)?)?;
        }
        Ok(())
    };
    let outcome = each(&select.at, &mut print).await;
    match outcome {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(()) => {
            drop(out);
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Select {
    fn has(&self, journal: &JournalId) -> bool {
        self.journal.as_ref().is_none_or(|text| journal.key().contains(text))
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A record as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    shard: u16,
    sequence: u64,
    journal: String,
    version: u64,
    schema: u16,
    time_us: i64,
    cause: String,
    trace: Option<String>,
    closes: bool,
    digest: String,
    events: Events<'a>,
}

/// What a record holds. Written straight from the events, because a JSON value has no room for a digest of 128 bits.
#[derive(Serialize)]
#[serde(untagged)]
enum Events<'a> {
    Execution(Vec<Event>),
    Registry(Vec<RegistryEvent>),
    Catalog(Vec<CatalogEvent>),
    Notification(Vec<NotificationEvent>),
    Schedule(Vec<ScheduleEvent>),
    Unreadable { unreadable: String, bytes: &'a [u8] },
}

fn readable(followed: &Followed) -> serde_json::Result<String> {
    let Envelope { schema, journal, version, digest, record } = &followed.envelope;
    serde_json::to_string(&Line {
        shard: followed.position.shard,
        sequence: followed.position.sequence,
        journal: journal.to_string(),
        version: version.0,
        schema: *schema,
        time_us: record.time.as_micros(),
        cause: format!("{:016x}", record.cause.0),
        trace: record.trace.map(|trace| format!("{:032x}", trace.trace_id)),
        closes: record.closes,
        digest: format!("{:016x}", digest.0),
        events: events(&followed.envelope),
    })
}

fn events(envelope: &Envelope) -> Events<'_> {
    let bytes = &envelope.record.body[..];
    let read = match envelope.journal.category() {
        Category::Execution => codec::decode(envelope.schema, bytes).map(Events::Execution),
        Category::Registry => codec::decode(envelope.schema, bytes).map(Events::Registry),
        Category::Catalog => codec::decode(envelope.schema, bytes).map(Events::Catalog),
        Category::Notification => codec::decode(envelope.schema, bytes).map(Events::Notification),
        Category::Schedule => codec::decode(envelope.schema, bytes).map(Events::Schedule),
    };
    read.unwrap_or_else(|error| Events::Unreadable { unreadable: error.to_string(), bytes })
}

/// Checks every record; names all that is wrong.
///
/// # Errors
/// When the log cannot be read at all.
pub async fn verify(at: &At) -> anyhow::Result<ExitCode> {
    let (records, damages) = match folder(at) {
        Some(folder) => {
            let found = EmbeddedReader::open(&folder)?.verify()?;
            (found.records, found.damages.iter().map(|damage| format!("{damage:#}")).collect())
        }
        None => verify_chains(at).await?,
    };
    for damage in &damages {
        println!("damaged: {damage}");
    }
    println!("{records} records, {} damaged", damages.len());
    Ok(if damages.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_chains(at: &At) -> anyhow::Result<(u64, Vec<String>)> {
    let mut heads: BTreeMap<JournalId, Head> = BTreeMap::new();
    let (mut records, mut damages) = (0, Vec::new());
    let outcome = each(at, &mut |followed| {
        records += 1;
        let head = heads.entry(followed.envelope.journal.clone()).or_default();
        if let Err(damage) = followed.envelope.check(*head) {
            damages.push(damage.to_string());
        }
        *head = followed.envelope.head(followed.position.sequence);
        Ok(())
    })
    .await;
    match outcome {
        Ok(()) => {}
        Err(error) => match error.downcast_ref::<ReadError>() {
            Some(ReadError::Damaged(_) | ReadError::Unreadable { .. }) => damages.push(format!("{error:#}")),
            _ => return Err(error),
        },
    }
    Ok((records, damages))
}

/// What is in a category.
#[derive(Default)]
struct Counts {
    records: u64,
    bytes: u64,
    journals: BTreeMap<JournalId, (u64, bool)>,
}

/// Counts journals, records and bytes.
///
/// # Errors
/// When the log cannot be read.
pub async fn stats(select: &Select) -> anyhow::Result<ExitCode> {
    let mut categories: BTreeMap<Category, Counts> = BTreeMap::new();
    each(&select.at, &mut |followed| {
        let envelope = followed.envelope;
        if !select.has(&envelope.journal) {
            return Ok(());
        }
        let counts = categories.entry(envelope.journal.category()).or_default();
        let bytes = envelope.record.body.len() as u64;
        counts.records += 1;
        counts.bytes += bytes;
        let (size, closed) = counts.journals.entry(envelope.journal).or_default();
        *size += bytes;
        *closed = envelope.record.closes;
        Ok(())
    })
    .await?;
    println!(
        "{:<10} {:>10} {:>10} {:>10} {:>14}  largest journal",
        "category", "journals", "open", "records", "bytes"
    );
    for category in Category::ALL {
        let counts = categories.remove(&category).unwrap_or_default();
        let open = counts.journals.values().filter(|(_, closed)| !closed).count();
        let largest = counts.journals.iter().max_by_key(|(_, (size, _))| *size);
        let largest =
            largest.map_or_else(String::new, |(journal, (size, _))| format!("{journal} ({size} bytes)"));
        let (journals, records, bytes) = (counts.journals.len(), counts.records, counts.bytes);
        println!("{:<10} {journals:>10} {open:>10} {records:>10} {bytes:>14}  {largest}", category.word());
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes every record of a log, category by category where it has no common order.
async fn each(at: &At, take: &mut dyn FnMut(Followed) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let Some(folder) = folder(at) {
        let reader = EmbeddedReader::open(&folder)?;
        for followed in reader.records() {
            take(followed?)?;
        }
        return Ok(());
    }
    let stream = jetstream::connect_to_existing(&at.at, parts::settings())
        .await
        .with_context(|| format!("the log at {} cannot be used", at.at))?;
    let log = stream.log();
    for category in Category::ALL {
        let end = log.end(category).await?;
        let mut seen = Cursor::default();
        let reached = |seen: &Cursor| {
            end.0.iter().enumerate().all(|(shard, last)| seen.0.get(shard).copied().unwrap_or(0) >= *last)
        };
        let mut records = log.follow(category, Cursor::default());
        while !reached(&seen) {
            let Some(followed) = records.next().await else { break };
            let followed = followed?;
            seen.advance(followed.position);
            take(followed)?;
        }
    }
    Ok(())
}

/// Answers the folder of the log; none for a URL. A data folder has it under `log`.
fn folder(at: &At) -> Option<PathBuf> {
    if at.at.contains("://") {
        return None;
    }
    let given = Path::new(&at.at);
    let inner = given.join("log");
    Some(if inner.is_dir() { inner } else { given.to_owned() })
}

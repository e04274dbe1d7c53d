//! What the catalog promises, over a log in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that finds something else than it looks for has failed its test"
)]

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use skein_catalog::{Catalog, Kept, MEMORY_MAX, Reserved};
use skein_log::memory::MemoryLog;
use skein_log::{AppendError, Appended, Cursor, EventLog, Followed, ReadError};
use skein_model::{
    Attempt, CacheKey, CacheSource, Category, DataRef, Dataset, Envelope, ExecutionId, Head, JournalId,
    NodeId, Record, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const LATER: Timestamp = Timestamp::from_micros(31_000_001);
const SPAN: Duration = Duration::from_secs(30);

fn log() -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::default())
}

fn catalog(log: &Arc<dyn EventLog>) -> Catalog {
    Catalog::new(Arc::clone(log), MEMORY_MAX)
}

/// A log that lets others run before it appends, as one on a disk does.
struct Slow(MemoryLog);

#[async_trait]
impl EventLog for Slow {
    async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        tokio::task::yield_now().await;
        self.0.append(journal, after, record).await
    }

    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError> {
        self.0.read(journal, after).await
    }

    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError> {
        self.0.head(journal).await
    }

    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>> {
        self.0.follow(category, from)
    }

    async fn end(&self, category: Category) -> Result<Cursor, ReadError> {
        self.0.end(category).await
    }

    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError> {
        self.0.open_journals(category).await
    }
}

fn dataset(task: &str) -> Dataset {
    Dataset {
        project: "p".to_owned(),
        domain: "d".to_owned(),
        task: task.to_owned(),
        version: "1".to_owned(),
        interface: 5,
    }
}

fn source(execution: &str) -> CacheSource {
    CacheSource {
        execution: ExecutionId::parse("p", "d", execution).unwrap(),
        node: NodeId::new("n0"),
        attempt: Attempt(0),
        task_version: "v1".to_owned(),
    }
}

fn outputs(text: &'static str) -> DataRef {
    DataRef::Inline(Bytes::from_static(text.as_bytes()))
}

fn kept(keys: &[u128], text: &'static str, items: bool) -> Kept {
    let keys = keys.iter().map(|key| CacheKey(*key)).collect();
    Kept { keys, outputs: outputs(text), source: source("x"), items }
}

#[tokio::test]
async fn what_was_kept_is_found_at_once_by_everybody_who_reads_the_same_log() {
    let log = log();
    let (one, other) = (catalog(&log), catalog(&log));
    let wool = dataset("wool");
    assert_eq!(other.look_up(&wool, &[CacheKey(1)]).await.unwrap(), [None]);
    one.keep(&wool, kept(&[1], "spun", false), NOW).await.unwrap();
    let found = other.look_up(&wool, &[CacheKey(1), CacheKey(2)]).await.unwrap();
    let first = found[0].as_ref().unwrap();
    assert_eq!((&first.outputs, &first.source, first.item), (&outputs("spun"), &source("x"), None));
    assert_eq!(found[1], None);
}

#[tokio::test]
async fn what_is_kept_again_replaces_what_was_kept() {
    let catalog = catalog(&log());
    let wool = dataset("wool");
    catalog.keep(&wool, kept(&[1], "old", false), NOW).await.unwrap();
    catalog.keep(&wool, kept(&[1], "new", false), NOW).await.unwrap();
    let found = catalog.look_up(&wool, &[CacheKey(1)]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().outputs, outputs("new"));
}

#[tokio::test]
async fn another_version_or_interface_is_another_dataset() {
    let catalog = catalog(&log());
    let wool = dataset("wool");
    catalog.keep(&wool, kept(&[1], "spun", false), NOW).await.unwrap();
    for other in [
        Dataset { version: "2".to_owned(), ..wool.clone() },
        Dataset { interface: 6, ..wool.clone() },
        Dataset { domain: "e".to_owned(), ..wool.clone() },
        dataset("silk"),
    ] {
        assert_eq!(catalog.look_up(&other, &[CacheKey(1)]).await.unwrap(), [None], "{other}");
    }
}

#[tokio::test]
async fn items_of_more_keys_than_one_event_holds_are_found_at_their_places() {
    let catalog = catalog(&log());
    let wool = dataset("wool");
    let keys: Vec<u128> = (0..40_000).collect();
    catalog.keep(&wool, kept(&keys, "many", true), NOW).await.unwrap();
    let asked: Vec<CacheKey> = [39_999, 7, 50_000].map(CacheKey).to_vec();
    let found = catalog.look_up_items(&wool, &asked).await.unwrap();
    let items: Vec<Option<u32>> = found.places.iter().map(|place| place.map(|(_, item)| item)).collect();
    assert_eq!(items, [Some(39_999), Some(7), None]);
    assert!(found.outputs.iter().all(|found| *found == outputs("many")));
}

#[tokio::test]
async fn what_many_keep_at_once_shares_records() {
    let log: Arc<dyn EventLog> = Arc::new(Slow(MemoryLog::default()));
    let catalog = Arc::new(catalog(&log));
    let wool = dataset("wool");
    let keeps = (0..200).map(|key| {
        let (catalog, wool) = (Arc::clone(&catalog), wool.clone());
        tokio::spawn(async move { catalog.keep(&wool, kept(&[key], "one", false), NOW).await })
    });
    for keep in keeps.collect::<Vec<_>>() {
        keep.await.unwrap().unwrap();
    }
    let keys: Vec<CacheKey> = (0..200).map(CacheKey).collect();
    assert!(catalog.look_up(&wool, &keys).await.unwrap().iter().all(Option::is_some));
    let end = log.end(Category::Catalog).await.unwrap();
    assert!(end.0.iter().sum::<u64>() <= 3, "one alone, and all that came while it was written: {end:?}");
}

#[tokio::test]
async fn what_was_evicted_is_not_found_and_is_said_to_have_been_there() {
    let catalog = catalog(&log());
    let wool = dataset("wool");
    catalog.keep(&wool, kept(&[1, 2], "spun", true), NOW).await.unwrap();
    assert_eq!(catalog.evict(&wool, Some(&[CacheKey(1), CacheKey(9)]), "me", NOW).await.unwrap(), 1);
    let keys = [CacheKey(1), CacheKey(2), CacheKey(9)];
    assert_eq!(catalog.evicted(&wool, &keys).await.unwrap(), [true, false, false]);
    assert_eq!(catalog.evict(&wool, None, "me", NOW).await.unwrap(), 1);
    assert_eq!(catalog.look_up(&wool, &keys).await.unwrap(), [None, None, None]);
    let listed = catalog.datasets().await.unwrap();
    assert_eq!((listed.len(), listed[0].entries), (1, 0));
}

#[tokio::test]
async fn the_keys_of_an_execution_are_those_of_the_entries_it_made() {
    let catalog = catalog(&log());
    let wool = dataset("wool");
    catalog.keep(&wool, kept(&[3, 1], "spun", true), NOW).await.unwrap();
    let other = Kept { source: source("y"), ..kept(&[1, 2], "spun", true) };
    catalog.keep(&wool, other, NOW).await.unwrap();
    let execution = source("x").execution;
    assert_eq!(catalog.keys_of(&wool, &execution, None).await.unwrap(), [CacheKey(3)]);
    let node = NodeId::new("n9");
    assert_eq!(catalog.keys_of(&wool, &execution, Some(&node)).await.unwrap(), []);
}

#[tokio::test]
async fn a_bound_on_memory_forgets_and_loses_nothing() {
    let log = log();
    let catalog = Catalog::new(Arc::clone(&log), 1);
    for task in ["one", "two", "three"] {
        catalog.keep(&dataset(task), kept(&[1], "spun", false), NOW).await.unwrap();
    }
    for task in ["one", "two", "three"] {
        assert!(catalog.look_up(&dataset(task), &[CacheKey(1)]).await.unwrap()[0].is_some(), "{task}");
    }
}

#[tokio::test]
async fn of_several_who_want_a_key_one_has_it_until_it_gives_it_up() {
    let log = log();
    let (one, other) = (catalog(&log), catalog(&log));
    let (wool, key, until) = (dataset("wool"), CacheKey(1), NOW.after(SPAN));
    let reserve = async |catalog: &Catalog, who: &str| {
        catalog.reserve(&wool, key, &source(who), NOW, until).await.unwrap()
    };
    assert_eq!(reserve(&one, "x").await, Reserved::Ours);
    assert_eq!(reserve(&one, "x").await, Reserved::Ours, "renewed");
    assert_eq!(reserve(&other, "y").await, Reserved::Theirs { owner: source("x"), until });
    other.release(&wool, key, &source("y"), NOW).await.unwrap();
    assert_eq!(reserve(&other, "y").await, Reserved::Theirs { owner: source("x"), until }, "not its own");
    one.release(&wool, key, &source("x"), NOW).await.unwrap();
    assert_eq!(reserve(&other, "y").await, Reserved::Ours);
}

#[tokio::test]
async fn a_reservation_that_is_not_renewed_ends() {
    let catalog = catalog(&log());
    let (wool, key) = (dataset("wool"), CacheKey(1));
    let reserve = async |who: &str, now: Timestamp| {
        catalog.reserve(&wool, key, &source(who), now, now.after(SPAN)).await.unwrap()
    };
    assert_eq!(reserve("x", NOW).await, Reserved::Ours);
    assert!(matches!(reserve("y", NOW).await, Reserved::Theirs { .. }));
    assert_eq!(reserve("y", LATER).await, Reserved::Ours);
    assert!(matches!(reserve("x", LATER).await, Reserved::Theirs { .. }), "whoever had it comes too late");
}

//! Checks of [`EventLog`].

mod following;

pub use following::{
    a_follower_sees_every_record_once_and_in_order_while_others_append, a_follower_sees_one_category_only,
    a_follower_that_resumes_neither_loses_nor_repeats, a_follower_that_takes_nothing_holds_nothing_back,
    a_follower_waits_for_what_is_not_there_yet, all_followers_see_the_same,
    following_to_the_end_gives_all_that_was_acknowledged,
    the_end_of_a_category_is_reached_though_another_has_grown_since,
};

use crate::event_log::{AppendError, Appended, Cursor, EventLog};
use bytes::Bytes;
use following::follow;
use futures::future;
use skein_model::envelope::{BODY_BYTES_MAX, TraceContext};
use skein_model::{Category, CauseId, Envelope, Head, JournalId, Record, Timestamp, Version};
use std::collections::HashSet;
use std::sync::Arc;

/// A log under check.
pub type Log = Arc<dyn EventLog>;

/// Runs every check, each on what `make` gives it: a log of its own, or one that they share.
pub async fn event_log(make: impl AsyncFn() -> Log) {
    a_journal_without_records_is_empty(make().await).await;
    what_was_appended_is_read_back(make().await).await;
    a_body_of_the_largest_size_is_taken_and_a_larger_one_is_not(make().await).await;
    of_racing_writers_exactly_one_succeeds(make().await).await;
    a_conflict_names_where_the_journal_ends_and_writes_nothing(make().await).await;
    whoever_is_told_of_a_conflict_can_read_what_won(make().await).await;
    a_journal_is_read_after_a_head(make().await).await;
    an_acknowledged_record_is_seen_by_everybody_at_once(make().await).await;
    a_follower_sees_every_record_once_and_in_order_while_others_append(make().await).await;
    a_follower_that_resumes_neither_loses_nor_repeats(make().await).await;
    a_follower_that_takes_nothing_holds_nothing_back(make().await).await;
    a_follower_sees_one_category_only(make().await).await;
    a_follower_waits_for_what_is_not_there_yet(make().await).await;
    all_followers_see_the_same(make().await).await;
    following_to_the_end_gives_all_that_was_acknowledged(make().await).await;
    the_end_of_a_category_is_reached_though_another_has_grown_since(make().await).await;
    journals_are_open_until_a_record_closes_them(make().await).await;
    names_are_kept_apart_whatever_they_hold(make().await).await;
    a_name_of_two_categories_is_two_journals(make().await).await;
}

/// Makes a record with a body of some text.
pub fn record(text: &str) -> Record {
    Record {
        time: Timestamp::from_micros(1_700_000_000_000_000),
        cause: CauseId(u64::MAX),
        trace: None,
        closes: false,
        body: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn journal(name: &str) -> JournalId {
    JournalId::from_parts(Category::Execution, &format!("conformance/event_log/{name}"))
}

/// Appends `texts` one after the other; answers what the log said of each.
pub async fn append_all(log: &Log, journal: &JournalId, after: Head, texts: &[&str]) -> Vec<Appended> {
    let mut head = after;
    let mut all = Vec::new();
    for text in texts {
        let appended = log.append(journal, head, record(text)).await;
        assert!(appended.is_ok(), "an append after the head of {journal} succeeds: {appended:?}");
        let appended = appended.expect("checked by the line above");
        head = appended.head;
        all.push(appended);
    }
    all
}

async fn read(log: &Log, journal: &JournalId, after: Head) -> Vec<Envelope> {
    let envelopes = log.read(journal, after).await;
    assert!(envelopes.is_ok(), "journal {journal} can be read: {envelopes:?}");
    envelopes.expect("checked by the line above")
}

async fn head(log: &Log, journal: &JournalId) -> Head {
    let head = log.head(journal).await;
    assert!(head.is_ok(), "journal {journal} has a head: {head:?}");
    head.expect("checked by the line above")
}

async fn end(log: &Log, category: Category) -> Cursor {
    let end = log.end(category).await;
    assert!(end.is_ok(), "the log knows its end: {end:?}");
    end.expect("checked by the line above")
}

async fn open_journals(log: &Log, category: Category) -> HashSet<JournalId> {
    let open = log.open_journals(category).await;
    assert!(open.is_ok(), "the log knows its open journals: {open:?}");
    open.expect("checked by the line above").into_iter().collect()
}

fn texts(envelopes: &[Envelope]) -> Vec<String> {
    envelopes.iter().map(|envelope| String::from_utf8_lossy(&envelope.record.body).into_owned()).collect()
}

/// A journal that nobody has written has the empty head and no records.
pub async fn a_journal_without_records_is_empty(log: Log) {
    let journal = journal("nobody-wrote-this");
    assert_eq!(head(&log, &journal).await, Head::EMPTY, "a journal without records has the empty head");
    assert_eq!(read(&log, &journal, Head::EMPTY).await, [], "a journal without records has none");
}

/// Every part of a record comes back, under the head that the append answered.
pub async fn what_was_appended_is_read_back(log: Log) {
    let journal = journal("read-back");
    let full = Record {
        time: Timestamp::from_micros(-1),
        cause: CauseId(7),
        trace: Some(TraceContext { trace_id: u128::MAX - 3, span_id: u64::MAX - 5 }),
        closes: true,
        body: Bytes::from_static(&[0, 255, 0, 10, 13]),
    };
    let empty = Record { body: Bytes::new(), ..record("") };
    let mut last = Head::EMPTY;
    let mut sealed = Vec::new();
    for record in [full, empty] {
        let envelope = Envelope::seal(journal.clone(), last, record.clone());
        let appended = log.append(&journal, last, record).await;
        assert!(appended.is_ok(), "an append after the head succeeds: {appended:?}");
        let appended = appended.expect("checked by the line above");
        assert_eq!(
            appended.head,
            envelope.head(appended.head.sequence),
            "the head is that of the sealed record"
        );
        last = appended.head;
        sealed.push(envelope);
    }
    assert_eq!(read(&log, &journal, Head::EMPTY).await, sealed, "what was appended is read back");
    assert_eq!(head(&log, &journal).await, last, "the head is the one that the append answered");
}

/// The largest body there may be is kept whole; a larger one is refused for good, and nothing of it is written.
pub async fn a_body_of_the_largest_size_is_taken_and_a_larger_one_is_not(log: Log) {
    let journal = journal("large");
    let body: Bytes = (0..BODY_BYTES_MAX).map(|n| (n % 251) as u8).collect();
    let largest = Record { body: body.clone(), ..record("") };
    let appended = log.append(&journal, Head::EMPTY, largest).await;
    assert!(appended.is_ok(), "a body of {BODY_BYTES_MAX} bytes is taken: {appended:?}");
    let found = read(&log, &journal, Head::EMPTY).await;
    assert!(
        found.len() == 1 && found[0].record.body == body,
        "a body of {BODY_BYTES_MAX} bytes is kept whole"
    );
    let larger = Record { body: vec![0; BODY_BYTES_MAX + 1].into(), ..record("") };
    let refused = log.append(&journal, head(&log, &journal).await, larger).await;
    let limit = matches!(refused, Err(AppendError::TooLarge { bytes, limit, .. }) if bytes == limit + 1);
    assert!(limit, "a body over the limit is refused with its size and the limit: {refused:?}");
    assert_eq!(head(&log, &journal).await.version, Version(1), "nothing is written of a body over the limit");
}

/// However many append after one head at once, one gets through and the others learn of it.
pub async fn of_racing_writers_exactly_one_succeeds(log: Log) {
    const WRITERS: usize = 16;
    let journal = journal("racing");
    let mut last = Head::EMPTY;
    for round in 1..=4 {
        let appends = (0..WRITERS).map(|writer| {
            let (log, journal) = (Arc::clone(&log), journal.clone());
            tokio::spawn(async move { log.append(&journal, last, record(&format!("writer {writer}"))).await })
        });
        let (mut won, mut lost, mut others) = (Vec::new(), 0, Vec::new());
        for ended in future::join_all(appends).await {
            match ended.expect("an append does not panic") {
                Ok(appended) => won.push(appended),
                Err(AppendError::Conflict { .. }) => lost += 1,
                Err(other) => others.push(other),
            }
        }
        assert!(others.is_empty(), "a racing append succeeds or conflicts: {others:?}");
        assert_eq!((won.len(), lost), (1, WRITERS - 1), "of {WRITERS} racing appends exactly one succeeds");
        last = won[0].head;
        assert_eq!(last.version, Version(round), "the one that succeeds writes one record");
    }
    assert_eq!(read(&log, &journal, Head::EMPTY).await.len(), 4, "appends that lost a race leave nothing");
}

/// Whoever lost a race reads the journal next, and finds the record that it lost against.
pub async fn whoever_is_told_of_a_conflict_can_read_what_won(log: Log) {
    for round in 0..20 {
        let journal = journal(&format!("lost-race-{round}"));
        let racers = (0..8).map(|_| {
            let (log, journal) = (Arc::clone(&log), journal.clone());
            tokio::spawn(async move {
                match log.append(&journal, Head::EMPTY, record("first")).await {
                    Err(AppendError::Conflict { .. }) => {
                        log.read(&journal, Head::EMPTY).await.map_or(0, |found| found.len())
                    }
                    _ => 1,
                }
            })
        });
        for found in futures::future::join_all(racers.collect::<Vec<_>>()).await {
            assert!(matches!(found, Ok(1)), "what won is there when the others are told: {found:?}");
        }
    }
}

/// Whoever names an old head, or one ahead of the journal, is told both versions.
pub async fn a_conflict_names_where_the_journal_ends_and_writes_nothing(log: Log) {
    let journal = journal("conflict");
    let heads = append_all(&log, &journal, Head::EMPTY, &["one", "two", "three"]).await;
    for (stale, expected) in [(Head::EMPTY, 0), (heads[0].head, 1), (heads[1].head, 2)] {
        let refused = log.append(&journal, stale, record("never")).await;
        let named = matches!(&refused, Err(AppendError::Conflict { journal: named, expected: e, actual })
            if *named == journal && *e == Version(expected) && *actual == Version(3));
        assert!(named, "a conflict names the journal, what was expected and what is there: {refused:?}");
    }
    let found = texts(&read(&log, &journal, Head::EMPTY).await);
    assert_eq!(found, ["one", "two", "three"], "an append that conflicts writes nothing");
    let other = journal_with_nothing();
    let refused = log.append(&other, heads[2].head, record("never")).await;
    let named = matches!(refused, Err(AppendError::Conflict { actual: Version(0), .. }));
    assert!(named, "an append after a head that the journal has not reached conflicts: {refused:?}");
}

fn journal_with_nothing() -> JournalId {
    journal("conflict-with-nothing")
}

/// Reading after a head gives what follows it, and nothing after the last.
pub async fn a_journal_is_read_after_a_head(log: Log) {
    let journal = journal("after-a-head");
    let written = ["a", "b", "c", "d", "e"];
    let heads = append_all(&log, &journal, Head::EMPTY, &written).await;
    for (seen, appended) in heads.iter().enumerate() {
        let found = read(&log, &journal, appended.head).await;
        assert_eq!(texts(&found), written[seen + 1..], "reading after a head gives what follows it");
        let versions: Vec<u64> = found.iter().map(|envelope| envelope.version.0).collect();
        let expected: Vec<u64> = (seen as u64 + 2..=5).collect();
        assert_eq!(versions, expected, "versions are without gaps");
    }
}

/// Once an append is acknowledged, head, read, end and follow all know of it.
pub async fn an_acknowledged_record_is_seen_by_everybody_at_once(log: Log) {
    let journal = journal("at-once");
    let mut last = Head::EMPTY;
    for round in 0..20 {
        let before = end(&log, Category::Execution).await;
        let appended = append_all(&log, &journal, last, &[&format!("round {round}")]).await[0];
        assert_eq!(
            head(&log, &journal).await,
            appended.head,
            "the head is there when the append is acknowledged"
        );
        assert_eq!(read(&log, &journal, last).await.len(), 1, "the record is there when it is acknowledged");
        let reached = end(&log, Category::Execution).await;
        assert!(reached.covers(appended.position), "the end covers every acknowledged record");
        assert!(!before.covers(appended.position), "the end does not cover what is not appended");
        let (found, _) = follow(&log, before, 1, std::slice::from_ref(&journal)).await;
        assert_eq!(found[0].position, appended.position, "a follower finds a record where the append said");
        last = appended.head;
    }
}

/// A journal is listed while its last record does not close it.
pub async fn journals_are_open_until_a_record_closes_them(log: Log) {
    let (open, closed, reopened) = (journal("open"), journal("closed"), journal("reopened"));
    let closing = || Record { closes: true, ..record("closes") };
    for journal in [&open, &closed, &reopened] {
        append_all(&log, journal, Head::EMPTY, &["opens"]).await;
    }
    for journal in [&closed, &reopened] {
        let appended = log.append(journal, head(&log, journal).await, closing()).await;
        assert!(appended.is_ok(), "a closing record is taken: {appended:?}");
    }
    append_all(&log, &reopened, head(&log, &reopened).await, &["goes on"]).await;
    let listed = open_journals(&log, Category::Execution).await;
    assert!(listed.contains(&open), "a journal that no record closes is open");
    assert!(!listed.contains(&closed), "a journal whose last record closes it is not open");
    assert!(listed.contains(&reopened), "a journal that goes on after a closing record is open");
    let others = open_journals(&log, Category::Registry).await;
    assert!(!others.contains(&open), "open journals are listed by category");
}

/// Names differ when one character does; none is taken for a pattern, a path or a separator.
pub async fn names_are_kept_apart_whatever_they_hold(log: Log) {
    let long = "x".repeat(200);
    let names = [
        "a.b",
        "a/b",
        "a b",
        "a%2Fb",
        "a%20b",
        "a_b",
        "a-b",
        "A.b",
        "a",
        "a.",
        ".a",
        "a/",
        "*",
        ">",
        "a.*",
        "a.>",
        "$JS",
        "ü",
        "u\u{308}",
        "日本語",
        "🧵",
        "'\"; --",
        "\\",
        "a=",
        "a+b",
        "a~b",
        "(a)",
        &long,
    ];
    let from = end(&log, Category::Execution).await;
    let journals: Vec<JournalId> = names.iter().map(|name| journal(&format!("names/{name}"))).collect();
    for (journal, name) in journals.iter().zip(names) {
        append_all(&log, journal, Head::EMPTY, &[name]).await;
    }
    for (journal, name) in journals.iter().zip(names) {
        let found = texts(&read(&log, journal, Head::EMPTY).await);
        assert_eq!(found, [name], "journal {journal} holds what was written to it, and nothing else");
    }
    let listed = open_journals(&log, Category::Execution).await;
    let missing: Vec<&JournalId> = journals.iter().filter(|journal| !listed.contains(journal)).collect();
    assert!(missing.is_empty(), "journals are listed under the names they were written with: {missing:?}");
    let (found, _) = follow(&log, from, names.len(), &journals).await;
    let followed: HashSet<&JournalId> = found.iter().map(|one| &one.envelope.journal).collect();
    assert_eq!(followed.len(), names.len(), "journals are followed under the names they were written with");
}

/// The same name in two categories names two journals.
pub async fn a_name_of_two_categories_is_two_journals(log: Log) {
    for category in Category::ALL {
        let journal = JournalId::from_parts(category, "conformance/event_log/two-categories");
        append_all(&log, &journal, Head::EMPTY, &[category.word()]).await;
        let found = texts(&read(&log, &journal, Head::EMPTY).await);
        assert_eq!(found, [category.word()], "a journal of one category is not one of another");
    }
}

/// A log that is closed and opened again has everything, and goes on. `open` is called again after everything that it
/// gave before was dropped.
pub async fn reopening(open: impl AsyncFn() -> Log) {
    let (kept, closed) = (journal("reopening"), journal("reopening-closed"));
    let log = open().await;
    let from = end(&log, Category::Execution).await;
    append_all(&log, &kept, Head::EMPTY, &["one", "two"]).await;
    let closing = Record { closes: true, ..record("closes") };
    let appended = log.append(&closed, Head::EMPTY, closing).await;
    assert!(appended.is_ok(), "a closing record is taken: {appended:?}");
    let (last, reached) = (head(&log, &kept).await, end(&log, Category::Execution).await);
    drop(log);
    let log = open().await;
    assert_eq!(head(&log, &kept).await, last, "heads are the same after opening again");
    assert_eq!(end(&log, Category::Execution).await, reached, "the end is the same after opening again");
    let stale = log.append(&kept, Head::EMPTY, record("never")).await;
    let refused = matches!(stale, Err(AppendError::Conflict { actual: Version(2), .. }));
    assert!(refused, "a head that is not the last is refused after opening again: {stale:?}");
    append_all(&log, &kept, last, &["three"]).await;
    let found = texts(&read(&log, &kept, Head::EMPTY).await);
    assert_eq!(found, ["one", "two", "three"], "a journal goes on after opening again");
    let (found, _) = follow(&log, from, 4, &[kept.clone(), closed.clone()]).await;
    assert_eq!(found.len(), 4, "a cursor of before opening again is still good");
    let listed = open_journals(&log, Category::Execution).await;
    assert!(listed.contains(&kept) && !listed.contains(&closed), "journals are open or closed as before");
}

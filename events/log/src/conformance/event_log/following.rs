//! Checks of what followers of a log see.

use super::super::{is_pending, soon};
use super::{Log, append_all, end, journal};
use crate::event_log::{Cursor, Followed};
use futures::{StreamExt, future};
use skein_model::{Category, Envelope, Head, JournalId};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Follows executions after `from` until `count` records of `journals` have come; answers them, and the cursor there.
pub(super) async fn follow(
    log: &Log,
    from: Cursor,
    count: usize,
    journals: &[JournalId],
) -> (Vec<Followed>, Cursor) {
    let mut cursor = from.clone();
    let mut stream = log.follow(Category::Execution, from);
    let mut found = Vec::new();
    while found.len() < count {
        let next = soon("the next record of a follower", stream.next()).await;
        assert!(matches!(next, Some(Ok(_))), "a follower gets records without end and error: {next:?}");
        let Some(Ok(followed)) = next else { break };
        assert!(
            !cursor.covers(followed.position),
            "a follower sees no record twice: {:?}",
            followed.position
        );
        cursor.advance(followed.position);
        if journals.contains(&followed.envelope.journal) {
            found.push(followed);
        }
    }
    (found, cursor)
}

/// Eight writers, one follower: each record once, records of a journal in order, shards in order.
pub async fn a_follower_sees_every_record_once_and_in_order_while_others_append(log: Log) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let journals: Vec<JournalId> = (0..WRITERS).map(|n| journal(&format!("concurrent-{n}"))).collect();
    let from = end(&log, Category::Execution).await;
    let writers = journals.iter().cloned().map(|journal| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let texts: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            append_all(&log, &journal, Head::EMPTY, &texts).await
        })
    });
    let writers = future::join_all(writers.collect::<Vec<_>>());
    let (written, (found, _)) = future::join(writers, follow(&log, from, WRITERS * EACH, &journals)).await;
    let mut positions: BTreeMap<u16, u64> = BTreeMap::new();
    let mut heads: BTreeMap<&JournalId, Head> = BTreeMap::new();
    for Followed { position, envelope } in &found {
        let last = positions.insert(position.shard, position.sequence).unwrap_or(0);
        assert!(last < position.sequence, "positions of a shard only grow");
        let head = heads.entry(&envelope.journal).or_default();
        assert_eq!(envelope.check(*head), Ok(()), "records of a journal come in order and unchanged");
        *head = envelope.head(position.sequence);
    }
    let acknowledged = written.iter().flatten().flatten().count();
    assert_eq!((found.len(), acknowledged), (WRITERS * EACH, WRITERS * EACH), "each record is seen once");
}

/// A follower that is open and takes nothing: everybody appends on, and another follower sees all of it. When it takes
/// records at last, it gets each of them.
pub async fn a_follower_that_takes_nothing_holds_nothing_back(log: Log) {
    const WRITERS: usize = 16;
    /// More than any follower is sent ahead.
    const EACH: usize = 100;
    let journals: Vec<JournalId> = (0..WRITERS).map(|n| journal(&format!("unheeded-{n}"))).collect();
    let from = end(&log, Category::Execution).await;
    let mut slow = log.follow(Category::Execution, from.clone());
    append_all(&log, &journals[0], Head::EMPTY, &["first"]).await;
    let first = soon("the first record of a slow follower", slow.next()).await;
    assert!(matches!(first, Some(Ok(_))), "a slow follower gets its first record: {first:?}");
    let writers = journals.iter().cloned().map(|journal| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let head = super::head(&log, &journal).await;
            append_all(&log, &journal, head, &["later"; EACH]).await.len()
        })
    });
    let appended = soon("every append beside a slow follower", future::join_all(writers)).await;
    assert!(appended.iter().all(|count| matches!(count, Ok(EACH))), "all appends are acknowledged");
    let count = WRITERS * EACH + 1;
    let (others, _) = follow(&log, from, count, &journals).await;
    let mut late = usize::from(matches!(&first, Some(Ok(one)) if journals.contains(&one.envelope.journal)));
    while late < count {
        let next = soon("the next record of a slow follower", slow.next()).await;
        assert!(matches!(next, Some(Ok(_))), "a slow follower goes on without end and error: {next:?}");
        late += usize::from(matches!(next, Some(Ok(one)) if journals.contains(&one.envelope.journal)));
    }
    assert_eq!((others.len(), late), (count, count), "both followers see everything");
}

/// A follower that goes away and comes back with its cursor, at every place, misses nothing.
pub async fn a_follower_that_resumes_neither_loses_nor_repeats(log: Log) {
    let journals = [journal("resume-a"), journal("resume-b")];
    let start = end(&log, Category::Execution).await;
    let mut heads = [Head::EMPTY; 2];
    for n in 0..12 {
        let which = n % 2;
        heads[which] = append_all(&log, &journals[which], heads[which], &[&n.to_string()]).await[0].head;
    }
    let (all, _) = follow(&log, start.clone(), 12, &journals).await;
    for stop_after in 1..12 {
        let (mut found, cursor) = follow(&log, start.clone(), stop_after, &journals).await;
        let (rest, _) = follow(&log, cursor, 12 - stop_after, &journals).await;
        found.extend(rest);
        let order = |found: &[Followed], journal: &JournalId| -> Vec<Envelope> {
            let of_journal = found.iter().filter(|one| one.envelope.journal == *journal);
            of_journal.map(|one| one.envelope.clone()).collect()
        };
        for journal in &journals {
            let same = order(&found, journal) == order(&all, journal);
            assert!(
                same,
                "a follower that stops after {stop_after} and resumes sees the same records of {journal}"
            );
        }
    }
}

/// Definitions and executions are followed apart.
pub async fn a_follower_sees_one_category_only(log: Log) {
    let execution = journal("one-category");
    let definition = JournalId::from_parts(Category::Registry, "conformance/event_log/one-category");
    let from = end(&log, Category::Registry).await;
    append_all(&log, &execution, Head::EMPTY, &["execution"]).await;
    append_all(&log, &definition, Head::EMPTY, &["definition"]).await;
    let mut stream = log.follow(Category::Registry, from);
    loop {
        let next = soon("the record of the category", stream.next()).await;
        assert!(matches!(next, Some(Ok(_))), "a follower gets records without end and error: {next:?}");
        let Some(Ok(Followed { envelope, .. })) = next else { break };
        assert_eq!(envelope.journal.category(), Category::Registry, "a follower sees its category only");
        if envelope.journal == definition {
            break;
        }
    }
}

/// A follower at the end waits, and goes on when something comes.
pub async fn a_follower_waits_for_what_is_not_there_yet(log: Log) {
    let journal = journal("waiting");
    let from = end(&log, Category::Execution).await;
    let mut stream = log.follow(Category::Execution, from);
    assert!(is_pending(&mut stream.next()).await, "a follower at the end waits");
    let mut last = Head::EMPTY;
    for text in ["one", "two"] {
        last = append_all(&log, &journal, last, &[text]).await[0].head;
        let next = soon("a record that was waited for", stream.next()).await;
        let come = matches!(&next, Some(Ok(one)) if one.envelope.journal == journal && one.envelope.version == last.version);
        assert!(come, "a follower that waits gets the next record: {next:?}");
    }
}

/// Two followers from one place get the same records in the same order of each shard.
pub async fn all_followers_see_the_same(log: Log) {
    let journals: Vec<JournalId> = (0..4).map(|n| journal(&format!("same-{n}"))).collect();
    let from = end(&log, Category::Execution).await;
    for journal in &journals {
        append_all(&log, journal, Head::EMPTY, &["one", "two", "three"]).await;
    }
    let (mut first, _) = follow(&log, from.clone(), 12, &journals).await;
    let (mut second, _) = follow(&log, from, 12, &journals).await;
    for found in [&mut first, &mut second] {
        found.sort_by_key(|one| one.position.shard);
    }
    assert_eq!(first, second, "all followers see the same");
}

/// Whoever follows up to an end that was asked for after an acknowledgement has seen the record.
pub async fn following_to_the_end_gives_all_that_was_acknowledged(log: Log) {
    let journals: Vec<JournalId> = (0..6).map(|n| journal(&format!("to-the-end-{n}"))).collect();
    let from = end(&log, Category::Execution).await;
    for journal in &journals {
        append_all(&log, journal, Head::EMPTY, &["one", "two"]).await;
    }
    let to = end(&log, Category::Execution).await;
    let mut stream = log.follow(Category::Execution, from.clone());
    let (mut cursor, mut found) = (from, HashSet::new());
    let reached = |cursor: &Cursor| {
        to.0.iter().enumerate().all(|(shard, seen)| cursor.0.get(shard).copied().unwrap_or(0) >= *seen)
    };
    while !reached(&cursor) && found.len() < 2 * journals.len() {
        let next = soon("a record before the end", stream.next()).await;
        assert!(matches!(next, Some(Ok(_))), "a follower gets records without end and error: {next:?}");
        let Some(Ok(Followed { position, envelope })) = next else { break };
        cursor.advance(position);
        if journals.contains(&envelope.journal) {
            found.insert((envelope.journal, envelope.version));
        }
    }
    assert_eq!(found.len(), 2 * journals.len(), "following to the end gives all that was acknowledged");
}

/// Whoever follows one category up to its end gets there, whatever was appended to another.
pub async fn the_end_of_a_category_is_reached_though_another_has_grown_since(log: Log) {
    append_all(&log, &journal("this-category"), Head::EMPTY, &["one"]).await;
    let other = JournalId::from_parts(Category::Registry, "conformance/event_log/other-category");
    append_all(&log, &other, Head::EMPTY, &["one", "two"]).await;
    let to = end(&log, Category::Execution).await;
    let mut stream = log.follow(Category::Execution, Cursor::default());
    let mut cursor = Cursor::default();
    let reached = |cursor: &Cursor| {
        to.0.iter().enumerate().all(|(shard, seen)| cursor.0.get(shard).copied().unwrap_or(0) >= *seen)
    };
    while !reached(&cursor) {
        let next = soon("a record before the end of the category", stream.next()).await;
        assert!(matches!(next, Some(Ok(_))), "a follower gets records without end and error: {next:?}");
        let Some(Ok(followed)) = next else { break };
        cursor.advance(followed.position);
    }
}

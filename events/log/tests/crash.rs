//! What an embedded log holds after its process died, its disk was full, or its file was damaged.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use bytes::Bytes;
use futures::StreamExt;
use rusqlite::Connection;
use skein_log::embedded::{Damage, EmbeddedLog, EmbeddedReader, FATAL_EXIT_CODE, Fatal, OpenError, Options};
use skein_log::{AppendError, Cursor, EventLog, ReadError};
use skein_model::envelope::ChainError;
use skein_model::{Category, CauseId, Head, JournalId, Record, Timestamp, Version};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const WRITERS: usize = 8;
const FOLDER: &str = "SKEIN_TEST_CRASH_FOLDER";

fn journal(name: &str) -> JournalId {
    JournalId::from_parts(Category::Execution, &format!("p/d/{name}"))
}

/// A body that says to which journal and version it belongs, of a size that depends on them.
fn body(journal: &JournalId, version: Version) -> Bytes {
    let text = format!("{journal} {version} ");
    text.repeat(1 + (version.0 % 40) as usize).into()
}

fn record(body: Bytes) -> Record {
    Record { time: Timestamp::from_micros(1), cause: CauseId(1), trace: None, closes: false, body }
}

async fn append(log: &EmbeddedLog, journal: &JournalId, after: Head) -> Head {
    log.append(journal, after, record(body(journal, after.version.next()))).await.unwrap().head
}

/// Not a test of its own: the process that the tests below kill. Appends for ever, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs as a child of other tests"]
async fn the_process_that_is_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("set by the parent"));
    let options = Options { checkpoint_after_bytes: 64 * 1024, ..Options::default() };
    let log = Arc::new(EmbeddedLog::open_with(&folder, options).unwrap());
    let writers = (0..WRITERS).map(|writer| {
        let (log, journal) = (Arc::clone(&log), journal(&format!("w{writer}")));
        tokio::spawn(async move {
            let mut head = log.head(&journal).await.unwrap();
            loop {
                head = append(&log, &journal, head).await;
                writeln!(std::io::stdout(), "acknowledged {writer} {}", head.version).unwrap();
            }
        })
    });
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

/// Starts the process above, through a shell if there is something to be set first.
fn start(folder: &Path, first: Option<&str>) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = match first {
        Some(first) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\"")).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["--ignored", "--exact", "--nocapture", "the_process_that_is_killed"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Notes what the process says; kills it after so many acknowledgements. Answers how many there were.
fn listen(child: &mut Child, acknowledged: &mut BTreeMap<String, u64>, kill_after: usize) -> usize {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    for line in lines.map_while(Result::ok) {
        let mut words = line.split(' ');
        let (Some("acknowledged"), Some(writer), Some(version)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // The last line may be cut: the process died while it said it.
        let Ok(version) = version.parse() else { continue };
        acknowledged.insert(format!("w{writer}"), version);
        count += 1;
        if count == kill_after {
            child.kill().unwrap();
        }
    }
    count
}

/// Opens the log, which checks every chain, and checks that what was acknowledged is there, unchanged. What else is
/// found counts as acknowledged from then on: whoever opened the log has seen it.
async fn check(folder: &Path, acknowledged: &mut BTreeMap<String, u64>, round: usize) {
    let log = EmbeddedLog::open(folder).unwrap();
    for name in (0..WRITERS).map(|writer| format!("w{writer}")) {
        let journal = journal(&name);
        let version = acknowledged.get(&name).copied().unwrap_or(0);
        let found = log.read(&journal, Head::EMPTY).await.unwrap();
        let there = found.len() as u64;
        // Each writer waits for its answer, so it has one record under way at most.
        assert!(
            (version..=version + 1).contains(&there),
            "round {round}: {journal} has {there} records, {version} were acknowledged"
        );
        for envelope in found {
            assert_eq!(
                envelope.record.body,
                body(&journal, envelope.version),
                "round {round}: a record is whole"
            );
        }
        acknowledged.insert(name, there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_the_process_was_killed_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for (round, kill_after) in [1, 40, 217, 3, 500, 111, 64, 333].into_iter().enumerate() {
        let mut child = start(folder.path(), None);
        let count = listen(&mut child, &mut acknowledged, kill_after);
        child.wait().unwrap();
        assert!(count >= kill_after, "round {round}: the process appended before it was killed");
        check(folder.path(), &mut acknowledged, round).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_ends_the_process_with_words_and_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    // Writes over the limit fail as they do on a full disk; the signal that would kill is ignored.
    let mut child = start(folder.path(), Some("trap '' XFSZ; ulimit -f 600"));
    let count = listen(&mut child, &mut acknowledged, usize::MAX);
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(FATAL_EXIT_CODE), "{said}");
    assert!(said.contains("journals.sqlite cannot be written"), "{said}");
    assert!(count > 0, "the disk took something before it was full");
    check(folder.path(), &mut acknowledged, 0).await;
}

#[tokio::test]
async fn a_second_opener_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedLog::open(folder.path()).unwrap();
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Locked { .. }), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(first);
    EmbeddedLog::open(folder.path()).unwrap();
}

/// Makes a log of three journals with forty records each; answers its file.
async fn some_log(folder: &Path) -> PathBuf {
    let log = EmbeddedLog::open(folder).unwrap();
    let mut heads = [Head::EMPTY; 3];
    for n in 0..120 {
        heads[n % 3] = append(&log, &journal(&format!("j{}", n % 3)), heads[n % 3]).await;
    }
    drop(log);
    folder.join("journals.sqlite")
}

#[tokio::test]
async fn a_log_that_is_closed_is_in_one_file() {
    for _ in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path()).unwrap();
        append(&log, &journal("j0"), Head::EMPTY).await;
        drop(log);
        assert!(!folder.path().join("journals.sqlite-wal").exists(), "whoever copies the file has all of it");
    }
}

fn flip(file: &Path, position: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[position] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn position_of(file: &Path, text: &str) -> usize {
    let bytes = fs::read(file).unwrap();
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_flipped_byte_is_refused_and_the_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    flip(&file, position_of(&file, "execution/p/d/j1 17 ") + 3);
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    let named = matches!(&refused, OpenError::Damaged { damage: Damage::Chain { sequence: 50, wrong }, .. }
        if matches!(wrong, ChainError::Digest { journal: named, version: Version(17), .. } if *named == journal("j1")));
    assert!(named, "{refused:?}");
    let cause = refused.source().unwrap().to_string();
    assert!(
        cause.contains("sequence 50") && cause.contains("execution/p/d/j1") && cause.contains("17"),
        "{cause}"
    );
}

#[tokio::test]
async fn wherever_a_byte_is_flipped_the_log_is_refused_or_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    let written = fs::read(&file).unwrap();
    let mut refused = 0;
    for step in 0..200 {
        fs::write(&file, &written).unwrap();
        flip(&file, (step * 7919 + 13) % written.len());
        let Ok(log) = EmbeddedLog::open(folder.path()) else {
            refused += 1;
            continue;
        };
        for name in ["j0", "j1", "j2"] {
            let found = log.read(&journal(name), Head::EMPTY).await.unwrap();
            assert_eq!(found.len(), 40, "step {step}");
            for envelope in found {
                assert_eq!(envelope.record.body, body(&journal(name), envelope.version), "step {step}");
            }
        }
    }
    assert!(refused > 100, "most bytes of a log matter: {refused}");
}

/// Copies a log that is open, so that nearly all of it stands in SQLite's write-ahead log.
async fn unfinished_log(folder: &Path) -> std::path::PathBuf {
    let (open, copy) = (folder.join("open"), folder.join("copy"));
    // Without zeros behind it, in which a flipped byte is no damage.
    let log = EmbeddedLog::open_with(&open, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let mut head = Head::EMPTY;
    for version in 1..=60 {
        let record = record(body(&journal("j0"), Version(version)));
        head = log.append(&journal("j0"), head, record).await.unwrap().head;
    }
    fs::create_dir(&copy).unwrap();
    for name in ["journals.sqlite", "journals.sqlite-wal"] {
        fs::copy(open.join(name), copy.join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_flipped_byte_in_the_write_ahead_log_is_refused_unless_it_may_be_a_commit_that_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let copy = unfinished_log(folder.path()).await;
    let wal = copy.join("journals.sqlite-wal");
    let (database, written) = (fs::read(copy.join("journals.sqlite")).unwrap(), fs::read(&wal).unwrap());
    let (step, last) = (written.len() / 150, written.len() * 9 / 10);
    for at in (40..last).step_by(step) {
        fs::write(copy.join("journals.sqlite"), &database).unwrap();
        fs::write(&wal, &written).unwrap();
        flip(&wal, at);
        let verified = skein_log::embedded::EmbeddedReader::open(&copy).and_then(|reader| reader.verify());
        assert!(verified.map_or(true, |verified| !verified.damages.is_empty()), "byte {at}");
        let opened = EmbeddedLog::open(&copy);
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {at}: {opened:?}");
    }
}

#[tokio::test]
async fn a_commit_that_was_cut_off_is_forgotten_and_what_came_before_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let copy = unfinished_log(folder.path()).await;
    let wal = copy.join("journals.sqlite-wal");
    let written = fs::read(&wal).unwrap();
    fs::write(&wal, &written[..written.len() - 100]).unwrap();
    let log = EmbeddedLog::open(&copy).unwrap();
    assert_eq!(log.head(&journal("j0")).await.unwrap().version, Version(59));
}

#[tokio::test]
async fn room_that_was_kept_for_the_write_ahead_log_is_no_damage_and_what_is_found_in_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (open, copy) = (folder.path().join("open"), folder.path().join("copy"));
    let log = EmbeddedLog::open(&open).unwrap();
    fs::create_dir(&copy).unwrap();
    let (file, wal) = ("journals.sqlite", "journals.sqlite-wal");
    fs::copy(open.join(file), copy.join(file)).unwrap();
    let zeros = fs::read(open.join(wal)).unwrap();
    assert_eq!(zeros, vec![0; zeros.len()], "nothing was written yet");
    assert_eq!(zeros.len() as u64, Options::default().reserve_bytes);
    for at in [None, Some(0), Some(31), Some(32), Some(zeros.len() - 1)] {
        fs::write(copy.join(wal), &zeros).unwrap();
        at.into_iter().for_each(|at| flip(&copy.join(wal), at));
        let opened = EmbeddedLog::open(&copy);
        match at {
            None => drop(opened.unwrap()),
            Some(_) => assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {at:?}: {opened:?}"),
        }
    }
    append(&log, &journal("j0"), Head::EMPTY).await;
    fs::copy(open.join(wal), copy.join(wal)).unwrap();
    let log = EmbeddedLog::open(&copy).unwrap();
    assert_eq!(log.head(&journal("j0")).await.unwrap().version, Version(1), "a commit before zeros is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_stays_small_while_somebody_always_appends() {
    const CLIENTS: u64 = 16;
    const APPENDS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoint_after_bytes: 64 * 1024, reserve_bytes: 0, ..Options::default() };
    let log = Arc::new(EmbeddedLog::open_with(folder.path(), options).unwrap());
    let clients = (0..CLIENTS).map(|client| {
        let (log, journal) = (Arc::clone(&log), journal(&format!("j{client}")));
        tokio::spawn(async move {
            let mut head = Head::EMPTY;
            for _ in 0..APPENDS {
                head = append(&log, &journal, head).await;
            }
        })
    });
    futures::future::try_join_all(clients.collect::<Vec<_>>()).await.unwrap();
    // Appends wait once four times as much was written as is moved at once; as much again may be under way.
    let size = fs::metadata(folder.path().join("journals.sqlite-wal")).unwrap().len();
    assert!(size < 10 * 64 * 1024, "{size} bytes");
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    let written = fs::read(&file).unwrap();
    for length in [0, 1, 100, 4096, written.len() / 2, written.len() - 4096, written.len() - 1] {
        fs::write(&file, &written[..length]).unwrap();
        let opened = EmbeddedLog::open(folder.path());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "cut to {length} bytes: {opened:?}");
    }
}

#[tokio::test]
async fn records_that_are_gone_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    Connection::open(&file).unwrap().execute("DELETE FROM record WHERE sequence = 60", ()).unwrap();
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    let named = matches!(&refused, OpenError::Damaged { damage: Damage::Gap { after: 59, found: 61 }, .. });
    assert!(named, "{refused:?}");
}

#[tokio::test]
async fn a_file_of_something_else_or_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9, known: 1, .. }), "{refused:?}");
    fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
    fs::write(&file, "not a database at all, and longer than a header would have to be").unwrap();
    let refused = EmbeddedLog::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changes_while_the_log_is_open_ends_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    let log = EmbeddedLog::open(folder.path()).unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute("UPDATE record SET body = x'00' WHERE sequence = 61", ()).unwrap();
    let damaged = |error: &ReadError| matches!(error, ReadError::Damaged(ChainError::Digest { .. }));
    assert!(log.read(&journal("j0"), Head::EMPTY).await.is_err_and(|error| damaged(&error)));
    assert_eq!(log.read(&journal("j1"), Head::EMPTY).await.unwrap().len(), 40);
    for from in [0, 50, 60] {
        let found: Vec<_> = log.follow(Category::Execution, Cursor(vec![from])).collect().await;
        let (last, before) = found.split_last().unwrap();
        assert!(last.as_ref().is_err_and(damaged), "{last:?}");
        assert!(before.len() as u64 <= 60 - from && before.iter().all(Result::is_ok));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_ends_the_log_and_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let told: Arc<Mutex<Vec<Fatal>>> = Arc::default();
    let on_fatal = {
        let told = Arc::clone(&told);
        Arc::new(move |fatal: &Fatal| told.lock().unwrap().push(fatal.clone()))
    };
    let log = EmbeddedLog::open_with(folder.path(), Options { on_fatal, ..Options::default() }).unwrap();
    let followed = tokio::spawn(log.follow(Category::Execution, Cursor::default()).collect::<Vec<_>>());
    Connection::open(folder.path().join("journals.sqlite"))
        .unwrap()
        .execute_batch("DROP TABLE record")
        .unwrap();
    let first = log.append(&journal("x"), Head::EMPTY, record(Bytes::new())).await;
    assert!(matches!(first, Err(AppendError::Unknown { .. })), "{first:?}");
    let second = log.append(&journal("x"), Head::EMPTY, record(Bytes::new())).await;
    assert!(matches!(second, Err(AppendError::Unavailable { .. })), "{second:?}");
    assert_eq!(told.lock().unwrap().iter().map(|fatal| fatal.during).collect::<Vec<_>>(), ["commit"]);
    assert!(followed.await.unwrap().is_empty(), "followers end");
}

#[tokio::test]
async fn a_log_in_use_can_be_looked_into_and_so_can_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path()).unwrap();
    let (one, two) = (journal("one"), JournalId::from_parts(Category::Registry, "two"));
    let head = append(&log, &one, Head::EMPTY).await;
    append(&log, &one, head).await;
    log.append(&two, Head::EMPTY, Record { closes: true, ..record(Bytes::from_static(b"12345")) })
        .await
        .unwrap();
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    for folder in [folder.path(), copy.path()] {
        let reader = EmbeddedReader::open(folder).unwrap();
        let journals: Vec<_> = reader.records().map(|one| one.unwrap().envelope.journal).collect();
        assert_eq!(journals, [one.clone(), one.clone(), two.clone()]);
        let verified = reader.verify().unwrap();
        assert_eq!((verified.records, verified.damages), (3, vec![]));
        let stats = reader.stats().unwrap();
        let [(_, registry), (_, execution), (_, catalog), (_, notification), (_, schedule)] =
            stats.categories[..]
        else {
            panic!("{stats:?}")
        };
        assert_eq!((registry.journals, registry.open_journals, registry.total.bytes), (1, 0, 5));
        assert_eq!((execution.journals, execution.open_journals, execution.total.records), (1, 1, 2));
        assert_eq!((catalog.journals, notification.journals, schedule.journals), (0, 0, 0));
        assert_eq!(stats.largest.unwrap().0, one);
    }
    append(&log, &journal("three"), Head::EMPTY).await;
    assert!(matches!(EmbeddedReader::open(&folder.path().join("none")), Err(OpenError::Absent { .. })));
}

#[tokio::test]
async fn a_check_reports_everything_that_is_wrong_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = some_log(folder.path()).await;
    let other = Connection::open(&file).unwrap();
    other.execute("UPDATE record SET body = x'00' WHERE sequence IN (7, 70)", ()).unwrap();
    other.execute("UPDATE record SET category = 9 WHERE sequence = 30", ()).unwrap();
    other.execute("DELETE FROM record WHERE sequence = 120", ()).unwrap();
    other.execute("DELETE FROM record WHERE sequence = 100", ()).unwrap();
    let verified = EmbeddedReader::open(folder.path()).unwrap().verify().unwrap();
    let sequences: Vec<u64> = verified
        .damages
        .iter()
        .map(|damage| match damage {
            Damage::Chain { sequence, .. } | Damage::Unreadable { sequence, .. } => *sequence,
            Damage::Gap { found, .. } => *found,
            other => panic!("{other}"),
        })
        .collect();
    // After the unreadable record 30 and the missing record 100, the next ones of their journals do not fit either.
    assert_eq!(sequences, [7, 30, 33, 70, 101, 103], "{:?}", verified.damages);
}

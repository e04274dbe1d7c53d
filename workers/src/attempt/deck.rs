//! Stores the deck of an attempt that runs, each time the SDK has written it anew: it can be looked at meanwhile.

use crate::machine::{Machine, Prepared};
use bytes::Bytes;
use skein_model::{Work, paths};
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What the SDK calls it.
pub(super) const DECK: &str = "deck.html";

/// How often is looked whether there is another.
const LOOK: Duration = Duration::from_millis(500);

/// The largest deck that is stored while its task runs, in bytes: a larger one is stored at the end.
const LIVE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which writing of a file it is: device and number of the file, and when it changed, in seconds and nanoseconds.
type Writing = (u64, u64, i64, i64);

/// Stores the deck whenever it has changed; never ends. Of a task that has none nothing is looked at. What is being stored when it
/// is dropped is in `storing`: the deck at the end has to come after it.
pub(super) async fn follow(
    machine: &Machine,
    work: &Work,
    prepared: &Prepared,
    storing: &mut JoinSet<()>,
) -> Infallible {
    let has_deck = prepared.template.metadata.as_ref().and_then(|metadata| metadata.generates_deck);
    if has_deck != Some(true) {
        return std::future::pending().await;
    }
    let (path, uri) = (prepared.folder.outputs().join(DECK), paths::deck(&work.output_prefix));
    let mut known = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let path = path.clone();
        let read = tokio::task::spawn_blocking(move || changed(path, known)).await;
        let Ok(Some((writing, deck))) = read else { continue };
        known = Some(writing);
        let (blobs, uri) = (Arc::clone(&machine.blobs), uri.clone());
        storing.spawn(async move {
            // It is stored at the end in any case.
            if let Err(error) = blobs.put(&uri, deck).await {
                tracing::debug!(%error, uri, "a deck cannot be stored yet");
            }
        });
        // One after the other.
        while storing.join_next().await.is_some() {}
    }
}

/// Answers the deck, if it is there and another than the known one; none while it is being written.
fn changed(path: PathBuf, known: Option<Writing>) -> Option<(Writing, Bytes)> {
    let look = || {
        let found = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        let writing = (found.dev(), found.ino(), found.mtime(), found.mtime_nsec());
        (found.len() <= LIVE_BYTES_MAX).then_some(writing)
    };
    let before = look().filter(|found| known != Some(*found))?;
    let deck = std::fs::read(&path).ok()?;
    (look() == Some(before)).then(|| (before, deck.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_is_answered_once_for_each_time_that_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(DECK);
        assert!(changed(path.clone(), None).is_none(), "nothing is there yet");
        std::fs::write(&path, "one").expect("writing");
        let (first, deck) = changed(path.clone(), None).expect("it is new");
        assert_eq!(deck, "one");
        assert!(changed(path.clone(), Some(first)).is_none());
        std::fs::remove_file(&path).expect("removing");
        std::fs::write(folder.path().join("next"), "two").expect("writing");
        std::fs::rename(folder.path().join("next"), &path).expect("renaming");
        assert_eq!(changed(path, Some(first)).map(|(_, deck)| deck), Some("two".into()));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(DECK);
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        assert!(changed(path, None).is_none());
    }
}

//! Notes on disk of the jobs that are out: what must not be forgotten between a connector's answer and its record, and which
//! jobs are to be deleted although nobody waits for them any more.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skein_model::{Timestamp, WorkId};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

const ENDING: &str = "job";

/// A job that is out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// For which work.
    pub(crate) work: WorkId,
    /// At which connector.
    pub(crate) connector: String,
    /// Of what type its task is, and of which version of that.
    pub(crate) task_type: String,
    pub(crate) task_type_version: i32,
    /// The connector's words for it.
    pub(crate) resource_meta: Bytes,
    /// When it was made.
    pub(crate) since: Timestamp,
}

/// The folder of the notes.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    folder: PathBuf,
}

impl Notes {
    /// Opens the folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("jobs");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Writes a note; it is on disk when this returns.
    pub(crate) async fn put(&self, note: Note) -> io::Result<()> {
        let (folder, file) = (self.folder.clone(), self.file(&note.work));
        let bytes = rmp_serde::to_vec_named(&note).map_err(io::Error::other)?;
        blocking(move || {
            let mut written = tempfile::NamedTempFile::new_in(&folder)?;
            written.write_all(&bytes)?;
            written.as_file().sync_data()?;
            written.persist(&file)?;
            std::fs::File::open(&folder)?.sync_data()
        })
        .await
    }

    /// Answers the note about some work; none when there is none.
    pub(crate) async fn get(&self, work: &WorkId) -> io::Result<Option<Note>> {
        let (file, work) = (self.file(work), work.clone());
        blocking(move || match std::fs::read(&file) {
            Ok(bytes) => Ok(read(&file, &bytes).filter(|note| note.work == work)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes the note about some work.
    pub(crate) async fn remove(&self, work: &WorkId) {
        let file = self.file(work);
        let removed = blocking(move || match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        if let Err(error) = removed.await {
            // It costs one call too many at the next start.
            tracing::warn!(%error, %work, "the note of a job that has ended cannot be removed");
        }
    }

    /// Lists all notes. What cannot be read is left out, and said.
    pub(crate) async fn all(&self) -> io::Result<Vec<Note>> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut notes = Vec::new();
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|ending| ending == ENDING) {
                    notes.extend(read(&path, &std::fs::read(&path)?));
                }
            }
            Ok(notes)
        })
        .await
    }

    fn file(&self, work: &WorkId) -> PathBuf {
        self.folder.join(format!("{:032x}.{ENDING}", xxh3_128(work.to_string().as_bytes())))
    }
}

fn read(file: &Path, bytes: &[u8]) -> Option<Note> {
    rmp_serde::from_slice(bytes)
        .inspect_err(
            |error| tracing::warn!(%error, file = %file.display(), "the note of a job cannot be read"),
        )
        .ok()
}

async fn blocking<T: Send + 'static>(of: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(of).await.map_err(io::Error::other).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_log::conformance::task_queue::work;
    use skein_model::PoolId;

    fn note(node: &str) -> Note {
        Note {
            work: work(&PoolId("p".to_owned()), "e", node, 0).id,
            connector: "http://a:1".to_owned(),
            task_type: "sensor".to_owned(),
            task_type_version: 0,
            resource_meta: Bytes::from_static(&[0xff, 0]),
            since: Timestamp::from_micros(7),
        }
    }

    #[tokio::test]
    async fn a_note_is_found_again_until_it_is_removed_and_one_that_is_damaged_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let notes = Notes::open(folder.path()).expect("the folder can be made");
        for node in ["a", "b"] {
            notes.put(note(node)).await.expect("it can be written");
        }
        std::fs::write(folder.path().join("jobs/x.job"), b"?").expect("it can be written");
        let notes = Notes::open(folder.path()).expect("it is there");
        assert_eq!(notes.get(&note("a").work).await.expect("it can be read"), Some(note("a")));
        assert_eq!(notes.all().await.expect("they can be listed").len(), 2);
        notes.remove(&note("a").work).await;
        notes.remove(&note("a").work).await;
        assert_eq!(notes.get(&note("a").work).await.expect("it can be asked for"), None);
        assert_eq!(notes.all().await.expect("they can be listed"), [note("b")]);
    }
}

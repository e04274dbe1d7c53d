//! Ships what was printed to the blob store, beside whoever reads it, so that reading goes on while a disk is slow.

use crate::config::LogLimits;
use bytes::Bytes;
use skein_log::printed::{self, Mark};
use skein_log::{BlobError, BlobStore};
use skein_model::paths;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the store may take for one object before it is given up for now. User code must not wait for a store that is
/// out of reach.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// From how much text on it is compressed beside the runtime's threads, in bytes: below that it takes less than to say so.
const APART_FROM: usize = 64 * 1024;

/// What is to be done, in this order.
pub(super) enum Shipment {
    /// What follows belongs under this prefix, after so many bytes.
    Begin(String, u64),
    /// The next text.
    Frame(Bytes, Vec<Mark>),
    /// Say how many bytes are kept, once all of them are.
    End(oneshot::Sender<u64>),
}

/// Begins to ship what is sent. One frame waits while another is on its way: memory stays bounded, and whoever prints
/// faster than the store takes it waits for the store.
pub(super) fn start(blobs: Arc<BlobStore>, limits: LogLimits) -> mpsc::Sender<Shipment> {
    let (shipments, queue) = mpsc::channel(1);
    tokio::spawn(Shipper { blobs, limits, log: None }.run(queue));
    shipments
}

struct Shipper {
    blobs: Arc<BlobStore>,
    limits: LogLimits,
    log: Option<Log>,
}

/// One output, and its object that still grows.
struct Log {
    prefix: String,
    /// The position of the object's first byte.
    start: u64,
    /// The length of its text, and of that which the store has.
    length: u64,
    stored: u64,
    encoded: Vec<u8>,
    /// How many bytes the store did not take, of objects before.
    lost: u64,
    /// How many it will not have taken if this object has to be given up as it is.
    at_risk: u64,
    /// Whether nothing of it was stored, so that what lies there is of an earlier run of the same try.
    is_new: bool,
}

impl Shipper {
    async fn run(mut self, mut queue: mpsc::Receiver<Shipment>) {
        while let Some(shipment) = queue.recv().await {
            match shipment {
                Shipment::Begin(prefix, from) => self.log = Some(Log::new(prefix, from)),
                Shipment::Frame(text, marks) => self.ship(text, marks).await,
                Shipment::End(answer) => {
                    let kept = self.end().await;
                    // Whoever asked may have gone.
                    let _ = answer.send(kept);
                }
            }
        }
    }

    async fn ship(&mut self, text: Bytes, marks: Vec<Mark>) {
        let Some(log) = &mut self.log else { return };
        if log.is_new {
            clear(&self.blobs, &log.prefix).await;
            log.is_new = false;
        }
        if log.lost > 0 {
            let note = format!("\n[skein: {} bytes are missing here: they could not be stored]\n", log.lost);
            log.encoded.extend_from_slice(&printed::encode(note.as_bytes(), &[]));
            log.length += note.len() as u64;
            log.at_risk = std::mem::take(&mut log.lost);
        }
        log.length += text.len() as u64;
        log.at_risk += text.len() as u64;
        log.encoded.extend_from_slice(&encode(text, marks).await);
        log.store(&self.blobs).await;
        log.close(self.limits.object_bytes);
    }

    async fn end(&mut self) -> u64 {
        let Some(mut log) = self.log.take() else { return 0 };
        if log.stored < log.length {
            log.store(&self.blobs).await;
        }
        log.start + log.stored
    }
}

impl Log {
    fn new(prefix: String, from: u64) -> Self {
        Self {
            prefix,
            start: from,
            length: 0,
            stored: 0,
            encoded: Vec::new(),
            lost: 0,
            at_risk: 0,
            is_new: from == 0,
        }
    }

    /// Writes the object as it is now. What the store does not take is tried again with what comes next.
    async fn store(&mut self, blobs: &BlobStore) {
        let uri = paths::log_object(&self.prefix, self.start);
        let object = Bytes::copy_from_slice(&self.encoded);
        match tokio::time::timeout(STORE_TIMEOUT, blobs.put(&uri, object)).await {
            Ok(Ok(_)) => (self.stored, self.at_risk) = (self.length, 0),
            Ok(Err(error)) => tracing::warn!(uri, %error, "output is not stored"),
            Err(_) => tracing::warn!(uri, "output is not stored: the blob store does not answer"),
        }
    }

    /// Begins the next object when this one is full; what the store has not of it by then is lost, and memory is not.
    fn close(&mut self, object_bytes: u64) {
        if self.length < object_bytes {
            return;
        }
        self.lost = std::mem::take(&mut self.at_risk);
        self.start += self.stored;
        (self.length, self.stored) = (0, 0);
        self.encoded.clear();
    }
}

async fn encode(text: Bytes, marks: Vec<Mark>) -> Vec<u8> {
    if text.len() < APART_FROM {
        return printed::encode(&text, &marks);
    }
    let encoded = tokio::task::spawn_blocking(move || printed::encode(&text, &marks)).await;
    encoded.expect("encoding does not panic, and the runtime outlives its tasks")
}

/// Removes what an earlier run of the same try has left: its objects may begin elsewhere, and two logs would be mixed.
async fn clear(blobs: &BlobStore, prefix: &str) {
    let remove = async {
        for uri in blobs.list(&paths::log_folder(prefix)).await? {
            blobs.delete(&uri).await?;
        }
        Ok::<(), BlobError>(())
    };
    match tokio::time::timeout(STORE_TIMEOUT, remove).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(prefix, %error, "what an earlier run printed cannot be removed"),
        Err(_) => tracing::warn!(prefix, "what an earlier run printed is not removed: the store is silent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LogLimits = LogLimits {
        frame_bytes_max: 8,
        object_bytes: 8,
        bytes_max: 1_000,
        held_bytes_max: 8,
        flush_every: Duration::from_secs(1),
    };

    /// A folder of this name keeps the first object from being written.
    const OBJECT: &str = "p/log/000000000000000.lz4";

    async fn stored(blobs: &BlobStore, prefix: &str) -> String {
        let mut text = Vec::new();
        for uri in blobs.list(&paths::log_folder(prefix)).await.expect("a folder") {
            assert_eq!(
                paths::log_start(&uri),
                Some(text.len() as u64),
                "each begins where the last one ends"
            );
            let object = blobs.get(&uri, u64::MAX).await.expect("it was listed");
            for frame in printed::frames(object).expect("frames") {
                text.extend_from_slice(&frame.text().expect("text"));
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_tried_again_and_told_where_it_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("a folder of our own"));
        let (prefix, in_the_way) = (blobs.url("p"), folder.path().join(OBJECT));
        let log = Some(Log::new(prefix.clone(), 0));
        let mut shipper = Shipper { blobs: Arc::clone(&blobs), limits: LIMITS, log };
        std::fs::create_dir_all(&in_the_way).expect("a folder");
        shipper.ship(Bytes::from_static(b"lost for good"), Vec::new()).await;
        shipper.ship(Bytes::from_static(b"short"), Vec::new()).await;
        std::fs::remove_dir(&in_the_way).expect("a folder");
        shipper.ship(Bytes::from_static(b" outage"), Vec::new()).await;
        let kept = shipper.end().await;
        let text = stored(&blobs, &prefix).await;
        assert_eq!(text, "\n[skein: 18 bytes are missing here: they could not be stored]\n outage");
        assert_eq!(kept, text.len() as u64);
    }

    #[tokio::test]
    async fn what_was_not_stored_when_the_output_ends_is_tried_once_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("a folder of our own"));
        let (prefix, in_the_way) = (blobs.url("p"), folder.path().join(OBJECT));
        let log = Some(Log::new(prefix.clone(), 0));
        let mut shipper = Shipper { blobs: Arc::clone(&blobs), limits: LIMITS, log };
        std::fs::create_dir_all(&in_the_way).expect("a folder");
        shipper.ship(Bytes::from_static(b"late"), Vec::new()).await;
        std::fs::remove_dir(&in_the_way).expect("a folder");
        assert_eq!((shipper.end().await, stored(&blobs, &prefix).await), (4, "late".to_owned()));
    }
}

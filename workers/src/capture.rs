//! What user code prints, read while it is printed and shipped to the blob store.
//!
//! A task of its own reads the pipe all the time and another one ships, so user code never waits for a reader, and what it
//! may fill is bounded: a few frames in memory, a fixed number of bytes in the store. A child that runs one chunk after
//! another prints into one pipe; [`Capture::begin`] and [`Capture::end`] say whose output it is, and marks in it which
//! item's.
//!
//! ```text
//!  child ──pipe──► Reader ──frames──► Shipper ──objects──► blob store ◄── gateway
//! ```

mod marks;
mod output;
mod ship;

use crate::config::LogLimits;
use bytes::BytesMut;
use marks::Marks;
use output::Output;
use ship::Shipment;
use skein_log::BlobStore;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How much a pipe is asked to hold, in bytes: a writer that is fast is not stopped by each turn of its reader. The most
/// that a user may have without asking is 1 MiB.
const PIPE_BYTES: usize = 256 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 128 * 1024;

enum Request {
    Hold,
    Begin(String, u64, oneshot::Sender<()>),
    End(oneshot::Sender<Printed>),
}

/// What was printed from begin to end.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// The end of it.
    pub tail: String,
    /// How many bytes are kept: the position at which more would begin.
    pub kept: u64,
}

/// The output of one child.
pub(crate) struct Capture {
    requests: mpsc::Sender<Request>,
    mark: String,
}

impl Capture {
    /// Begins to read `log`. What is printed before [`Self::begin`] is dropped.
    pub(crate) fn start(log: pipe::Receiver, blobs: Arc<BlobStore>, limits: LogLimits) -> Self {
        // A pipe that stays as it is holds less.
        let _ = rustix::pipe::fcntl_setpipe_size(&log, PIPE_BYTES);
        let (requests, queue) = mpsc::channel(4);
        let marks = Marks::new();
        let mark = marks.prefix.clone();
        let shipments = ship::start(blobs, limits);
        tokio::spawn(
            Reader { log: Some(log), marks, shipments, limits, current: None, requests: queue }.run(),
        );
        Self { requests, mark }
    }

    /// Answers what a mark begins with that says whose item's the text after it is; a number and U+001E end it.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Keeps what is printed from now on under `prefix`.
    pub(crate) async fn begin(&self, prefix: &str) {
        self.begin_at(prefix, 0).await;
    }

    /// Holds back what is printed, up to a bound, until it is known whose it is.
    pub(crate) async fn hold(&self) {
        let _ = self.requests.send(Request::Hold).await;
    }

    /// As [`Self::begin`], but after `kept` bytes: another process has printed there before.
    pub(crate) async fn begin_at(&self, prefix: &str, kept: u64) {
        let (answer, begun) = oneshot::channel();
        // The reader only ends after this handle.
        let _ = self.requests.send(Request::Begin(prefix.to_owned(), kept, answer)).await;
        // Whoever has it printed comes after, so that what is there by then is not theirs.
        let _ = begun.await;
    }

    /// Stores what has been printed up to now.
    pub(crate) async fn end(&self) -> Printed {
        let (answer, tail) = oneshot::channel();
        let _ = self.requests.send(Request::End(answer)).await;
        tail.await.unwrap_or_default()
    }
}

struct Reader {
    log: Option<pipe::Receiver>,
    marks: Marks,
    shipments: mpsc::Sender<Shipment>,
    limits: LogLimits,
    current: Option<Output>,
    requests: mpsc::Receiver<Request>,
}

impl Reader {
    async fn run(mut self) {
        let mut read = BytesMut::with_capacity(READ_BYTES);
        loop {
            let flush_at = self.current.as_ref().and_then(|output| output.flush_at);
            tokio::select! {
                // Whose output it is was said before it was printed.
                biased;
                request = self.requests.recv() => match request {
                    Some(Request::Hold) => self.current = Some(Output::new(None, 0, &self.limits)),
                    Some(Request::Begin(prefix, kept, answer)) => {
                        // What was printed before belongs to whoever had it until now.
                        self.read_what_is_there(&mut read).await;
                        self.begin(prefix, kept);
                        // Whoever asked may have gone.
                        let _ = answer.send(());
                    }
                    Some(Request::End(answer)) => {
                        self.read_what_is_there(&mut read).await;
                        // Whoever asked may have gone.
                        let _ = answer.send(self.finish().await);
                    }
                    // Nobody says the end of one that was stopped, or that ran out of time, while it began.
                    None => {
                        self.read_what_is_there(&mut read).await;
                        self.finish().await;
                        return;
                    }
                },
                more = next(&mut self.log, &mut read) => {
                    if !more {
                        self.log = None;
                    }
                    self.take(&mut read).await;
                }
                () = at(flush_at) => self.flush(0).await,
            }
        }
    }

    /// Begins anew, unless this output has begun already; what was held back is the beginning then.
    fn begin(&mut self, prefix: String, kept: u64) {
        match &mut self.current {
            Some(output) if output.prefix.as_ref() == Some(&prefix) => {}
            Some(held) if held.prefix.is_none() => held.release(prefix, kept, &self.limits),
            _ => self.current = Some(Output::new(Some(prefix), kept, &self.limits)),
        }
    }

    /// Reads what was printed before it was asked for: no more than the pipe holds, or somebody who prints without end
    /// would be read without end.
    async fn read_what_is_there(&mut self, read: &mut BytesMut) {
        let mut left = PIPE_BYTES;
        while left > 0 && self.log.as_ref().is_some_and(|log| read_arrived(log, read)) {
            left = left.saturating_sub(read.len());
            self.take(read).await;
        }
    }

    async fn take(&mut self, read: &mut BytesMut) {
        if let Some(output) = &mut self.current {
            output.take(read, &mut self.marks, &self.limits);
            let most = self.limits.frame_bytes_max;
            if output.waits() >= most && output.prefix.is_some() {
                self.flush(most).await;
            }
        }
        read.clear();
    }

    /// Ships what waits, until less than a frame of `at_least` bytes does.
    async fn flush(&mut self, at_least: usize) {
        let most = self.limits.frame_bytes_max;
        loop {
            let Some(output) = &mut self.current else { return };
            let Some(prefix) = &output.prefix else { break };
            if output.waits() < at_least {
                return;
            }
            // Most attempts print nothing, and cost the shipper nothing.
            let begin = (!output.is_begun).then(|| Shipment::Begin(prefix.clone(), output.from));
            let Some((text, marks)) = output.frame(most) else { break };
            if let Some(begin) = begin {
                output.is_begun = true;
                self.ship(begin).await;
            }
            self.ship(Shipment::Frame(text, marks)).await;
        }
        if let Some(output) = &mut self.current {
            output.flush_at = None;
        }
    }

    async fn finish(&mut self) -> Printed {
        let Some(output) = &mut self.current else { return Printed::default() };
        let tail = output.end(&mut self.marks, &self.limits);
        self.flush(0).await;
        let Some(output) = self.current.take() else { return Printed::default() };
        if !output.is_begun {
            return Printed { tail, kept: output.from };
        }
        let (answer, kept) = oneshot::channel();
        self.ship(Shipment::End(answer)).await;
        Printed { tail, kept: kept.await.unwrap_or_default() }
    }

    /// Hands on what is to be stored, and waits while the store is behind. Whoever stores ends after this.
    async fn ship(&self, shipment: Shipment) {
        let _ = self.shipments.send(shipment).await;
    }
}

/// Reads what has arrived; false when nothing has. Asks the kernel itself: the runtime may not have heard yet of what was
/// printed before the child said that it is done.
fn read_arrived(log: &pipe::Receiver, read: &mut BytesMut) -> bool {
    let mut part = [0; 8 * 1024];
    loop {
        match rustix::io::read(log, &mut part) {
            Ok(count) => {
                read.extend_from_slice(&part[..count]);
                return count > 0;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Reads more; false when there will never be more.
async fn next(log: &mut Option<pipe::Receiver>, read: &mut BytesMut) -> bool {
    match log {
        Some(log) => {
            read.reserve(READ_BYTES);
            !matches!(log.read_buf(read).await, Ok(0) | Err(_))
        }
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_log::printed;
    use skein_model::paths;
    use std::time::Duration;

    /// A child's end of a pipe, what reads the other, and where that is kept.
    fn captured(
        folder: &std::path::Path,
        flush_every: Duration,
    ) -> (std::os::fd::OwnedFd, Capture, BlobStore) {
        let blobs = BlobStore::local(folder).expect("a folder of our own");
        let (child, log) = pipe::pipe().expect("a pipe");
        let limits = LogLimits {
            frame_bytes_max: 1024,
            object_bytes: 1024,
            bytes_max: 1024 * 1024,
            held_bytes_max: 1024,
            flush_every,
        };
        let capture = Capture::start(log, Arc::new(blobs.clone()), limits);
        (child.into_blocking_fd().expect("a pipe of our own"), capture, blobs)
    }

    const NEVER: Duration = Duration::from_secs(3600);

    fn print(child: &std::os::fd::OwnedFd, text: &[u8]) {
        assert_eq!(rustix::io::write(child, text), Ok(text.len()), "the other side is there");
    }

    /// All objects under a prefix: where each begins, and its text.
    async fn stored(blobs: &BlobStore, prefix: &str) -> Vec<(u64, String)> {
        let mut stored = Vec::new();
        for uri in blobs.list(&paths::log_folder(prefix)).await.expect("a folder") {
            let object = blobs.get(&uri, printed::ENCODED_BYTES_MAX).await.expect("it was listed");
            let frames = printed::frames(object).expect("frames");
            let text = frames.iter().flat_map(|frame| frame.text().expect("text"));
            let text = String::from_utf8_lossy(&text.collect::<Vec<u8>>()).into_owned();
            stored.push((paths::log_start(&uri).expect("a name of ours"), text));
        }
        stored
    }

    #[tokio::test]
    async fn what_was_printed_is_kept_also_where_nobody_says_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        let prefix = blobs.url("p");
        capture.begin(&prefix).await;
        print(&child, b"last words");
        drop(capture);
        while stored(&blobs, &prefix).await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(stored(&blobs, &prefix).await, [(0, "last words".to_owned())]);
    }

    #[tokio::test]
    async fn what_was_printed_before_the_end_is_taken_before_the_runtime_hears_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        capture.begin(&blobs.url("p")).await;
        assert_eq!(capture.end().await.tail, "");
        for text in ["one", "two"] {
            capture.begin(&blobs.url(text)).await;
            print(&child, text.as_bytes());
            assert_eq!(capture.end().await.tail, text);
        }
    }

    #[tokio::test]
    async fn what_was_held_back_belongs_to_the_first_who_begins_and_what_was_too_much_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        capture.hold().await;
        let early = "x".repeat(1_500);
        print(&child, early.as_bytes());
        let prefix = blobs.url("p");
        capture.begin(&prefix).await;
        let printed = capture.end().await;
        assert_eq!(printed.tail, early);
        let cut = "\n[skein: the output is cut here, after 1024 bytes]\n";
        let text: String = stored(&blobs, &prefix).await.into_iter().map(|(_, text)| text).collect();
        assert_eq!((text.len() as u64, text), (printed.kept, early[..1024].to_owned() + cut));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_printed_after_the_beginning_is_never_taken_for_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        for round in 0..500 {
            let text = format!("{round}");
            capture.begin(&blobs.url(&text)).await;
            print(&child, text.as_bytes());
            assert_eq!(capture.end().await.tail, text);
        }
    }

    #[tokio::test]
    async fn an_object_grows_until_it_is_full_and_each_is_named_by_where_it_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        let prefix = blobs.url("p");
        let mut printed = String::new();
        for (round, length) in [600, 600, 3_000, 5].into_iter().enumerate() {
            // Another process goes on where the one before has ended.
            let text = round.to_string().repeat(length);
            capture.begin_at(&prefix, printed.len() as u64).await;
            print(&child, text.as_bytes());
            printed.push_str(&text);
            assert_eq!(capture.end().await.kept, printed.len() as u64);
        }
        let stored = stored(&blobs, &prefix).await;
        let mut next = 0;
        for (start, text) in &stored {
            assert_eq!(*start, next);
            assert!(text.len() <= 2048, "an object is full from 1024 bytes on, and a frame has no more");
            next += text.len() as u64;
        }
        assert_eq!(stored.into_iter().map(|(_, text)| text).collect::<String>(), printed);
    }

    #[tokio::test]
    async fn text_can_be_read_while_more_is_printed_and_grows_in_its_object() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), Duration::from_millis(1));
        let prefix = blobs.url("p");
        capture.begin(&prefix).await;
        for expected in ["a", "ab", "abc"] {
            print(&child, &expected.as_bytes()[expected.len() - 1..]);
            let reached = async {
                while stored(&blobs, &prefix).await != [(0, expected.to_owned())] {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), reached)
                .await
                .expect("it is shipped while it is printed");
        }
        assert_eq!(capture.end().await.kept, 3);
    }

    #[tokio::test]
    async fn a_try_that_runs_again_leaves_nothing_of_what_it_printed_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = {
            let (child, capture, blobs) = captured(folder.path(), NEVER);
            let prefix = blobs.url("p");
            capture.begin(&prefix).await;
            print(&child, &[b'x'; 3_000]);
            capture.end().await;
            prefix
        };
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        capture.begin(&prefix).await;
        print(&child, b"again");
        capture.end().await;
        assert_eq!(stored(&blobs, &prefix).await, [(0, "again".to_owned())]);
    }

    #[tokio::test]
    async fn a_writer_that_never_stops_does_not_keep_the_end_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture, blobs) = captured(folder.path(), NEVER);
        capture.begin(&blobs.url("p")).await;
        // A process that its attempt has left behind.
        let writer = std::thread::spawn(move || while rustix::io::write(&child, &[b'y'; 65_536]).is_ok() {});
        let ended = tokio::time::timeout(Duration::from_secs(60), capture.end()).await;
        assert!(ended.is_ok());
        drop(capture);
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(move || writer.join()).await.expect("no panic").expect("no panic");
    }
}

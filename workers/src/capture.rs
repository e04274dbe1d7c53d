//! What user code prints, kept in parts in the blob store.
//!
//! A task of its own reads the pipe all the time, so user code never waits for a reader, and what it may fill is
//! bounded: one part in memory, a fixed number of bytes in the store. A child that runs one chunk after another
//! prints into one pipe; [`Capture::begin`] and [`Capture::end`] say whose output it is.

use crate::config::LogLimits;
use bytes::BytesMut;
use skein_log::BlobStore;
use skein_model::paths;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How much of the end of the output goes into an error message, in bytes: as much as Kubernetes gives.
const TAIL_BYTES_MAX: usize = 2048;
/// How long the store may take for one part before the part is given up. User code must not wait for a store that is
/// out of reach.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

enum Request {
    Hold,
    Begin(String, u32, oneshot::Sender<()>),
    End(oneshot::Sender<Printed>),
}

/// What was printed from begin to end.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// The end of it.
    pub tail: String,
    /// The number of the part that would come next.
    pub parts: u32,
}

/// The output of one child.
pub(crate) struct Capture {
    requests: mpsc::Sender<Request>,
}

impl Capture {
    /// Begins to read `log`. What is printed before [`Self::begin`] is dropped.
    pub(crate) fn start(log: pipe::Receiver, blobs: Arc<BlobStore>, limits: LogLimits) -> Self {
        let (requests, queue) = mpsc::channel(4);
        tokio::spawn(Reader { log: Some(log), blobs, limits, current: None, requests: queue }.run());
        Self { requests }
    }

    /// Keeps what is printed from now on under `prefix`, in parts that are counted from 0.
    pub(crate) async fn begin(&self, prefix: &str) {
        self.begin_at(prefix, 0).await;
    }

    /// Holds back what is printed, up to one part of it, until it is known whose it is.
    pub(crate) async fn hold(&self) {
        let _ = self.requests.send(Request::Hold).await;
    }

    /// As [`Self::begin`], but counts from `part` on: another process has printed there before.
    pub(crate) async fn begin_at(&self, prefix: &str, part: u32) {
        let (answer, begun) = oneshot::channel();
        // The reader only ends after this handle.
        let _ = self.requests.send(Request::Begin(prefix.to_owned(), part, answer)).await;
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
    blobs: Arc<BlobStore>,
    limits: LogLimits,
    current: Option<Output>,
    requests: mpsc::Receiver<Request>,
}

/// What one attempt or chunk has printed.
struct Output {
    prefix: String,
    parts: u32,
    kept: u64,
    waiting: BytesMut,
    flush_at: Option<Instant>,
    tail: BytesMut,
    is_cut: bool,
}

impl Reader {
    async fn run(mut self) {
        let mut read = BytesMut::with_capacity(64 * 1024);
        loop {
            let flush_at = self.current.as_ref().and_then(|output| output.flush_at);
            tokio::select! {
                // Whose output it is was said before it was printed.
                biased;
                request = self.requests.recv() => match request {
                    Some(Request::Hold) => self.current = Some(Output::new(String::new(), 0)),
                    Some(Request::Begin(prefix, part, answer)) => {
                        // What was printed before belongs to whoever had it until now.
                        self.read_what_is_there(&mut read).await;
                        self.begin(prefix, part);
                        // Whoever asked may have gone.
                        let _ = answer.send(());
                    }
                    Some(Request::End(answer)) => {
                        self.read_what_is_there(&mut read).await;
                        // Whoever asked may have gone.
                        let _ = answer.send(self.finish().await);
                    }
                    None => return,
                },
                more = next(&mut self.log, &mut read) => {
                    if !more {
                        self.log = None;
                    }
                    self.take(&mut read).await;
                }
                () = at(flush_at) => self.flush().await,
            }
        }
    }

    /// Begins anew, unless this output has begun already; what was held back is the beginning then.
    fn begin(&mut self, prefix: String, part: u32) {
        if let Some(held) = self.current.as_mut().filter(|output| output.is_held()) {
            (held.prefix, held.parts) = (prefix, part);
            held.flush_at = Some(Instant::now() + self.limits.flush_every);
            // What was cut is what came too early; from here on there is room again.
            held.is_cut = false;
        } else if self.current.as_ref().is_none_or(|output| output.prefix != prefix) {
            self.current = Some(Output::new(prefix, part));
        }
    }

    async fn read_what_is_there(&mut self, read: &mut BytesMut) {
        while self.log.as_ref().is_some_and(|log| read_arrived(log, read)) {
            self.take(read).await;
        }
    }

    async fn take(&mut self, read: &mut BytesMut) {
        let Some(output) = &mut self.current else {
            read.clear();
            return;
        };
        output.take(read, &self.limits);
        if output.waiting.len() >= self.limits.part_bytes_max && !output.is_held() {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        let Some(output) = &mut self.current else { return };
        output.flush_at = None;
        if output.is_held() {
            return;
        }
        while !output.waiting.is_empty() {
            let part = output.waiting.split_to(output.waiting.len().min(self.limits.part_bytes_max)).freeze();
            let uri = paths::log_part(&output.prefix, output.parts);
            output.parts += 1;
            match tokio::time::timeout(STORE_TIMEOUT, self.blobs.put(&uri, part)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(uri, %error, "output is lost"),
                Err(_) => tracing::warn!(uri, "output is lost: the blob store does not answer"),
            }
        }
    }

    async fn finish(&mut self) -> Printed {
        self.flush().await;
        let output = self.current.take();
        output
            .map(|Output { tail, parts, .. }| Printed {
                tail: String::from_utf8_lossy(&tail).into_owned(),
                parts,
            })
            .unwrap_or_default()
    }
}

impl Output {
    fn new(prefix: String, parts: u32) -> Self {
        Self {
            prefix,
            parts,
            kept: 0,
            waiting: BytesMut::new(),
            flush_at: None,
            tail: BytesMut::new(),
            is_cut: false,
        }
    }

    /// Says whether it is not known yet whose it is.
    fn is_held(&self) -> bool {
        self.prefix.is_empty()
    }

    fn take(&mut self, read: &mut BytesMut, limits: &LogLimits) {
        let last = &read[read.len().saturating_sub(TAIL_BYTES_MAX)..];
        self.tail.extend_from_slice(last);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        let _ = self.tail.split_to(excess);

        let most = if self.is_held() { limits.part_bytes_max as u64 } else { limits.bytes_max };
        let room = usize::try_from(most.saturating_sub(self.kept)).unwrap_or(usize::MAX);
        let kept = read.split_to(read.len().min(room));
        self.kept += kept.len() as u64;
        self.waiting.extend_from_slice(&kept);
        if !read.is_empty() && !self.is_cut {
            self.is_cut = true;
            let line = format!("\n[skein: the output is cut here, after {most} bytes]\n");
            self.waiting.extend_from_slice(line.as_bytes());
        }
        read.clear();
        if !self.waiting.is_empty() && self.flush_at.is_none() {
            self.flush_at = Some(Instant::now() + limits.flush_every);
        }
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
            read.reserve(64 * 1024);
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

    /// A child's end of a pipe, and what reads the other.
    fn captured(folder: &std::path::Path) -> (std::os::fd::OwnedFd, Capture) {
        let blobs = Arc::new(BlobStore::local(folder).expect("a folder of our own"));
        let (child, log) = pipe::pipe().expect("a pipe");
        let limits = LogLimits { part_bytes_max: 1024, bytes_max: 1024, flush_every: Duration::from_secs(1) };
        (child.into_blocking_fd().expect("a pipe of our own"), Capture::start(log, blobs, limits))
    }

    #[tokio::test]
    async fn what_was_printed_before_the_end_is_taken_before_the_runtime_hears_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture) = captured(folder.path());
        capture.begin("file:///p").await;
        assert_eq!(capture.end().await.tail, "");
        for text in ["one", "two"] {
            capture.begin(&format!("file:///{text}")).await;
            rustix::io::write(&child, text.as_bytes()).expect("the other side is there");
            assert_eq!(capture.end().await.tail, text);
        }
    }

    #[tokio::test]
    async fn what_was_held_back_belongs_to_the_first_who_begins_and_what_was_too_much_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture) = captured(folder.path());
        capture.hold().await;
        let early = "x".repeat(1_500);
        rustix::io::write(&child, early.as_bytes()).expect("the other side is there");
        let blobs = BlobStore::local(folder.path()).expect("a folder of our own");
        let prefix = blobs.url("p");
        capture.begin(&prefix).await;
        let printed = capture.end().await;
        assert_eq!(printed.tail, early);
        let mut stored = Vec::new();
        for part in 0..printed.parts {
            let part = blobs.get(&paths::log_part(&prefix, part), u64::MAX).await;
            stored.extend_from_slice(&part.expect("every part is there"));
        }
        let cut = "\n[skein: the output is cut here, after 1024 bytes]\n";
        assert_eq!(String::from_utf8_lossy(&stored), early[..1024].to_owned() + cut);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_printed_after_the_beginning_is_never_taken_for_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, capture) = captured(folder.path());
        for round in 0..2_000 {
            let text = format!("{round}");
            capture.begin(&format!("file:///{round}")).await;
            rustix::io::write(&child, text.as_bytes()).expect("the other side is there");
            assert_eq!(capture.end().await.tail, text);
        }
    }
}

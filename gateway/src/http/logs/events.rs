//! An output as server-sent events, while it is printed.
//!
//! Each `log` event has the position after it as its id, so a client that was cut off goes on by `Last-Event-ID`; `end` says
//! that nothing follows. What is no text is shown as U+FFFD here, and served as it is without events.

use super::query::{self, Query};
use crate::error::ApiError;
use crate::printed::{self, Found, Left, Reader, Wanted};
use crate::shared::Shared;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often it is looked whether there is more. Workers ship once a second.
const PERIOD: Duration = Duration::from_millis(500);
/// How often a client hears something at least.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The most text of one event, in bytes.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Somebody who follows an output.
struct Follower {
    shared: Arc<Shared>,
    wanted: Wanted,
    reader: Option<Reader>,
    /// The position of the next byte that is sent.
    at: u64,
    /// What was read and is not sent yet.
    read: Vec<u8>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Answers an output as events: from where the client was, from a byte, from the last lines, or from its beginning.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for a limit, and for a `Last-Event-ID` that is no position,
/// [`ApiError::Unavailable`] when as many follow as may.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    mut wanted: Wanted,
    found: Found,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if query.limit != u64::MAX {
        return Err(ApiError::invalid("limit is given; a stream goes on until the output ends"));
    }
    let place = Arc::clone(&shared.followers).try_acquire_owned();
    let place = place.map_err(|_| {
        ApiError::Unavailable(
            "as many follow an output already as may; ask again, or without events".to_owned(),
        )
    })?;
    let reader = match found {
        Found::Log(source) => {
            wanted.attempt = Some(source.attempt);
            Some(Reader::new(Arc::clone(&shared.blobs), source))
        }
        Found::NotBegun(_) => None,
    };
    let resumed =
        headers.get("last-event-id").map(|id| query::number("Last-Event-ID", id.to_str().unwrap_or("?")));
    let at = match (resumed.transpose()?, query.tail, &reader) {
        (Some(at), _, _) => at,
        (None, Some(lines), Some(_)) => match printed::find(shared, &wanted, Left::Printed).await? {
            Found::Log(source) => Reader::new(Arc::clone(&shared.blobs), source).last_lines(lines).await?,
            Found::NotBegun(_) => 0,
        },
        (None, _, _) => query.from,
    };
    let shared = Arc::clone(shared);
    let follower = Follower { shared, wanted, reader, at, read: Vec::new(), is_over: false, _place: place };
    let events = Sse::new(events(follower)).keep_alive(KeepAlive::new().interval(SILENCE_MAX));
    Ok(events.into_response())
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold(follower, async |mut follower| {
        if follower.is_over {
            return None;
        }
        match follower.next().await {
            Ok(Some(event)) => Some((Ok(event), follower)),
            // The server is about to end: whoever follows connects to the next one, and goes on.
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "an output cannot be followed any longer");
                None
            }
        }
    })
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Event>, ApiError> {
        loop {
            let has_ended = self.reader.as_ref().is_some_and(Reader::has_ended);
            let mut is_all = false;
            if self.read.len() < EVENT_BYTES_MAX
                && let Some(reader) = &mut self.reader
            {
                let more = reader.next(self.at + self.read.len() as u64).await?;
                is_all = has_ended && more.is_empty();
                self.read.extend(more);
            }
            let (text, length) = text_of(&self.read[..self.read.len().min(EVENT_BYTES_MAX)], is_all);
            if length > 0 {
                return Ok(Some(self.take(text, length)));
            }
            if is_all {
                self.is_over = true;
                return Ok(Some(Event::default().event("end").id(self.at.to_string()).data("{}")));
            }
            if has_ended {
                continue;
            }
            tokio::time::sleep(PERIOD).await;
            if self.shared.watched.is_closed() {
                return Ok(None);
            }
            self.look().await?;
        }
    }

    /// Makes an event of the first `length` bytes that were read.
    fn take(&mut self, text: String, length: usize) -> Event {
        let (from, next) = (self.at, self.at + length as u64);
        self.at = next;
        self.read.drain(..length);
        let data = json!({ "from": from, "next": next, "text": text }).to_string();
        Event::default().event("log").id(next.to_string()).data(data)
    }

    /// Takes what is known of the output by now. One that will never be there has ended.
    async fn look(&mut self) -> Result<(), ApiError> {
        match printed::find(&self.shared, &self.wanted, Left::Printed).await {
            Ok(Found::NotBegun(_)) => {}
            Ok(Found::Log(source)) => {
                // Of the attempt that was the last when it was first seen: positions in the next one are others.
                self.wanted.attempt = Some(source.attempt);
                match &mut self.reader {
                    Some(reader) => reader.renew(source),
                    none => *none = Some(Reader::new(Arc::clone(&self.shared.blobs), source)),
                }
            }
            Err(ApiError::NotFound(_)) => {
                let nothing = printed::Source {
                    attempt: self.wanted.attempt.unwrap_or_default(),
                    folders: Vec::new(),
                    has_ended: true,
                    ..printed::Source::default()
                };
                self.reader = Some(Reader::new(Arc::clone(&self.shared.blobs), nothing));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Answers the text of some bytes, and how many of them it is: a character whose end has not come yet is left, unless
/// nothing comes any more.
fn text_of(bytes: &[u8], is_all: bool) -> (String, usize) {
    let begun = (1..=bytes.len().min(3)).find(|back| bytes[bytes.len() - back] >= 0xc0);
    let length = match begun {
        Some(back) if !is_all => match std::str::from_utf8(&bytes[bytes.len() - back..]) {
            // Without a length the end of the input is what is wrong.
            Err(error) if error.error_len().is_none() => bytes.len() - back,
            _ => bytes.len(),
        },
        _ => bytes.len(),
    };
    (String::from_utf8_lossy(&bytes[..length]).into_owned(), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_and_what_is_none_is_replaced() {
        let text = "aé😀".as_bytes();
        let cut = |length: usize, is_all| text_of(&text[..length], is_all);
        assert_eq!(cut(1, false), ("a".to_owned(), 1));
        assert_eq!(cut(2, false), ("a".to_owned(), 1));
        assert_eq!(cut(3, false), ("aé".to_owned(), 3));
        for length in 4..7 {
            assert_eq!(cut(length, false), ("aé".to_owned(), 3));
        }
        assert_eq!(cut(7, false), ("aé😀".to_owned(), 7));
        assert_eq!(cut(2, true), ("a\u{fffd}".to_owned(), 2));
        assert_eq!(text_of(b"\xff\0\x80", false), ("\u{fffd}\0\u{fffd}".to_owned(), 3));
        assert_eq!(text_of(b"\xff", false), ("\u{fffd}".to_owned(), 1));
        assert_eq!(text_of(b"", true), (String::new(), 0));
    }
}

//! How far an execution is: once as JSON, or as a stream of server-sent events while it runs.

use super::json::{JSON, RefusedInJson, execution_of};
use crate::progress::{self, Update};
use crate::shared::Shared;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;

const EVENT_STREAM: &str = "text/event-stream";

/// Says how far an execution is; goes on saying so at most once a second, until it has ended, to whoever accepts events.
pub(super) async fn of_execution(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, RefusedInJson> {
    let id = execution_of(path)?;
    let first = Update::of(&progress::read(&shared, &id).await?)?;
    if !accepts_events(&headers) {
        return Ok(([(header::CONTENT_TYPE, JSON)], first.json + "\n").into_response());
    }
    Ok(Sse::new(events(progress::watch(&shared, &id, first)?)).into_response())
}

/// Says whether the client asks for server-sent events.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// What is sent next.
enum Next {
    /// What is known now.
    Known(watch::Receiver<Arc<Update>>),
    /// What will be known next.
    Newer(watch::Receiver<Arc<Update>>),
    /// That nothing follows, so that nobody connects again to wait for it.
    End,
    /// Nothing.
    Nothing,
}

/// Answers `progress` events, and `end` after the one that says that the execution has ended.
fn events(updates: watch::Receiver<Arc<Update>>) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold(Next::Known(updates), async |next| {
        let updates = match next {
            Next::Known(updates) => updates,
            Next::Newer(mut updates) => {
                // Nobody reads the execution any more: whoever watches finds out why by asking again.
                updates.changed().await.ok()?;
                updates
            }
            Next::End => return Some((Ok(Event::default().event("end").data("{}")), Next::Nothing)),
            Next::Nothing => return None,
        };
        Some(show(updates))
    })
}

fn show(mut updates: watch::Receiver<Arc<Update>>) -> (Result<Event, Infallible>, Next) {
    let update = Arc::clone(&updates.borrow_and_update());
    let event = Event::default().event("progress").data(&update.json);
    (Ok(event), if update.is_last { Next::End } else { Next::Newer(updates) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepting(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn events_are_sent_to_those_who_name_them() {
        assert!(accepts_events(&accepting(&["text/event-stream"])));
        assert!(accepts_events(&accepting(&["application/json, Text/Event-Stream;q=0.9"])));
        assert!(accepts_events(&accepting(&["application/json", "text/event-stream"])));
        assert!(!accepts_events(&accepting(&["*/*"])), "a browser or curl is to see JSON");
        assert!(!accepts_events(&accepting(&[])));
    }
}

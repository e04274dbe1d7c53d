//! What user code printed: a part of it, its last lines, or a stream of it while it is printed.

mod events;
pub(super) mod query;

use super::Refused;
use super::json::{JSON, RefusedInJson, execution_of, path_of};
use super::progress::accepts_events;
use crate::error::ApiError;
use crate::printed::{self, Found, Left, Of, Reader, Wanted};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use query::Query;
use skein_model::ExecutionId;
use std::sync::Arc;

/// The position of the answer's first byte in the output.
const FROM: HeaderName = HeaderName::from_static("skein-log-from");
/// Whether nothing is added to the output any more: `true` or `false`.
const ENDED: HeaderName = HeaderName::from_static("skein-log-ended");

/// Of which attempt the output is, where none was named the last.
const ATTEMPT: HeaderName = HeaderName::from_static("skein-log-attempt");

type PathOf<T> = Result<Path<T>, PathRejection>;

/// What one attempt printed.
pub(super) async fn attempt(
    State(shared): State<Arc<Shared>>,
    path: PathOf<(String, String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (project, domain, name, node, attempt) = path_of(path)?;
    let execution = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let attempt = Some(query::number("attempt", &attempt)?);
    let query = Query::parse(query.as_deref(), &[])?;
    Ok(answer(&shared, Wanted { execution, node, attempt, of: Of::Attempt }, query, &headers).await?)
}

/// What one run of a range of a map's items printed (`0-10`), or of one item (`7`).
pub(super) async fn items(
    State(shared): State<Arc<Shared>>,
    path: PathOf<(String, String, String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (project, domain, name, node, attempt, items) = path_of(path)?;
    let execution = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let attempt = Some(query::number("attempt", &attempt)?);
    let of = match items.contains('-') {
        true => Of::Range(query::range("items", &items)?),
        false => Of::Item(query::number("item", &items)?),
    };
    let query = Query::parse(query.as_deref(), &[])?;
    Ok(answer(&shared, Wanted { execution, node, attempt, of }, query, &headers).await?)
}

/// What a node printed: its last attempt, or what the query names.
pub(super) async fn of_node(
    State(shared): State<Arc<Shared>>,
    path: PathOf<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, RefusedInJson> {
    let (project, domain, name, node) = path_of(path)?;
    let execution = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let query = Query::parse(query.as_deref(), &["attempt", "item", "items"])?;
    let wanted = Wanted { execution, node, attempt: query.attempt, of: query.of };
    Ok(answer(&shared, wanted, query, &headers).await?)
}

/// Which outputs an execution has.
pub(super) async fn of_execution(
    State(shared): State<Arc<Shared>>,
    path: PathOf<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, RefusedInJson> {
    let id = execution_of(path)?;
    let node = query::only_node(query.as_deref())?;
    let logs = printed::list(&shared, &id, node.as_deref(), Left::Printed).await?;
    let json = serde_json::to_string(&logs)
        .map_err(|error| ApiError::internal("the outputs of an execution as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

async fn answer(
    shared: &Arc<Shared>,
    wanted: Wanted,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let found = printed::find(shared, &wanted, Left::Printed).await?;
    if accepts_events(headers) {
        return events::follow(shared, wanted, found, &query, headers).await;
    }
    let source = match found {
        Found::Log(source) => source,
        Found::NotBegun(why) => return Err(ApiError::NotFound(why)),
    };
    let from = match query.tail {
        Some(lines) => Reader::new(Arc::clone(&shared.blobs), source.clone()).last_lines(lines).await?,
        None => query.from,
    };
    let (ended, attempt) = (source.has_ended.to_string(), source.attempt.to_string());
    let reader = Reader::new(Arc::clone(&shared.blobs), source);
    let pieces = stream::try_unfold((reader, from, query.limit), async |(mut reader, at, left)| {
        let mut piece = if left > 0 { reader.next(at).await? } else { Vec::new() };
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let length = piece.len() as u64;
        Ok::<_, ApiError>((length > 0).then(|| (piece, (reader, at + length, left - length))))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (FROM, from.to_string()),
        (ENDED, ended),
        (ATTEMPT, attempt),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

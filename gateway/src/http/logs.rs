//! What user code printed, put together from the parts that workers leave.

use super::Refused;
use crate::nodes;
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use skein_model::event::ItemRange;
use skein_model::{Attempt, ExecutionId, NodeId, paths};
use std::sync::Arc;

/// What one attempt printed, so far.
pub(super) async fn attempt(
    State(shared): State<Arc<Shared>>,
    Path((project, domain, execution, node, attempt)): Path<(String, String, String, String, String)>,
) -> Result<Response, Refused> {
    let attempt = number("attempt", &attempt)?;
    let (data_prefix, node) = find(&shared, [&project, &domain, &execution], &node).await?;
    serve(&shared, &paths::attempt_prefix(&data_prefix, &node, Attempt(attempt))).await
}

/// What one run of a range of a map's items printed, so far.
pub(super) async fn items(
    State(shared): State<Arc<Shared>>,
    Path((project, domain, execution, node, attempt, items)): Path<(
        String,
        String,
        String,
        String,
        String,
        String,
    )>,
) -> Result<Response, Refused> {
    let attempt = number("attempt", &attempt)?;
    let (start, end) = items.split_once('-').ok_or_else(|| {
        Refused(
            StatusCode::BAD_REQUEST,
            "items are named by the first and the one after the last: 0-10".to_owned(),
        )
    })?;
    let range = ItemRange { start: number("items", start)?, end: number("items", end)? };
    let (data_prefix, node) = find(&shared, [&project, &domain, &execution], &node).await?;
    serve(&shared, &paths::items_prefix(&data_prefix, &node, Attempt(attempt), range)).await
}

fn number(field: &str, text: &str) -> Result<u32, Refused> {
    text.parse().map_err(|_| Refused(StatusCode::BAD_REQUEST, format!("{field} is not a number")))
}

/// Finds where a node keeps its data: in the views, so that nothing but a known node's folder is read.
async fn find(
    shared: &Shared,
    [project, domain, execution]: [&str; 3],
    node: &str,
) -> Result<(String, NodeId), Refused> {
    let bad = |error: skein_model::IdError| Refused(StatusCode::BAD_REQUEST, error.to_string());
    let id = ExecutionId::parse(project, domain, execution).map_err(bad)?;
    skein_model::ids::check_name("node", node).map_err(bad)?;
    let (execution, row) = nodes::find(shared, &id, node).await?;
    Ok((execution.data_prefix, NodeId::new(row.node_id)))
}

async fn serve(shared: &Arc<Shared>, prefix: &str) -> Result<Response, Refused> {
    let parts = shared.blobs.list(&paths::log_folder(prefix)).await.map_err(crate::error::ApiError::from)?;
    let blobs = shared.blobs.clone();
    let text = stream::iter(parts)
        .then(move |part| {
            let blobs = blobs.clone();
            async move { blobs.get_stream(&part).await.map(|(_, pieces)| pieces) }
        })
        .try_flatten();
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(text)).into_response())
}

//! Why an execution is where it is, or a node of it.

use super::json::{JSON, RefusedInJson, execution_of, path_of};
use crate::error::ApiError;
use crate::shared::Shared;
use crate::why;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use skein_model::ExecutionId;
use std::sync::Arc;

/// Says what each unfinished part waits for, and what each try that failed was charged to.
pub(super) async fn of_execution(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    answer(&shared, &execution_of(path)?, None).await
}

/// The same of one node.
pub(super) async fn of_node(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    let (project, domain, name, node) = path_of(path)?;
    let id = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    answer(&shared, &id, Some(&node)).await
}

async fn answer(shared: &Shared, id: &ExecutionId, node: Option<&str>) -> Result<Response, RefusedInJson> {
    let why = why::read(shared, id, node).await?;
    let json = serde_json::to_string(&why)
        .map_err(|error| ApiError::internal("what an execution waits for as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

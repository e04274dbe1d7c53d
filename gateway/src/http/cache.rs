//! What the cache holds, and that some of it no longer counts.

use super::json::{JSON, RefusedInJson, execution_of, path_of};
use crate::cache::{self, Which};
use crate::error::ApiError;
use crate::shared::Shared;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_model::ExecutionId;
use std::sync::Arc;

/// Lists what it holds.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, RefusedInJson> {
    json(&cache::list(&shared, &asked(which)?).await?)
}

/// Makes what it holds of a task not count any more, of all versions or of one.
pub(super) async fn evict(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, RefusedInJson> {
    let (project, domain, task) = path_of(path)?;
    let which = Which { project: Some(project), domain: Some(domain), task: Some(task), ..asked(which)? };
    json(&cache::evict(&shared, &which).await?)
}

/// The same of what an execution made or used.
pub(super) async fn evict_execution(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    json(&cache::evict_of(&shared, &execution_of(path)?, None).await?)
}

/// The same of one node of it.
pub(super) async fn evict_node(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    let (project, domain, name, node) = path_of(path)?;
    let id = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    json(&cache::evict_of(&shared, &id, Some(&node)).await?)
}

fn asked(which: Result<Query<Which>, QueryRejection>) -> Result<Which, ApiError> {
    let Query(which) = which.map_err(|error| {
        ApiError::invalid(format!("the query is none: {error}; say project, domain, task or version"))
    })?;
    Ok(which)
}

fn json<T: Serialize>(answer: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(answer)
        .map_err(|error| ApiError::internal("what the cache holds, as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

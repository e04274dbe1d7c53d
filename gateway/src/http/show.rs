//! Executions as they were, and what is different between two.

use super::json::{JSON, RefusedInJson, execution_of, path_of};
use crate::diff;
use crate::error::ApiError;
use crate::shared::Shared;
use crate::show::{self, Moment};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use skein_model::ExecutionId;
use std::sync::Arc;

/// What is asked of an execution.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// At which version of the journal, or at what time; none is now.
    at: Option<String>,
}

/// Shows one as it was.
pub(super) async fn of_execution(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, RefusedInJson> {
    let Query(asked) = asked.map_err(|error| {
        ApiError::invalid(format!("the query is none: {error}; say at=VERSION or at=TIME, or nothing"))
    })?;
    let moment = Moment::read(asked.at.as_deref())?;
    answer(&show::read(&shared, &execution_of(path)?, moment).await?)
}

/// Says what is different between two.
pub(super) async fn diff(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<[String; 6]>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    let [project, domain, name, others_project, others_domain, others_name] = path_of(path)?;
    let one = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let other = ExecutionId::parse(&others_project, &others_domain, &others_name).map_err(ApiError::from)?;
    answer(&diff::read(&shared, &one, &other).await?)
}

fn answer<T: Serialize>(said: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(said)
        .map_err(|error| ApiError::internal("what a journal has as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

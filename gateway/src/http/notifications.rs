//! Who was told of ends of executions, and that somebody is to be told again.

use super::json::{JSON, RefusedInJson, path_of};
use crate::error::ApiError;
use crate::notifications::{self, Which};
use crate::shared::Shared;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_model::ExecutionId;
use skein_model::notification::NoticeId;
use std::sync::Arc;

/// Lists notices, or those that were given up.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, RefusedInJson> {
    let Query(which) = which.map_err(|error| {
        ApiError::invalid(format!("the query is none: {error}; say dead=true, or nothing"))
    })?;
    answer(&notifications::list(&shared, &which).await?)
}

/// Has one sent again.
///
/// The request has to say that it is JSON: a page that a browser shows cannot have it say so without being asked for leave.
pub(super) async fn resend(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, RefusedInJson> {
    if headers.get(header::CONTENT_TYPE) != Some(&JSON) {
        return Err(ApiError::invalid("content-type has to be application/json").into());
    }
    let (project, domain, name, notice) = path_of(path)?;
    let execution = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let notice = notice.parse().map_err(|_| {
        ApiError::invalid(format!("the notice is {notice:?}; it has to be a number, such as 0"))
    })?;
    answer(&notifications::resend(&shared, &NoticeId { execution, notice }).await?)
}

fn answer<T: Serialize>(said: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(said).map_err(|error| ApiError::internal("notices as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

//! The signals of an execution, and giving one its value in words.

use super::json::{JSON, RefusedInJson, execution_of, path_of};
use crate::error::ApiError;
use crate::shared::Shared;
use crate::signals::{self, Given};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_model::ExecutionId;
use std::sync::Arc;

/// Lists what gates wait for or have waited for.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Response, RefusedInJson> {
    answer(&signals::all(&shared, &execution_of(path)?).await?)
}

/// Gives one its value.
///
/// The request has to say that it is JSON: a page that a browser shows cannot have it say so without being asked for leave.
pub(super) async fn set(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, RefusedInJson> {
    let (project, domain, name, signal) = path_of(path)?;
    let id = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    if headers.get(header::CONTENT_TYPE) != Some(&JSON) {
        return Err(ApiError::invalid("content-type has to be application/json").into());
    }
    let body = body.map_err(|error| ApiError::invalid(format!("the body cannot be read: {error}")))?;
    let given: Given = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("the body is not {{\"value\": \"TEXT\"}}: {error}")))?;
    answer(&signals::set_text(&shared, &id, &signal, &given).await?)
}

fn answer<T: Serialize>(said: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(said).map_err(|error| ApiError::internal("signals as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

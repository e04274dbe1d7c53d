//! Which secrets there are, and a new key for all of them.

use super::json::{JSON, RefusedInJson};
use crate::error::ApiError;
use crate::secrets;
use crate::shared::Shared;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;

/// Lists all secrets, without their values.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, RefusedInJson> {
    answer(&secrets::all(&shared).await?)
}

/// Takes a new key and encrypts all secrets by it.
///
/// The request has to say that it is JSON: a page that a browser shows cannot have it say so without being asked for leave.
pub(super) async fn rotate(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, RefusedInJson> {
    if headers.get(header::CONTENT_TYPE) != Some(&JSON) {
        return Err(ApiError::invalid("content-type has to be application/json").into());
    }
    answer(&secrets::rotate(&shared).await?)
}

fn answer<T: Serialize>(said: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(said).map_err(|error| ApiError::internal("secrets as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

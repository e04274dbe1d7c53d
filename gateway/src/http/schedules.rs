//! The schedules of launch plans.

use super::json::{JSON, RefusedInJson};
use crate::error::ApiError;
use crate::schedules::{self, Which};
use crate::shared::Shared;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Lists those of active launch plans.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, RefusedInJson> {
    let Query(which) = which.map_err(|error| {
        ApiError::invalid(format!("the query is none: {error}; say project, domain or name"))
    })?;
    let json = serde_json::to_string(&schedules::list(&shared, &which).await?)
        .map_err(|error| ApiError::internal("schedules as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

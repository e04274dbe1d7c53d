//! What answers in JSON have in common.

use super::Refused;
use crate::error::ApiError;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use skein_model::ExecutionId;

/// The media type.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request that was not served, as JSON: `{"error": {"status": 404, "message": "…"}}`.
pub(super) struct RefusedInJson(Refused);

impl<E: Into<Refused>> From<E> for RefusedInJson {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for RefusedInJson {
    fn into_response(self) -> Response {
        let Self(Refused(status, message)) = self;
        let body = serde_json::json!({ "error": { "status": status.as_u16(), "message": message } });
        (status, [(header::CONTENT_TYPE, JSON)], format!("{body}\n")).into_response()
    }
}

/// Takes the parts of a path.
///
/// # Errors
/// When one is no text.
pub(super) fn path_of<T>(path: Result<Path<T>, PathRejection>) -> Result<T, ApiError> {
    let Path(parts) =
        path.map_err(|error| ApiError::invalid(format!("the path is not text in UTF-8: {error}")))?;
    Ok(parts)
}

/// Takes the execution from a path.
///
/// # Errors
/// When it cannot be one.
pub(super) fn execution_of(
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<ExecutionId, ApiError> {
    let (project, domain, name) = path_of(path)?;
    Ok(ExecutionId::parse(&project, &domain, &name)?)
}

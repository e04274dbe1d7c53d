//! What is served over plain HTTP beside gRPC: health, metrics, objects by signed URL, logs, progress, why, how it was, what was used, the
//! cache, signals, who was told of ends, and which schedules and secrets there are.

mod cache;
mod data;
mod json;
mod logs;
mod metrics;
mod notifications;
mod progress;
mod schedules;
mod secrets;
mod show;
mod signals;
mod usage;
mod why;

use crate::shared::Shared;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// An HTTP request that was not served: a status and a text.
pub(crate) struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

impl From<crate::error::ApiError> for Refused {
    fn from(error: crate::error::ApiError) -> Self {
        use crate::error::ApiError;
        let status = match &error {
            ApiError::InvalidArgument(_) | ApiError::AlreadyExists(_) | ApiError::FailedPrecondition(_) => {
                StatusCode::BAD_REQUEST
            }
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::ResourceExhausted(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::Unimplemented(_) => StatusCode::NOT_IMPLEMENTED,
            ApiError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// Answers the routes.
pub(crate) fn routes(shared: Arc<Shared>, registry: Arc<Registry>) -> Router {
    let metrics = Router::new().route("/metrics", get(metrics::text)).with_state((shared.clone(), registry));
    Router::new()
        .route("/healthcheck", get(async || "ok\n"))
        .route("/data/{*path}", get(data::get).head(data::head).put(data::put))
        .route("/signed/{query}/{*path}", get(data::get_signed).head(data::head_signed))
        .route("/logs/{project}/{domain}/{execution}/{node}/{attempt}", get(logs::attempt))
        .route("/logs/{project}/{domain}/{execution}/{node}/{attempt}/{items}", get(logs::items))
        .route("/api/v1/cache", get(cache::list))
        .route("/api/v1/cache/{project}/{domain}/{task}", delete(cache::evict))
        .route("/api/v1/executions/{project}/{domain}/{name}/cache", delete(cache::evict_execution))
        .route("/api/v1/executions/{project}/{domain}/{name}/cache/{node}", delete(cache::evict_node))
        .route("/api/v1/executions/{project}/{domain}/{name}/logs", get(logs::of_execution))
        .route("/api/v1/executions/{project}/{domain}/{name}/logs/{node}", get(logs::of_node))
        .route("/api/v1/executions/{project}/{domain}/{name}/progress", get(progress::of_execution))
        .route("/api/v1/executions/{project}/{domain}/{name}/show", get(show::of_execution))
        .route(
            "/api/v1/executions/{project}/{domain}/{name}/diff/{other_project}/{other_domain}/{other_name}",
            get(show::diff),
        )
        .route("/api/v1/executions/{project}/{domain}/{name}/signals", get(signals::list))
        .route("/api/v1/executions/{project}/{domain}/{name}/signals/{signal}", post(signals::set))
        .route("/api/v1/executions/{project}/{domain}/{name}/usage", get(usage::of_execution))
        .route("/api/v1/executions/{project}/{domain}/{name}/usage/{node}", get(usage::of_node))
        .route("/api/v1/executions/{project}/{domain}/{name}/why", get(why::of_execution))
        .route("/api/v1/executions/{project}/{domain}/{name}/why/{node}", get(why::of_node))
        .route("/api/v1/notifications", get(notifications::list))
        .route("/api/v1/notifications/{project}/{domain}/{name}/{notice}/resend", post(notifications::resend))
        .route("/api/v1/schedules", get(schedules::list))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/rotate", post(secrets::rotate))
        .with_state(shared)
        .merge(metrics)
}

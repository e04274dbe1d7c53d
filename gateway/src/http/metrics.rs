//! `/metrics`: what is counted, and what is looked up when somebody asks.

use super::Refused;
use crate::metrics::LagLabels;
use crate::shared::Shared;
use crate::views::FOLLOWED;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

/// The content type of OpenMetrics.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// How long the log may take to say where it ends; one that is out of reach must not keep the other figures back.
const END_MAX: Duration = Duration::from_secs(1);

pub(super) async fn text(
    State((shared, registry)): State<(Arc<Shared>, Arc<Registry>)>,
) -> Result<Response, Refused> {
    shared.metrics.views_caught_up.set(i64::from(shared.views.is_caught_up()));
    shared.metrics.watched_executions.set(shared.watched.count());
    for category in FOLLOWED {
        let labels = LagLabels { category: category.word() };
        if let Ok(Ok(end)) = tokio::time::timeout(END_MAX, shared.log.end(category)).await {
            let lag = i64::try_from(shared.views.lag(category, &end)).unwrap_or(i64::MAX);
            shared.metrics.views_lag.get_or_create(&labels).set(lag);
        } else {
            shared.metrics.views_lag.remove(&labels);
        }
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

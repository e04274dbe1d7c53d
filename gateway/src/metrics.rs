//! Every instrument of the gateway: name, unit, labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Counts and times what the gateway does.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `skein_gateway_requests_total{method,code}`: gRPC requests answered. `method` is one of the served methods or
    /// `other`, `code` the name of the gRPC status.
    pub(crate) requests: Family<RequestLabels, Counter>,
    /// `skein_gateway_request_seconds`: how long gRPC requests took to answer.
    pub(crate) request_seconds: Histogram,
    /// `skein_gateway_requests_in_flight`: gRPC requests under way.
    pub(crate) in_flight: Gauge,
    /// `skein_gateway_uploaded_bytes_total`: bytes taken over HTTP.
    pub(crate) uploaded_bytes: Counter,
    /// `skein_gateway_views_caught_up`: 1 once the views have what was in the log at start.
    pub(crate) views_caught_up: Gauge,
    /// `skein_gateway_views_lag{category}`: how many records the views have yet to take in, at most. A log that numbers
    /// both categories together (the embedded one) lets a category's number hold some of the other's. Missing while the
    /// log does not say where it ends.
    pub(crate) views_lag: Family<LagLabels, Gauge>,
    /// `skein_gateway_watched_executions`: executions that somebody watches, each read at most once a second.
    pub(crate) watched_executions: Gauge,
}

/// What requests are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: String,
    pub(crate) code: &'static str,
}

/// What the views' lag is told by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LagLabels {
    /// `registry` or `execution`.
    pub(crate) category: &'static str,
}

impl Metrics {
    /// Makes the instruments and puts them into `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            // From half a millisecond to half a minute.
            request_seconds: Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
                0.0005, 2.0, 16,
            )),
            in_flight: Gauge::default(),
            uploaded_bytes: Counter::default(),
            views_caught_up: Gauge::default(),
            views_lag: Family::default(),
            watched_executions: Gauge::default(),
        };
        registry.register("skein_gateway_requests", "gRPC requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "skein_gateway_request",
            "Time from a gRPC request to its answer",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        registry.register(
            "skein_gateway_requests_in_flight",
            "gRPC requests under way",
            metrics.in_flight.clone(),
        );
        registry.register_with_unit(
            "skein_gateway_uploaded",
            "Taken over HTTP",
            Unit::Bytes,
            metrics.uploaded_bytes.clone(),
        );
        registry.register(
            "skein_gateway_views_caught_up",
            "Whether the views have what was in the log at start",
            metrics.views_caught_up.clone(),
        );
        registry.register(
            "skein_gateway_views_lag",
            "Records of the log that the views have yet to take in, at most",
            metrics.views_lag.clone(),
        );
        registry.register(
            "skein_gateway_watched_executions",
            "Executions that somebody watches",
            metrics.watched_executions.clone(),
        );
        metrics
    }
}

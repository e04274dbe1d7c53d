//! What stands round every handler: counting, and an answer even when a handler panics.

use crate::metrics::{Metrics, RequestLabels};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use skein_telemetry::trace;
use std::any::Any;
use std::time::Instant;
use tonic::Code;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Guards the gRPC routes.
pub(crate) fn grpc(routes: Router, metrics: Metrics) -> Router {
    routes.layer(CatchPanicLayer::custom(grpc_panic)).layer(from_fn_with_state(metrics, count))
}

/// Guards the HTTP routes.
pub(crate) fn http(routes: Router) -> Router {
    routes.layer(CatchPanicLayer::custom(http_panic))
}

fn report(panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
    tracing::error!(panic = text, "a handler panicked");
}

fn grpc_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
    report(&*panic);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static("a fault of this server; its log says more"));
    response
}

fn http_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
    report(&*panic);
    let mut response = Response::new(Body::from("a fault of this server; its log says more\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Counts a gRPC request, and makes INTERNAL of UNKNOWN: the SDK takes UNKNOWN for a missing login.
async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response<Body> {
    let method = method_label(request.uri().path());
    metrics.in_flight.inc();
    let started = Instant::now();
    let mut response = traced(&method, request, next).await;
    metrics.request_seconds.observe(started.elapsed().as_secs_f64());
    metrics.in_flight.dec();
    // An answer with a message has its status in the trailers, and is OK.
    let code =
        response.headers().get(GRPC_STATUS).map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()));
    let code = if code == Code::Unknown {
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static("13"));
        Code::Internal
    } else {
        code
    };
    metrics.requests.get_or_create(&RequestLabels { method, code: code_name(code) }).inc();
    response
}

/// Runs a request as part of its client's trace, or of a new one; what it causes is a part of the request.
async fn traced(method: &str, request: Request, next: Next) -> Response<Body> {
    let header = request.headers().get(TRACE_PARENT).and_then(|value| value.to_str().ok());
    let caller = header.and_then(trace::parse);
    let span = tracing::info_span!("request", method, trace = tracing::field::Empty);
    trace::continue_in(&span, caller);
    let trace = trace::of(&span).or(caller).unwrap_or_else(trace::begin);
    span.record("trace", trace::id(Some(trace)));
    trace::within(trace, next.run(request)).instrument(span).await
}

/// Answers the label of a path: its method when it is one of ours, so that nobody can fill the registry with labels.
fn method_label(path: &str) -> String {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (service, method) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if is_served(service, method) { format!("{service}/{method}") } else { "other".to_owned() }
}

fn is_served(service: &str, method: &str) -> bool {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;
    static METHODS: LazyLock<BTreeSet<(String, String)>> = LazyLock::new(|| {
        use prost::Message as _;
        let set = prost_types::FileDescriptorSet::decode(skein_idl::FILE_DESCRIPTOR_SET).unwrap_or_default();
        let mut methods = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| (name.clone(), method.name().to_owned())));
            }
        }
        methods
    });
    METHODS.contains(&(service.to_owned(), method.to_owned()))
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::any;
    use prometheus_client::registry::Registry;
    use tower::ServiceExt as _;

    async fn explode() -> &'static str {
        panic!("a handler with a bug")
    }

    async fn unknown() -> Response<Body> {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static("2"));
        response
    }

    async fn call(routes: Router, path: &str) -> Response<Body> {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a good request");
        routes.oneshot(request).await.expect("a router answers")
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_internal() {
        let metrics = Metrics::register(&mut Registry::default());
        let path = "/flyteidl.service.AdminService/GetTask";
        let response = call(grpc(Router::new().route(path, any(explode)), metrics.clone()), path).await;
        assert_eq!(response.headers()[GRPC_STATUS], "13");
        let labels =
            RequestLabels { method: "flyteidl.service.AdminService/GetTask".to_owned(), code: "INTERNAL" };
        assert_eq!(metrics.requests.get_or_create(&labels).get(), 1);
        let response = call(http(Router::new().route("/x", any(explode))), "/x").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn unknown_becomes_internal() {
        let metrics = Metrics::register(&mut Registry::default());
        let response = call(grpc(Router::new().route("/x/y", any(unknown)), metrics), "/x/y").await;
        assert_eq!(response.headers()[GRPC_STATUS], "13");
    }

    #[test]
    fn only_methods_that_are_served_become_labels() {
        assert_eq!(
            method_label("/flyteidl.service.AdminService/GetTask"),
            "flyteidl.service.AdminService/GetTask"
        );
        assert_eq!(method_label("/flyteidl.service.AdminService/x"), "other");
        assert_eq!(method_label("/"), "other");
    }
}

//! A trace goes from the client's call to the attempt: in gRPC metadata, in records, in work.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use skein_model::envelope::TraceContext;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Runs `work` as part of `trace`: whatever it asks for the current trace gets this one.
pub async fn within<F: Future>(trace: TraceContext, work: F) -> F::Output {
    CURRENT.scope(trace, work).await
}

/// Answers the trace that the running task is part of; none outside of [`within`].
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// Begins a trace of which nobody has heard.
pub fn begin() -> TraceContext {
    // Each state is seeded by the system; two of them make the 128 bits that a trace id has.
    let random = || RandomState::new().hash_one(0).max(1);
    TraceContext { trace_id: u128::from(random()) << 64 | u128::from(random()), span_id: random() }
}

/// Reads a W3C `traceparent`; none when it is not one.
///
/// ```
/// let read = skein_telemetry::trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!(read.map(|trace| trace.span_id), Some(0xb7ad_6b71_6920_3331));
/// assert_eq!(skein_telemetry::trace::parse("00-0-0-0"), None);
/// ```
pub fn parse(traceparent: &str) -> Option<TraceContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || trace.len() != 32 || span.len() != 16 {
        return None;
    }
    let context = TraceContext {
        trace_id: u128::from_str_radix(trace, 16).ok()?,
        span_id: u64::from_str_radix(span, 16).ok()?,
    };
    (context.trace_id != 0 && context.span_id != 0).then_some(context)
}

/// Writes a trace as log lines name it: its id in 32 hexadecimal digits; a dash for none.
pub fn id(trace: Option<TraceContext>) -> String {
    trace.map_or_else(|| "-".to_owned(), |trace| format!("{:032x}", trace.trace_id))
}

/// Makes `span` go on where `trace` is; nothing happens when traces are not exported.
pub fn continue_in(span: &Span, trace: Option<TraceContext>) {
    let Some(trace) = trace.filter(|_| !span.is_disabled()) else { return };
    let parent = SpanContext::new(
        TraceId::from_bytes(trace.trace_id.to_be_bytes()),
        SpanId::from_bytes(trace.span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    // Refused only where no exporter is installed: then there is no trace to go on with.
    drop(span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent)));
}

/// Answers where `span` itself is, so that what it causes goes on from there; none when traces are not exported.
///
/// Begins the span: it cannot be made to go on elsewhere afterwards.
pub fn of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_traces_that_begin_are_not_the_same() {
        assert_ne!(begin().trace_id, begin().trace_id);
    }

    #[test]
    fn a_trace_is_written_as_it_is_read() {
        let trace = begin();
        let written = format!("00-{}-{:016x}-01", id(Some(trace)), trace.span_id);
        assert_eq!(parse(&written), Some(trace));
        assert_eq!(id(None), "-");
    }
}

//! Starts logs and, where an endpoint is configured, the export of traces.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name under which traces are exported.
    pub service: String,
    /// Which lines are written, as `RUST_LOG` has it; none is `info` for Skein and `warn` for the rest. Says nothing
    /// about what is exported.
    pub filter: Option<String>,
    /// How they look.
    pub format: LogFormat,
    /// Where traces go (OTLP over gRPC, for example `http://127.0.0.1:4317`); none exports nothing.
    pub otlp_endpoint: Option<String>,
}

/// Logs or traces that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The filter is not one.
    #[error("log filter {filter:?} cannot be read")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporter cannot be made.
    #[error("traces cannot be sent to {endpoint}")]
    Exporter {
        /// The endpoint.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// Something else has taken the place already.
    #[error("logs were started before")]
    Twice,
}

/// Logs and traces of this process; exports what is left when dropped.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // Nobody is left to tell; what could not be sent is lost.
            drop(provider.shutdown());
        }
    }
}

const FILTER: &str =
    "warn,skein=info,skein_gateway=info,skein_runtime=info,skein_workers=info,skein_log=info";

/// Starts logs on standard error, and traces where an endpoint is given. Once in a process.
///
/// # Errors
/// See [`StartError`].
pub fn start(settings: &Settings) -> Result<Telemetry, StartError> {
    let filter = settings.filter.as_deref().unwrap_or(FILTER);
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| StartError::Filter { filter: filter.to_owned(), source })?;
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true).with_ansi(coloured);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Each has a filter of its own: a span that no line is written for is exported all the same, and costs nothing where
    // nothing is.
    let lines = lines.with_filter(filter);
    let provider = settings.otlp_endpoint.as_deref().map(|at| exporter(&settings.service, at)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let exported = FilterFn::new(is_exported).with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer().with_tracer(provider.tracer("skein")).with_filter(exported)
    });
    tracing_subscriber::registry().with(lines).with(traces).try_init().map_err(|_| StartError::Twice)?;
    Ok(Telemetry { provider })
}

/// Says whether a trace shows it: our spans, one a command at the finest, and what they tell at INFO and above. What lies
/// below may carry values of users.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let finest = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with("skein") && *metadata.level() <= finest
}

fn exporter(service: &str, endpoint: &str) -> Result<SdkTracerProvider, StartError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| StartError::Exporter { endpoint: endpoint.to_owned(), source })?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name(service.to_owned()).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

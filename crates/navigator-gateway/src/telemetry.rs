//! What the gateway tells about itself: log lines, and traces and metrics by OTLP where an operator wants them.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How long a collector may take to answer, at the end too.
const PATIENCE: Duration = Duration::from_secs(5);

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Telemetry that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level means nothing.
    #[error("failed to understand the log level `{0}`: write error, warn, info, debug or trace")]
    Level(String),
    /// The collector's address means nothing.
    #[error("failed to use {endpoint} as OTLP endpoint")]
    Endpoint {
        /// The address.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// Something else in this process logs already.
    #[error("failed to take over the log of this process")]
    Taken(#[source] tracing_subscriber::util::TryInitError),
}

/// Telemetry that runs; what has not been sent is sent when it ends.
#[must_use]
pub struct Telemetry(Option<(SdkTracerProvider, SdkMeterProvider)>);

/// Starts to log to `writer`, and to send traces and metrics to the collector at `endpoint`, such as
/// `http://127.0.0.1:4317`. Call it inside the runtime.
///
/// # Errors
/// [`TelemetryError`] when a setting means nothing.
pub fn start<W>(
    level: &str,
    format: LogFormat,
    endpoint: Option<&str>,
    writer: W,
) -> Result<Telemetry, TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|_| TelemetryError::Level(level.to_owned()))?;
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let providers = endpoint.map(providers).transpose()?;
    let traces = providers.as_ref().map(|(tracer, _)| {
        tracing_opentelemetry::layer().with_tracer(tracer.tracer("navigator")).boxed()
    });
    if let Some((_, meter)) = &providers {
        global::set_meter_provider(meter.clone());
    }
    let layers: Vec<_> = [Some(lines), traces].into_iter().flatten().collect();
    tracing_subscriber::registry()
        .with(layers.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Taken)?;
    Ok(Telemetry(providers))
}

fn providers(endpoint: &str) -> Result<(SdkTracerProvider, SdkMeterProvider), TelemetryError> {
    let failed = |source| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), source };
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(PATIENCE)
        .build()
        .map_err(failed)?;
    let numbers = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(PATIENCE)
        .build()
        .map_err(failed)?;
    let resource = Resource::builder()
        .with_service_name("navigator-gateway")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let tracer = SdkTracerProvider::builder()
        .with_batch_exporter(spans)
        .with_resource(resource.clone())
        .build();
    let meter =
        SdkMeterProvider::builder().with_periodic_exporter(numbers).with_resource(resource).build();
    Ok((tracer, meter))
}

impl Telemetry {
    /// Sends what has not been sent; a collector that does not answer is not waited for long. Call it outside of async
    /// code, or where it may block.
    pub fn end(self) {
        let Some((tracer, meter)) = self.0 else { return };
        for result in
            [tracer.shutdown_with_timeout(PATIENCE), meter.shutdown_with_timeout(PATIENCE)]
        {
            if let Err(error) = result {
                tracing::warn!(%error, "some telemetry was not sent");
            }
        }
    }
}

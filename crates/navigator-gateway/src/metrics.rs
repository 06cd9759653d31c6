//! What an operator can measure, in the Prometheus text format.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::KeyValue;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use tracing::Instrument;

use crate::access::known_method;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::Phase;
use crate::wire;

/// Every phase, so that one without sandboxes is shown as 0.
const PHASES: [Phase; 6] = [
    Phase::Provisioning,
    Phase::Ready,
    Phase::Error,
    Phase::Deleting,
    Phase::Unknown,
    Phase::Stopped,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    method: &'static str,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InPhase {
    phase: &'static str,
}

/// Counts and measures.
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Call, Counter>,
    seconds: Family<Method, Histogram>,
    /// The same for an OTLP collector; costs nothing where there is none.
    exported_seconds: opentelemetry::metrics::Histogram<f64>,
    sandboxes: Family<InPhase, Gauge>,
    sessions: Gauge,
    /// Processes that clients follow.
    pub(crate) execs: Gauge,
    /// Log lines of sandboxes that had no room.
    pub(crate) lost_lines: Counter,
    /// Supervisors that ended by themselves.
    pub(crate) ended: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// All of them, at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("navigator");
        // From a millisecond to about half a minute; streams are measured to their first answer.
        let seconds = Family::<Method, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 15))
        });
        let (calls, sandboxes) =
            (Family::<Call, Counter>::default(), Family::<InPhase, Gauge>::default());
        let (sessions, execs) = (Gauge::default(), Gauge::default());
        let (lost_lines, ended) = (Counter::default(), Counter::default());
        registry.register("calls", "Calls by method and gRPC status code", calls.clone());
        registry.register_with_unit(
            "call",
            "Time to the first answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("sandboxes", "Sandboxes by phase", sandboxes.clone());
        registry.register("sessions", "Supervisors that are connected", sessions.clone());
        registry.register("execs", "Processes that clients follow", execs.clone());
        registry.register("lost_log_lines", "Log lines that had no room", lost_lines.clone());
        registry.register(
            "supervisors_ended",
            "Supervisors that ended by themselves",
            ended.clone(),
        );
        let meter = opentelemetry::global::meter("navigator");
        let exported_seconds = meter.f64_histogram("navigator.call").with_unit("s").build();
        Self {
            registry,
            calls,
            seconds,
            exported_seconds,
            sandboxes,
            sessions,
            execs,
            lost_lines,
            ended,
        }
    }

    /// What there is now, as text.
    pub(crate) async fn show(&self, gateway: &Gateway) -> Result<String, Failure> {
        let known = gateway.store.all_sandboxes().await?;
        for phase in PHASES {
            let count = known.iter().filter(|sandbox| sandbox.phase == phase).count();
            let label = InPhase { phase: wire::phase_name(phase) };
            self.sandboxes.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.sessions.set(i64::try_from(gateway.hub.connected()).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = encode(&mut text, &self.registry);
        Ok(text)
    }
}

/// Counts and measures a call.
pub(crate) async fn measure(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let method = known_method(request.uri().path()).unwrap_or("unknown");
    let begun = Instant::now();
    let response = next.run(request).instrument(tracing::info_span!("call", method)).await;
    let seconds = begun.elapsed().as_secs_f64();
    metrics.seconds.get_or_create(&Method { method }).observe(seconds);
    // A failure before the first answer is in the head; one after it is in the trailers, and counts as an answer.
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok());
    let code = code.unwrap_or("0").to_owned();
    let labels = [KeyValue::new("method", method), KeyValue::new("code", code.clone())];
    metrics.exported_seconds.record(seconds, &labels);
    metrics.calls.get_or_create(&Call { method, code }).inc();
    response
}

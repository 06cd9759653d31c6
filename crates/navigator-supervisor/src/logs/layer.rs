//! The supervisor's own log as lines for the gateway.

use std::fmt;
use std::sync::Arc;

use navigator_proto::v1::SandboxLogLine;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::{DECISIONS, Lines, line};

/// Libraries log for those who develop them.
const OURS: &str = "navigator";

/// Adds what this program logs to the lines.
pub(crate) struct LinesLayer(pub(crate) Arc<Lines>);

impl<S: Subscriber> Layer<S> for LinesLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        if level > self.0.level() || !target.starts_with(OURS) || target == DECISIONS {
            return;
        }
        let mut written = Written(line::new(level, target));
        event.record(&mut written);
        self.0.push(written.0);
    }
}

/// A line that takes the fields of an event.
struct Written(SandboxLogLine);

impl Written {
    fn put(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.0.message = value;
        } else {
            self.0.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Written {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

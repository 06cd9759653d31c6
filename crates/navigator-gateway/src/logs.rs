//! Lines that sandboxes send.

use navigator_proto::v1::SandboxLogLine;

use crate::gateway::{Gateway, now};
use crate::live::{Level, Line, Live, Source};
use crate::wire;

/// Most lines of one batch; more are counted as lost.
const BATCH: usize = 1000;

impl Gateway {
    /// Takes lines from a sandbox as its own, whatever they say about their origin.
    pub(crate) async fn take_logs(&self, live: &Live, lines: Vec<SandboxLogLine>, lost: u64) {
        let surplus = lines.len().saturating_sub(BATCH) as u64;
        let mut lines: Vec<_> = lines.into_iter().take(BATCH).map(wire::pushed_line).collect();
        let lost = lost.saturating_add(surplus);
        if lost > 0 {
            self.metrics.lost_lines.inc_by(lost);
            tracing::warn!(sandbox = %live.id, lost, "a sandbox's log lines were lost");
            lines.push(lost_line(lost));
        }
        live.log(lines).await;
    }
}

fn lost_line(lost: u64) -> Line {
    Line {
        at: now(),
        level: Level::Warn,
        source: Source::Gateway,
        target: "log".into(),
        message: format!("{lost} lines of the sandbox had no room and are lost"),
        fields: [("lost".to_owned(), lost.to_string())].into(),
    }
}

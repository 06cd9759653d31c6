//! Notices the end of supervisors, by the kernel's word and not by asking again and again.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::place::{Holder, Place};
use crate::Gone;

/// Bytes of a supervisor's last words that are told.
const WORDS: usize = 2048;
/// How long the remains of a sandbox may take to go after its supervisor.
const REMAINS: Duration = Duration::from_secs(5);

/// Watches a supervisor that this process has started.
pub(super) fn child(id: Uuid, mut child: Child, place: Place, gone: mpsc::UnboundedSender<Gone>) {
    tokio::spawn(async move {
        if let Err(error) = over(&child).await {
            tracing::warn!(sandbox = %id, %error, "a supervisor is watched by a thread");
        }
        // Over already, unless it could not be watched.
        let status = tokio::task::spawn_blocking(move || child.wait()).await;
        let how = match status {
            Ok(Ok(status)) => describe(status),
            Ok(Err(error)) => format!("its end could not be seen: {error}"),
            Err(error) => format!("its end could not be seen: {error}"),
        };
        tell(id, how, place, gone).await;
    });
}

/// Watches a supervisor that an earlier gateway has started.
pub(super) fn stranger(id: Uuid, holder: Holder, place: Place, gone: mpsc::UnboundedSender<Gone>) {
    tokio::spawn(async move {
        let how = match holder.over().await {
            Ok(()) => "it is gone".to_owned(),
            Err(error) => format!("its end could not be seen: {error}"),
        };
        tell(id, how, place, gone).await;
    });
}

async fn over(child: &Child) -> std::io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::NotFound)?;
    Holder::new(rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?)?.over().await
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Tells of an end when nothing of the sandbox is left: its init may live a moment longer.
async fn tell(id: Uuid, mut how: String, place: Place, gone: mpsc::UnboundedSender<Gone>) {
    let until = tokio::time::Instant::now() + REMAINS;
    while place.is_held().unwrap_or(false) && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // That there are no words is no reason not to tell.
    let words = place.last_words(WORDS).unwrap_or_default();
    if let Some(last) = words.lines().rev().find(|line| !line.trim().is_empty()) {
        how = format!("{how}; its last words: {last}");
    }
    // Nobody listens when the gateway ends.
    let _ended = gone.send(Gone { id, how });
}

//! `navigator sandbox wait`: until a sandbox is what somebody waits for.

use std::time::Duration;

use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase};
use navigator_proto::v1::WatchSandboxRequest;
use navigator_proto::v1::sandbox_stream_event::Payload;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Streaming};

use super::error::SandboxError;
use super::names;
use super::progress::{Progress, Visibility};
use super::session::Session;
use super::view::{phase, why};
use crate::run::arguments;

/// How long a sandbox may stay in error before it is given up: the gateway starts a supervisor that fell over again
/// within seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a broken watch is begun again, so that a gateway that refuses is not asked all the time.
const PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `navigator sandbox wait`.
#[derive(clap::Args, Debug)]
pub struct WaitArgs {
    /// Wait for this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Wait until it is
    #[arg(long = "for", value_name = "GOAL", default_value = "ready")]
    goal: Goal,
    /// Give up after this time, such as 30s or 5m (exit code 124)
    #[arg(long, value_name = "DURATION", value_parser = arguments::duration)]
    timeout: Option<Duration>,
    /// Print nothing
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// It runs and is enforced
    Ready,
    /// Nothing runs in it
    Stopped,
    /// It is gone
    Deleted,
}

impl Goal {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

/// Waits.
pub async fn run(session: &mut Session, args: &WaitArgs) -> Result<u8, SandboxError> {
    let name = session.name(args.name.as_ref())?;
    let visibility = if args.quiet { Visibility::Hidden } else { Visibility::Shown };
    let waiting = until(session, &name, args.goal, visibility);
    within(args.timeout, format!("`{name}` to be {}", args.goal.word()), waiting).await?;
    Ok(0)
}

/// Bounds something that is waited for.
pub async fn within<T>(
    limit: Option<Duration>,
    what: String,
    work: impl Future<Output = Result<T, SandboxError>>,
) -> Result<T, SandboxError> {
    match limit {
        None => work.await,
        Some(after) => match tokio::time::timeout(after, work).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SandboxError::Timeout { what, after }),
        },
    }
}

/// Waits until a sandbox is what is wanted, and returns it unless it is gone.
pub async fn until(
    session: &mut Session,
    name: &str,
    goal: Goal,
    visibility: Visibility,
) -> Result<Option<Sandbox>, SandboxError> {
    let mut waiting =
        Waiting { name: name.to_owned(), goal, progress: Progress::new(visibility), errs: None };
    let mut id = None;
    loop {
        let sandbox = match session.get(name).await {
            Ok(sandbox) => sandbox,
            Err(error) if error.is_not_found() && goal == Goal::Deleted => return Ok(None),
            Err(error) => return Err(error),
        };
        // Another one of the same name is not the one that was to be deleted.
        let same = *id.get_or_insert_with(|| sandbox.id.clone()) == sandbox.id;
        if !same && goal == Goal::Deleted {
            return Ok(None);
        }
        if waiting.reached(&sandbox)? {
            return Ok(Some(sandbox));
        }
        let request = WatchSandboxRequest {
            id: sandbox.id.clone(),
            follow_status: true,
            follow_events: true,
            event_tail: 1,
            ..WatchSandboxRequest::default()
        };
        match session.api.watch_sandbox(request).await {
            Ok(stream) => {
                if let Some(sandbox) = waiting.watch(stream.into_inner()).await? {
                    return Ok(Some(sandbox));
                }
            }
            Err(status) if is_passing(status.code()) => {}
            Err(status) => return Err(SandboxError::refused(format!("watch `{name}`"))(status)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a broken watch is worth another look: the gateway restarts, the sandbox has just gone, or this was slow.
fn is_passing(code: Code) -> bool {
    [Code::Unavailable, Code::NotFound, Code::ResourceExhausted, Code::Unknown, Code::Cancelled]
        .contains(&code)
}

struct Waiting {
    name: String,
    goal: Goal,
    progress: Progress,
    /// When it went into error.
    errs: Option<Instant>,
}

impl Waiting {
    /// Follows a stream until the goal is reached; `None` when the stream ends before.
    async fn watch(
        &mut self,
        mut stream: Streaming<navigator_proto::v1::SandboxStreamEvent>,
    ) -> Result<Option<Sandbox>, SandboxError> {
        loop {
            let message = match self.errs {
                None => stream.message().await,
                Some(since) => match timeout_at(since + PATIENCE, stream.message()).await {
                    Ok(message) => message,
                    // The next look finds out whether it is still in error.
                    Err(_elapsed) => return Ok(None),
                },
            };
            match message {
                Ok(Some(event)) => match event.payload {
                    Some(Payload::Sandbox(sandbox)) if self.reached(&sandbox)? => {
                        return Ok(Some(sandbox));
                    }
                    Some(Payload::Event(event)) => {
                        self.tell(&format!("{}: {}", event.reason, event.message));
                    }
                    Some(Payload::Sandbox(_) | Payload::Log(_) | Payload::Warning(_)) | None => {}
                },
                Ok(None) => return Ok(None),
                Err(status) if is_passing(status.code()) => return Ok(None),
                Err(status) => {
                    return Err(SandboxError::refused(format!("watch `{}`", self.name))(status));
                }
            }
        }
    }

    /// Whether a sandbox is what is waited for; an error when it will never be.
    fn reached(&mut self, sandbox: &Sandbox) -> Result<bool, SandboxError> {
        self.tell(&format!("{} {}", phase(sandbox), why(sandbox)));
        let now = SandboxPhase::try_from(sandbox.phase).unwrap_or_default();
        let goal = match self.goal {
            Goal::Ready => SandboxPhase::Ready,
            Goal::Stopped => SandboxPhase::Stopped,
            // Gone is what cannot be got any more.
            Goal::Deleted => return Ok(false),
        };
        if now == goal {
            return Ok(true);
        }
        let in_error = now == SandboxPhase::Error;
        self.errs = in_error.then(|| self.errs.unwrap_or_else(Instant::now));
        let given_up = self.errs.is_some_and(|since| since.elapsed() >= PATIENCE);
        if given_up || now == SandboxPhase::Deleting {
            return Err(SandboxError::Hopeless {
                name: self.name.clone(),
                goal: self.goal.word(),
                phase: phase(sandbox),
                why: why(sandbox),
            });
        }
        Ok(false)
    }

    fn tell(&mut self, what: &str) {
        let text = format!("waiting for {} to be {}: {what}", self.name, self.goal.word());
        self.progress.tell(text.trim_end());
    }
}

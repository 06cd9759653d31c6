//! The start of a process that the gateway asked for: judged, wired, asked for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::Arc;

use navigator_isolation::{
    Event, Leader, ProcessSpec, Program, StartError, Stdio, Terminal, TerminalSize,
};
use navigator_proto::session::v1::StartFailure;
use navigator_proto::v1::ExecStart;
use rustix::pipe::PipeFlags;
use tokio::io::unix::AsyncFd;

use super::Environment;
use super::processes::{Process, Processes};
use crate::readiness;

/// Our own failure, or a request that means nothing.
const FAILED: i32 = 125;
/// The program, or the directory that it should start in, cannot be used.
const NOT_EXECUTABLE: i32 = 126;
/// There is no such program.
const NOT_FOUND: i32 = 127;
/// The kind of a terminal whose owner does not say.
const USUAL_TERM: &str = "xterm-256color";

/// A descriptor that the event loop watches; the two directions of a terminal share one.
pub(super) type Watched = Arc<AsyncFd<OwnedFd>>;

/// A process that runs.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) stdin: Watched,
    pub(super) stdout: Option<Watched>,
    pub(super) stderr: Option<Watched>,
    /// Present when it has a terminal, which is then its input and output.
    pub(super) terminal: Option<Watched>,
}

/// Starts a process.
pub(super) async fn start(
    processes: &Processes,
    environment: &Environment,
    start: ExecStart,
) -> Result<Running, StartFailure> {
    let spec = judge(processes.template(), environment, start)
        .map_err(|message| failure(FAILED, message))?;
    run(processes, &spec).await.map_err(|failure| about(&spec, failure))
}

/// Says what it is that could not be started.
pub(super) fn about(spec: &ProcessSpec, failure: StartFailure) -> StartFailure {
    let program = match &spec.program {
        Program::File(argv) => argv.first().map(String::as_str).unwrap_or_default(),
        Program::Builtin(_) => "built-in",
    };
    let message = format!("`{program}` in {}: {}", spec.cwd.display(), failure.message);
    StartFailure { message, ..failure }
}

async fn run(processes: &Processes, spec: &ProcessSpec) -> Result<Running, StartFailure> {
    match spawn(processes, spec).await? {
        (process, Ends::Terminal(master)) => {
            let terminal = watch(master).map_err(ours)?;
            let (stdin, stdout) = (Arc::clone(&terminal), Some(Arc::clone(&terminal)));
            Ok(Running { process, stdin, stdout, stderr: None, terminal: Some(terminal) })
        }
        (process, Ends::Pipes { stdin, stdout, stderr }) => {
            let [stdin, stdout, stderr] = [watch(stdin), watch(stdout), watch(stderr)];
            Ok(Running {
                process,
                stdin: stdin.map_err(ours)?,
                stdout: Some(stdout.map_err(ours)?),
                stderr: Some(stderr.map_err(ours)?),
                terminal: None,
            })
        }
    }
}

pub(super) fn ours(error: io::Error) -> StartFailure {
    failure(FAILED, format!("failed to start a process: {error}"))
}

/// Our ends of a process's input and output.
pub(super) enum Ends {
    /// A pipe each.
    Pipes { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    /// The controlling side of its terminal.
    Terminal(OwnedFd),
}

/// Starts a process on a terminal if it wants one, and otherwise on pipes.
pub(super) async fn spawn(
    processes: &Processes,
    spec: &ProcessSpec,
) -> Result<(Process, Ends), StartFailure> {
    if spec.terminal.is_some() {
        let mut process = processes.spawn(spec, &[]).await.map_err(ours)?;
        let master = started(&mut process).await?;
        let master = master.ok_or_else(|| ours(io::ErrorKind::InvalidData.into()))?;
        return Ok((process, Ends::Terminal(master)));
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| ours(error.into()));
    let ((reads, stdin), (stdout, writes), (stderr, warns)) = (pipe()?, pipe()?, pipe()?);
    let given = [reads.as_fd(), writes.as_fd(), warns.as_fd()];
    let mut process = processes.spawn(spec, &given).await.map_err(ours)?;
    drop((reads, writes, warns));
    started(&mut process).await?;
    Ok((process, Ends::Pipes { stdin, stdout, stderr }))
}

fn watch(fd: OwnedFd) -> io::Result<Watched> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    readiness::watch(fd).map(Arc::new)
}

/// Waits until the process runs its program; its terminal, if it has one.
async fn started(process: &mut Process) -> Result<Option<OwnedFd>, StartFailure> {
    let mut terminal = None;
    loop {
        match process.events.recv().await {
            Some(Event::Terminal { master, .. }) => terminal = Some(master),
            Some(Event::NotStarted { error, .. }) => return Err(not_started(&error)),
            Some(Event::Started { .. }) => return Ok(terminal),
            Some(_) => {}
            None => return Err(failure(FAILED, "the sandbox has ended".into())),
        }
    }
}

fn not_started(error: &StartError) -> StartFailure {
    let code = match error {
        StartError::NotFound => NOT_FOUND,
        StartError::NotExecutable(_) | StartError::WorkingDirectory(_) => NOT_EXECUTABLE,
        StartError::SelfTest(_) | StartError::Confine { .. } => FAILED,
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    failure(code, format!("{error}{}", cause.unwrap_or_default()))
}

fn failure(exit_code: i32, message: String) -> StartFailure {
    StartFailure { exit_code, message }
}

/// What to start, or why it means nothing.
fn judge(
    template: &ProcessSpec,
    environment: &Environment,
    start: ExecStart,
) -> Result<ProcessSpec, String> {
    if start.command.first().is_none_or(String::is_empty) {
        return Err("the command is empty".into());
    }
    if start.command.iter().any(|word| word.contains('\0')) {
        return Err("an argument holds a NUL".into());
    }
    crate::launch::check_environment(&start.environment).map_err(|error| error.to_string())?;
    let mut env = environment.of(&template.env, start.environment.clone());
    let terminal = start.terminal.map(|size| {
        let size = size_of(size.rows, size.columns);
        Terminal { size, leader: Leader::Process }
    });
    if terminal.is_some() && !start.environment.contains_key("TERM") {
        let term = if start.term.is_empty() { USUAL_TERM } else { &start.term };
        if term.contains('\0') {
            return Err("the kind of the terminal holds a NUL".into());
        }
        env.insert("TERM".into(), term.to_owned());
    }
    let cwd = match start.workdir.as_str() {
        "" => template.cwd.clone(),
        path => {
            directory(path).ok_or("the working directory must be an absolute path without `..`")?
        }
    };
    let stdio = if terminal.is_some() { Stdio::Terminal } else { Stdio::Given };
    Ok(ProcessSpec { program: Program::File(start.command), env, cwd, stdio: [stdio; 3], terminal })
}

/// The size of a terminal; the usual one in place of one that cannot be.
pub(super) fn size_of(rows: u32, columns: u32) -> TerminalSize {
    let bounded = |number: u32, usual| match u16::try_from(number) {
        Ok(0) => usual,
        Ok(number) => number,
        Err(_) => u16::MAX,
    };
    TerminalSize { rows: bounded(rows, 24), columns: bounded(columns, 80) }
}

fn directory(path: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(path);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let whole = path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
    (whole && path.components().all(plain)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> ProcessSpec {
        ProcessSpec {
            program: Program::File(vec![]),
            env: [("TERM".to_owned(), "dumb".to_owned())].into(),
            cwd: "/sandbox".into(),
            stdio: [Stdio::Null; 3],
            terminal: None,
        }
    }

    fn judged(change: impl FnOnce(&mut ExecStart)) -> Result<ProcessSpec, String> {
        let mut start = ExecStart { command: vec!["true".into()], ..ExecStart::default() };
        change(&mut start);
        judge(&template(), &Environment::default(), start)
    }

    #[test]
    fn what_means_nothing_is_refused() {
        assert!(judged(|_| {}).is_ok());
        assert!(judged(|start| start.command = vec![]).is_err());
        assert!(judged(|start| start.command = vec![String::new()]).is_err());
        assert!(judged(|start| start.command.push("a\0b".into())).is_err());
        assert!(judged(|start| start.workdir = "relative".into()).is_err());
        assert!(judged(|start| start.workdir = "/a/../b".into()).is_err());
        assert!(
            judged(|start| start.environment = [("A-B".into(), String::new())].into()).is_err()
        );
        assert!(judged(|start| start.environment = [("A".into(), "\0".into())].into()).is_err());
    }

    #[test]
    fn a_terminal_has_a_kind_and_a_size() {
        let size = |rows, columns| Some(navigator_proto::v1::TerminalSize { rows, columns });
        let plain = judged(|start| start.terminal = size(0, 1 << 20)).unwrap();
        let terminal = plain.terminal.unwrap();
        assert_eq!((terminal.size.rows, terminal.size.columns), (24, u16::MAX));
        assert_eq!(plain.env["TERM"], USUAL_TERM);
        let named = judged(|start| {
            start.terminal = size(1, 1);
            start.term = "vt100".into();
        });
        assert_eq!(named.unwrap().env["TERM"], "vt100");
        assert_eq!(judged(|_| {}).unwrap().env["TERM"], "dumb");
    }
}

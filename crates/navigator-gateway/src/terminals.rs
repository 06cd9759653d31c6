//! Terminal sessions and their recordings: requests that a sandbox's supervisor answers on a stream like a process's.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use navigator_proto::session::v1::{self as proto, from_process, terminals_request};
use navigator_proto::v1 as api;

use crate::execs::{Ask, Events};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::Name;

/// Longest name of a recording: a time and the name of a session.
const RECORDING_BYTES: usize = 128;

/// Refuses what cannot be a session of a command.
pub(crate) fn check(start: &api::ExecStart) -> Result<(), Failure> {
    let Some(session) = &start.session else { return Ok(()) };
    let invalid = |message: &str| Err(Failure::Invalid(message.to_owned()));
    Name::parse(&session.name)?;
    if api::TerminalEntry::try_from(session.entry).is_err() {
        return invalid("a session is attached to or started");
    }
    if session.record_input && !session.record {
        return invalid("what is typed is recorded only with what is printed");
    }
    if start.terminal.is_none() || start.timeout_seconds != 0 {
        return invalid("a session has a terminal and no time limit");
    }
    Ok(())
}

impl Gateway {
    /// The terminal sessions of a sandbox.
    pub(crate) async fn terminals(
        self: &Arc<Self>,
        request: api::ListTerminalsRequest,
    ) -> Result<api::ListTerminalsResponse, Failure> {
        let id = request.sandbox_id.clone();
        match self.inform(&id, terminals_request::Request::List(request)).await? {
            from_process::Message::Terminals(listed) => Ok(listed),
            other => Err(unexpected(other)),
        }
    }

    /// Ends a terminal session.
    pub(crate) async fn end_terminal(
        self: &Arc<Self>,
        request: api::EndTerminalRequest,
    ) -> Result<api::EndTerminalResponse, Failure> {
        let id = request.sandbox_id.clone();
        Name::parse(&request.name)?;
        match self.inform(&id, terminals_request::Request::End(request)).await? {
            from_process::Message::TerminalEnded(ended) => Ok(ended),
            other => Err(unexpected(other)),
        }
    }

    /// The recordings of a sandbox.
    pub(crate) async fn recordings(
        self: &Arc<Self>,
        request: api::ListRecordingsRequest,
    ) -> Result<api::ListRecordingsResponse, Failure> {
        let id = request.sandbox_id.clone();
        match self.inform(&id, terminals_request::Request::Recordings(request)).await? {
            from_process::Message::Recordings(listed) => Ok(listed),
            other => Err(unexpected(other)),
        }
    }

    /// What a recording holds.
    pub(crate) async fn read_recording(
        self: &Arc<Self>,
        request: api::ReadRecordingRequest,
    ) -> Result<Events, Failure> {
        if request.name.len() > RECORDING_BYTES || request.name.contains(['/', '\0']) {
            return Err(Failure::Invalid("this is no name of a recording".into()));
        }
        let id = request.sandbox_id.clone();
        let (process, place) =
            self.open(&id, ask(terminals_request::Request::Read(request))).await?;
        Ok(self.carry(process, stream::empty(), place))
    }

    async fn inform(
        self: &Arc<Self>,
        sandbox_id: &str,
        request: terminals_request::Request,
    ) -> Result<from_process::Message, Failure> {
        let (mut process, _place) = self.open(sandbox_id, ask(request)).await?;
        let answer = process.output.next().await.transpose();
        let answer = answer.ok().flatten().and_then(|answer| answer.message);
        answer.ok_or_else(|| Failure::Unavailable("the sandbox's supervisor did not answer".into()))
    }
}

fn ask(request: terminals_request::Request) -> Ask {
    Ask::Terminals(proto::TerminalsRequest { request: Some(request) })
}

fn unexpected(message: from_process::Message) -> Failure {
    match message {
        from_process::Message::Failure(failure) => Failure::Unavailable(failure.message),
        _ => Failure::Unavailable("the sandbox's supervisor answered something else".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(name: &str) -> api::ExecStart {
        api::ExecStart {
            session: Some(api::TerminalSession { name: name.into(), ..Default::default() }),
            terminal: Some(api::TerminalSize { rows: 24, columns: 80 }),
            ..Default::default()
        }
    }

    #[test]
    fn a_session_has_a_plain_name_and_a_terminal() {
        assert!(check(&start("main")).is_ok());
        for name in ["", "Main", "a b", "\x1b]2;x\x07", "../x", "-a", "a\n"] {
            assert!(check(&start(name)).is_err(), "{name:?}");
        }
        assert!(check(&api::ExecStart { terminal: None, ..start("main") }).is_err());
        assert!(check(&api::ExecStart { timeout_seconds: 1, ..start("main") }).is_err());
        let mut only_input = start("main");
        only_input.session.as_mut().unwrap().record_input = true;
        assert!(check(&only_input).is_err());
    }
}

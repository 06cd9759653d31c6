//! What a client may ask for, and what becomes of it.
//!
//! Every answer is given here and at once, so that no answer meets the wrong question; what takes time runs in a task
//! of its own. Agent, X11 and socket forwarding are refused by the library's defaults.

use std::sync::Arc;

use russh::server::{Auth, ChannelOpenHandle, Handle, Msg, Session};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty, Sig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::channels::{Channels, Preparing, Stage};
use crate::environment::Environment;
use crate::flow::Input;
use crate::forwards::Forwards;
use crate::session::{self, Request};
use crate::{Command, Sandbox, Terminal, TerminalSize, USER, Wanted, loopback, relay, signals};

/// Bytes of a command line: what Linux takes for one argument, less its end.
const LINE: usize = (128 << 10) - 1;
/// Requests that wait for a process that is being started; more are dropped.
const REQUESTS: usize = 16;

/// Answers one client.
pub(crate) struct Handler<S> {
    sandbox: Arc<S>,
    channels: Arc<Channels>,
    forwards: Forwards,
    allowed: Vec<String>,
    /// Tells that the client is in.
    entered: CancellationToken,
}

impl<S: Sandbox> Handler<S> {
    pub(crate) fn new(
        sandbox: Arc<S>,
        channels: Arc<Channels>,
        allowed: Vec<String>,
        entered: CancellationToken,
    ) -> Self {
        Self { sandbox, channels, forwards: Forwards::default(), allowed, entered }
    }

    /// Starts what a session is for; false when it runs already or was never opened.
    fn start(&self, id: ChannelId, command: Command, handle: Handle) -> bool {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let taken = self.channels.with(id, |channel| {
            let running = Stage::Running(sender);
            match std::mem::replace(&mut channel.stage, Stage::Relay) {
                Stage::Preparing(preparing) => {
                    channel.stage = running;
                    Some((*preparing, Arc::clone(&channel.input), channel.closed.clone()))
                }
                other => {
                    channel.stage = other;
                    None
                }
            }
        });
        let Some((preparing, input, closed)) = taken.flatten() else {
            return false;
        };
        let Preparing { output, permit, environment, terminal } = preparing;
        let environment = environment.into_variables();
        let wanted = Wanted { command, environment, terminal };
        let sandbox = Arc::clone(&self.sandbox);
        let session =
            session::Session { sandbox, handle: handle.clone(), output, input, requests, permit };
        self.channels.serve(id, handle, async move {
            tokio::select! {
                () = session.run(wanted) => {}
                () = closed.cancelled() => {}
            }
        });
        true
    }

    /// Changes what a session starts with; false when it runs already or was never opened.
    fn prepare(&self, id: ChannelId, change: impl FnOnce(&mut Preparing) -> bool) -> bool {
        let changed = self.channels.with(id, |channel| match &mut channel.stage {
            Stage::Preparing(preparing) => change(preparing),
            Stage::Running(_) | Stage::Relay => false,
        });
        changed == Some(true)
    }

    fn ask(&self, id: ChannelId, request: Request) -> bool {
        let asked = self.channels.with(id, |channel| match &channel.stage {
            // A client that asks faster than it can be done is not heard.
            Stage::Running(requests) => requests.try_send(request).is_ok(),
            Stage::Preparing(_) | Stage::Relay => false,
        });
        asked == Some(true)
    }

    fn input(&self, id: ChannelId) -> Option<Arc<Input>> {
        self.channels.with(id, |channel| Arc::clone(&channel.input))
    }
}

fn answer(session: &mut Session, id: ChannelId, granted: bool) -> Result<(), Error> {
    if granted { session.channel_success(id) } else { session.channel_failure(id) }
}

impl<S: Sandbox> russh::server::Handler for Handler<S> {
    type Error = Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        Ok(if user == USER { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _offer: russh::server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        Ok(Auth::reject())
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Error> {
        self.entered.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let Some(permit) = self.channels.permit() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let output = channel.split().1;
        let id = output.id();
        let environment = Environment::default();
        let preparing = Preparing { output, permit, environment, terminal: None };
        self.channels.open(id, Stage::Preparing(Box::new(preparing)));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let Some(targets) = loopback::targets(host, port) else {
            tracing::info!(host, port, "refused to connect a client beyond the sandbox");
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        let Some(permit) = self.channels.permit() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let (sandbox, channels) = (Arc::clone(&self.sandbox), Arc::clone(&self.channels));
        let handle = session.handle();
        self.channels.spawn(async move {
            let stream = match relay::dial(&*sandbox, targets).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "failed to connect a client");
                    return reply.reject(ChannelOpenFailure::ConnectFailed).await;
                }
            };
            let output = channel.split().1;
            let id = output.id();
            let (input, closed) = channels.open(id, Stage::Relay);
            reply.accept().await;
            channels.serve(id, handle, async move {
                relay::join(stream, &output, &input, &closed).await;
                drop(permit);
            });
        });
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _max_packet_size: u32,
        _window_size: u32,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.channels.confirm(id);
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.channels.remove(id);
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Error> {
        if let Some(input) = self.input(id) {
            input.end();
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Error> {
        if let Some(input) = self.input(id) {
            input.push(data);
        }
        Ok(())
    }

    fn adjust_window(&mut self, id: ChannelId, current: u32) -> u32 {
        let input = self.input(id);
        self.channels.flow.next_window(input.as_deref(), current)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        kind: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let size = TerminalSize::new([columns, rows, width, height]);
        let modes = modes.iter().map(|(opcode, argument)| (*opcode as u8, *argument)).collect();
        let terminal = Terminal::new(kind, size, modes);
        let granted = terminal.is_some_and(|terminal| {
            self.prepare(id, |session| session.terminal.replace(terminal).is_none())
        });
        answer(session, id, granted)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let set = self.prepare(id, |session| session.environment.set(&self.allowed, name, value));
        answer(session, id, set)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        let started = self.start(id, Command::Shell, session.handle());
        answer(session, id, started)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        let fits = line.len() <= LINE && !line.contains(&0);
        let line = std::str::from_utf8(line).ok().filter(|_| fits);
        let command = line.map(|line| Command::Line(line.to_owned()));
        let started = command.is_some_and(|command| self.start(id, command, session.handle()));
        answer(session, id, started)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let started = name == "sftp" && self.start(id, Command::Sftp, session.handle());
        answer(session, id, started)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        let size = TerminalSize::new([columns, rows, width, height]);
        let early = self.prepare(id, |session| match &mut session.terminal {
            Some(terminal) => {
                terminal.size = size;
                true
            }
            None => false,
        });
        let resized = early || self.ask(id, Request::Resize(size));
        answer(session, id, resized)
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), Error> {
        let signal = signals::named(&signal);
        let sent = signal.is_some_and(|signal| self.ask(id, Request::Signal(signal)));
        answer(session, id, sent)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let (sandbox, channels) = (Arc::clone(&self.sandbox), Arc::clone(&self.channels));
        let at = (address, *port);
        let listening = self.forwards.add(&*sandbox, &channels, session.handle(), at).await;
        if let Some(actual) = listening {
            *port = actual;
        }
        Ok(listening.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Error> {
        Ok(self.forwards.cancel(address, port))
    }
}

//! Why a command over sandboxes or gateways failed, its exit code and what to do next.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use navigator_client::{ConnectError, ExecError, GatewaysError, LaunchError, TunnelError};
use navigator_gateway::certificates::CertificateError;
use navigator_transfer::TransferError;
use navigator_transfer::client::ClientError;
use tonic::{Code, Status};

use crate::gateway::serve::ServeFailure;
use crate::image::error::ImageError;
use crate::output::OutputError;
use crate::policy::PolicyError;
use crate::run::arguments::ParseArgumentError;

/// What a gateway answered instead of doing what it was asked.
#[derive(Debug)]
pub struct Refusal(Box<Status>);

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.message() {
            "" => formatter.write_str(self.0.code().description()),
            message => formatter.write_str(message),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Which gateway is meant.
    #[error(transparent)]
    Gateways(#[from] GatewaysError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No gateway.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The gateway said no.
    #[error("failed to {action}")]
    Refused {
        /// What was asked for.
        action: String,
        /// Its answer.
        source: Refusal,
    },
    /// A session is shown on a terminal.
    #[error(
        "failed to connect: standard input and output are no terminal; use `navigator sandbox exec`"
    )]
    NoTerminal,
    /// There is nothing to end.
    #[error("failed to end session `{0}`: it does not run")]
    NoSuchSession(String),
    /// Nothing was recorded.
    #[error(
        "failed to replay: the sandbox has no recordings; make one with `connect --new --record`"
    )]
    NoRecording,
    /// No sandbox was named, and none was used before.
    #[error("failed to choose a sandbox: none was named, and none was used before on this gateway")]
    NoName,
    /// Something would be destroyed, and nobody has said so.
    #[error("failed to delete {0}: it was not confirmed")]
    Unconfirmed(String),
    /// It will not become what was waited for.
    #[error("failed to wait for `{name}` to be {goal}: it is {phase}: {why}")]
    Hopeless {
        /// The sandbox.
        name: String,
        /// What was waited for.
        goal: &'static str,
        /// What it is.
        phase: &'static str,
        /// The gateway's words.
        why: String,
    },
    /// It took too long.
    #[error("failed to wait for {what}: {} s are over", after.as_secs_f64())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A policy that could not come into force.
    #[error("failed to put version {version} into force: {why}")]
    Revision {
        /// The revision.
        version: u32,
        /// The supervisor's words.
        why: String,
    },
    /// No way into a sandbox.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The gateway's machine is another one.
    #[error("failed to import {0}: the gateway runs on another machine")]
    ImportElsewhere(String),
    /// No editor that is known.
    #[error("failed to find an editor: none of code, cursor and zed is installed")]
    NoEditor,
    /// ssh does not know sandboxes.
    #[error("failed to open the sandbox: ssh does not know the way")]
    NoSshConfiguration,
    /// Nobody serves files there.
    #[error("failed to talk with the sandbox's file server")]
    FileServer(#[source] ClientError),
    /// Files that were not copied.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Words that do not belong together.
    #[error("failed to understand the arguments: {0}")]
    Usage(&'static str),
    /// A port of this machine.
    #[error("failed to listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The background.
    #[error("failed to go on in the background: {0}")]
    Background(String),
    /// Nothing to go back to.
    #[error("failed to roll back: no earlier version was in force")]
    NoEarlier,
    /// An answer without what it must hold.
    #[error("failed to understand the gateway: its answer has no {0}")]
    Incomplete(&'static str),
    /// The policy file.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// An argument.
    #[error(transparent)]
    Argument(#[from] ParseArgumentError),
    /// A file that was named.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A command in a sandbox.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// Data that cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The local gateway could not be stopped.
    #[error("failed to stop the gateway")]
    Stop(#[from] navigator_client::StopError),
    /// The gateway's certificates.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// The gateway itself.
    #[error(transparent)]
    Serve(#[from] ServeFailure),
    /// This machine.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl SandboxError {
    /// What the gateway answered when it was asked for something.
    pub fn refused(action: impl Into<String>) -> impl FnOnce(Status) -> Self {
        let action = action.into();
        |status| Self::Refused { action, source: Refusal(Box::new(status)) }
    }

    /// Whether the gateway knows nothing of that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(Code::NotFound)
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { source, .. } => Some(source.0.code()),
            Self::Exec(ExecError::Gateway(status)) => Some(status.code()),
            Self::Tunnel(TunnelError::Right(status)) => Some(status.code()),
            _ => None,
        }
    }

    /// 2 for wrong usage, 1 for a no, 124 for time that is over, 125 for everything that failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Timeout { .. } => 124,
            Self::Serve(error) => error.exit_code(),
            Self::Certificates(
                CertificateError::Exists { .. }
                | CertificateError::ServerName(_)
                | CertificateError::Names(_),
            ) => 2,
            Self::Image(error) => error.exit_code(),
            Self::ImportElsewhere(_)
            | Self::NoName
            | Self::NoTerminal
            | Self::Unconfirmed(_)
            | Self::Argument(_)
            | Self::File { .. } => 2,
            Self::Usage(_) | Self::NoEditor | Self::NoSshConfiguration => 2,
            Self::NoSuchSession(_) | Self::NoRecording => 1,
            Self::Gateways(GatewaysError::Name(_) | GatewaysError::Address(_)) => 2,
            Self::Gateways(
                GatewaysError::Unknown(_) | GatewaysError::Exists(_) | GatewaysError::Local,
            ) => 1,
            Self::Hopeless { .. } | Self::Revision { .. } | Self::NoEarlier => 1,
            Self::Exec(ExecError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                // As a local command that nobody reads any more: 128 and SIGPIPE.
                128 + 13
            }
            other => match other.code() {
                Some(Code::InvalidArgument) => 2,
                Some(Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition) => 1,
                _ => 125,
            },
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let next = match self {
            Self::Gateways(error) => gateways_hint(error),
            Self::Serve(error) => error.hint(),
            Self::Certificates(CertificateError::Exists { .. }) => {
                "renew all with `navigator gateway init --renew`"
            }
            Self::Certificates(_) => "check the directory, or name another one with --tls-dir",
            Self::Connect(error) | Self::Launch(LaunchError::Connect(error)) => connect_hint(error),
            Self::Launch(LaunchError::Ended { .. } | LaunchError::Late { .. }) => {
                "run `navigator gateway run` to see what it says, and `navigator doctor`"
            }
            Self::Launch(LaunchError::Locked { .. }) => "try again, or end the client that waits",
            Self::Launch(LaunchError::Prepare { .. }) => {
                "check who owns the directory, or name another with NAVIGATOR_STATE_DIR"
            }
            Self::Image(error) => return error.hint(),
            Self::ImportElsewhere(_) => {
                "import it there with `navigator image import`, and name it here"
            }
            Self::NoName => "name one; `navigator sandbox list` shows them",
            Self::Unconfirmed(_) => "name it, or add --yes",
            Self::Hopeless { .. } => {
                "look at `navigator sandbox events` and `navigator sandbox logs`"
            }
            Self::Revision { .. } => "correct the policy and set it again; the old one is in force",
            Self::NoEarlier => "look at `navigator sandbox policy history`",
            Self::Timeout { .. } => "wait longer with --timeout, or look at `navigator status`",
            Self::Refused { .. } | Self::Exec(ExecError::Gateway(_)) => return self.code_hint(),
            Self::Exec(ExecError::Cut) => "look whether the sandbox runs: `navigator sandbox get`",
            Self::File { .. } => "name a file that you may read",
            Self::Stop(_) => "look at `navigator gateway status`",
            Self::Tunnel(TunnelError::Connect(error)) => connect_hint(error),
            Self::Tunnel(TunnelError::Right(_)) => return self.code_hint(),
            Self::Tunnel(_) => "look whether the sandbox runs: `navigator sandbox get`",
            Self::NoEditor => "install one, or use `navigator sandbox connect`",
            Self::NoSshConfiguration => "run `navigator sandbox ssh-config --install` once",
            Self::Transfer(TransferError::Changed(_)) => "copy it again",
            Self::Transfer(TransferError::InTheWay(_)) => {
                "remove what is in the way, or name another place"
            }
            Self::Transfer(TransferError::Name { .. } | TransferError::TooMuch { .. }) => {
                "copy parts of it, and do not trust what runs in this sandbox"
            }
            Self::FileServer(_) => "look at `navigator sandbox logs`",
            Self::Transfer(TransferError::Local { .. }) => {
                "check that the path is there, that you may use it, and that there is room"
            }
            Self::Transfer(_) => "start it again: what has arrived is not copied twice",
            Self::Listen { .. } => "name another port, or 0 for one that is free",
            _ => return None,
        };
        Some(next.into())
    }

    fn code_hint(&self) -> Option<String> {
        let next = match self.code()? {
            Code::NotFound => "`navigator sandbox list` shows what there is",
            Code::AlreadyExists => "choose another name, or delete that one first",
            Code::FailedPrecondition => "look at `navigator sandbox get`",
            Code::Unauthenticated | Code::PermissionDenied => {
                "add the gateway again with a certificate that it knows: `navigator gateway add`"
            }
            Code::Unavailable | Code::DeadlineExceeded => {
                "look at `navigator status` and try again"
            }
            Code::Unimplemented => "the gateway is older than this program; update it",
            _ => return None,
        };
        Some(next.into())
    }

    /// What belongs before the message: a gateway's last words.
    #[must_use]
    pub fn details(&self) -> Option<String> {
        match self {
            Self::Launch(
                LaunchError::Ended { last_words, .. } | LaunchError::Late { last_words, .. },
            ) if !last_words.is_empty() => Some(last_words.clone()),
            _ => None,
        }
    }
}

fn gateways_hint(error: &GatewaysError) -> &'static str {
    match error {
        GatewaysError::Name(_) => "write a name such as `team-1`",
        GatewaysError::Address(_) => "write an address such as `https://gateway.example:8443`",
        GatewaysError::Unknown(_) => "`navigator gateway list` shows those that are known",
        GatewaysError::NoCredentials(_) => {
            "add it first: `navigator gateway add NAME https://HOST:PORT --ca FILE --cert FILE --key FILE`"
        }
        GatewaysError::Exists(_) => "choose another name, or `navigator gateway remove` that one",
        GatewaysError::Local => "choose another name",
        GatewaysError::File { .. } => {
            "check who owns the directory, or name another with NAVIGATOR_CONFIG_DIR"
        }
        GatewaysError::Format { .. } => "remove the file and add the gateway again",
    }
}

fn connect_hint(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::NotRunning { .. } => {
            "start it with `navigator gateway start`, or choose another with NAVIGATOR_GATEWAY"
        }
        ConnectError::Socket { .. } => "check who may use the socket",
        ConnectError::Owner { .. } => "use a socket of your own: unset or change NAVIGATOR_GATEWAY",
        ConnectError::Credentials(_) => "add the gateway again: `navigator gateway add`",
        ConnectError::Network { .. } => {
            "check the address and certificates: `navigator gateway status`"
        }
        ConnectError::Silent { .. } => {
            "it hangs, or something else listens there; restart it: `navigator gateway stop`"
        }
        ConnectError::Talk { .. } => "look at `navigator gateway status`",
    }
}

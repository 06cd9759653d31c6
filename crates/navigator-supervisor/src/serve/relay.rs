//! One stream of bytes that the gateway asked for, from the request to its end.

use std::error::Error;
use std::io;
use std::sync::Arc;

use navigator_proto::session::v1::relay::To;
use navigator_proto::session::v1::{self as proto, RelayRefused, from_supervisor};
use navigator_ssh::{HostKey, Options, serve};
use navigator_tunnel::{Carriage, End, PipePool, carry};
use tokio_util::sync::CancellationToken;

use super::network;
use super::ssh::Inside;
use crate::session::{Connection, Relay};

/// Variables that SSH clients may set: `git` says with it which protocol it speaks.
const VARIABLES: [&str; 1] = ["GIT_PROTOCOL"];

/// What a relay needs to be served.
pub(super) struct Relaying {
    pub(super) inside: Arc<Inside>,
    pub(super) host_key: HostKey,
    pub(super) connection: Connection,
    /// For connections to ports.
    pub(super) pipes: Arc<PipePool>,
    /// Cancelled when the sandbox is to end.
    pub(super) leaving: CancellationToken,
}

impl Relaying {
    /// Opens the relay and serves it until one side ends.
    pub(super) async fn run(self, relay: proto::Relay) {
        let proto::Relay { relay_id, to } = relay;
        if let Err(why) = self.serve(&relay_id, to).await {
            let refused = RelayRefused { relay_id, message: why.to_string() };
            self.connection.answer(from_supervisor::Message::RelayRefused(refused));
        }
    }

    async fn serve(&self, id: &str, to: Option<To>) -> io::Result<()> {
        match to {
            Some(To::Port(port)) => {
                let port = u16::try_from(port).map_err(|_| io::ErrorKind::InvalidInput)?;
                // First, so that the client is told when nobody listens there.
                let inside = network::dial(&self.inside.processes, port).await?;
                let outside = self.open(id).await?;
                let carriage = Carriage { pipes: &self.pipes, idle: None, ended: &self.leaving };
                let outside = End { socket: &outside.stream, early: &outside.first };
                let inside = End { socket: &inside, early: &[] };
                if let Err(error) = carry(outside, inside, &carriage).await {
                    tracing::debug!(port, %error, "a connection to a port broke");
                }
                Ok(())
            }
            Some(To::Ssh(_)) => {
                let outside = self.open(id).await?;
                let inside = Arc::clone(&self.inside);
                let (key, leaving) = (&self.host_key, self.leaving.clone());
                let served = serve(outside.joined(), key, inside, options(), leaving).await;
                if let Err(error) = served {
                    tracing::debug!(error = &error as &dyn Error, "an SSH client has gone");
                }
                Ok(())
            }
            Some(To::Files(_)) => self.inside.files(self.open(id).await?).await,
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn open(&self, id: &str) -> io::Result<Relay> {
        Relay::open(&self.connection.gateway, id).await.map_err(io::Error::other)
    }
}

/// What clients may decide besides what every SSH client may.
fn options() -> Options {
    Options { environment: VARIABLES.map(str::to_owned).to_vec(), ..Options::default() }
}

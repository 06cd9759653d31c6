//! Ports of the sandbox that a client listens at.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Handle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::channels::Channels;
use crate::{Sandbox, loopback, relay};

/// Ports of one connection; what a person or an editor forwards, and some.
const FORWARDS: usize = 32;
/// How long the sandbox may take to listen.
const LISTEN: Duration = Duration::from_secs(10);
/// A pause after a connection that could not be taken, so that a lack of descriptors does not keep a core busy.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection listens at: the client's address and the port that it got.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    listening: HashMap<(String, u32), CancellationToken>,
}

impl Forwards {
    /// Listens; the port, or `None` when the client may not or it cannot be.
    pub(crate) async fn add<S: Sandbox>(
        &mut self,
        sandbox: &S,
        channels: &Arc<Channels>,
        handle: Handle,
        (address, port): (&str, u32),
    ) -> Option<u32> {
        let at = loopback::listening(address, port)?;
        if self.listening.len() >= FORWARDS {
            return None;
        }
        let listening = tokio::time::timeout(LISTEN, sandbox.listen(at)).await;
        let listener = listening.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (listener, port) = match listener.and_then(with_port) {
            Ok(parts) => parts,
            Err(error) => {
                tracing::info!(%at, %error, "a client cannot listen");
                return None;
            }
        };
        let stop = CancellationToken::new();
        let address = address.to_owned();
        self.listening.insert((address.clone(), port), stop.clone());
        let accepting = Accepting { channels: Arc::clone(channels), handle, address, port };
        channels.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = accepting.run(listener) => {}
            }
        });
        Some(port)
    }

    /// Listens no more; false when it did not.
    pub(crate) fn cancel(&mut self, address: &str, port: u32) -> bool {
        let listening = self.listening.remove(&(address.to_owned(), port));
        listening.inspect(CancellationToken::cancel).is_some()
    }
}

fn with_port(listener: TcpListener) -> io::Result<(TcpListener, u32)> {
    let port = listener.local_addr()?.port();
    Ok((listener, port.into()))
}

#[derive(Clone)]
struct Accepting {
    channels: Arc<Channels>,
    handle: Handle,
    address: String,
    port: u32,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                // The next ones wait in the kernel while there is no room for a channel.
                Ok((stream, origin)) => match Arc::clone(&self.channels.room).acquire_owned().await
                {
                    Ok(permit) => self.channels.spawn(self.clone().offer(stream, origin, permit)),
                    Err(_closed) => return,
                },
                Err(error) => {
                    tracing::warn!(%error, "failed to take a connection in the sandbox");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Offers a connection to the client, who may refuse it.
    async fn offer(self, stream: TcpStream, origin: SocketAddr, permit: OwnedSemaphorePermit) {
        let Self { channels, handle, address, port } = self;
        let (ip, origin_port) = (origin.ip().to_string(), origin.port().into());
        let opened = handle.channel_open_forwarded_tcpip(address, port, ip, origin_port).await;
        let output = match opened {
            Ok(channel) => channel.split().1,
            Err(error) => return tracing::debug!(%error, "a client refuses a connection"),
        };
        let id = output.id();
        let (input, closed) = channels.confirmed(id).await;
        channels.serve(id, handle, async move {
            relay::join(stream, &output, &input, &closed).await;
            drop(permit);
        });
    }
}

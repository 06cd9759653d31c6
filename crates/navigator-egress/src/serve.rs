//! Listens on every way of a sandbox and gives each connection to its adapter.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorise::Judge;
use crate::context::EgressContext;
use crate::dns::{DnsWays, NameServer, serve_tcp, serve_udp};
use crate::gate;
use crate::identity::{Identifier, Split};
use crate::limits::{ACCEPT_PAUSE, MAX_CONNECTIONS, MAX_DNS_TCP};
use crate::places::{Place, Places};
use crate::proxy;
use crate::transparent;
use crate::ways::{PROXY_PORT, TcpWay, Ways};

/// Why a sandbox's egress could not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The sandbox's processes cannot be listed, so no caller could be identified.
    #[error("failed to open the sandbox's process list")]
    Examine(#[source] Errno),
    /// A listening socket cannot be used.
    #[error("failed to listen on port {port} of the sandbox")]
    Listen {
        /// The port.
        port: u16,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// What every connection is served with.
#[derive(Debug, Clone)]
struct Hall {
    judge: Arc<Judge>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Serves everything that leaves a sandbox until `shutdown`, and returns when every connection
/// has ended.
///
/// # Errors
/// [`ServeError`] when a way cannot be used at all; afterwards no single connection's failure
/// ends the service.
pub async fn serve(
    ways: Ways,
    context: Arc<EgressContext>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let Split { tcp, dns, examination, connects } = ways.split();
    let identifier = Identifier::new(examination, context.pins.clone(), context.read_only.clone())
        .map_err(ServeError::Examine)?;
    let hall = Hall {
        judge: Arc::new(Judge::new(context, identifier)),
        tasks: TaskTracker::new(),
        shutdown,
    };
    if let Some(gate) = connects {
        let judge = hall.judge.clone();
        hall.tasks.spawn(hall.until_shutdown(async move {
            gate::serve(gate, judge).await.inspect_err(|error| {
                // The gate of a sandbox that has ended is gone; any other reason leaves programs waiting.
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tracing::error!(%error, "nobody can connect or start a program any more");
                }
            })
        }));
    }
    hall.open_dns(dns)?;
    hall.open_tcp(tcp)?;
    hall.shutdown.cancelled().await;
    hall.tasks.close();
    hall.tasks.wait().await;
    Ok(())
}

impl Hall {
    fn open_tcp(&self, ways: Vec<TcpWay>) -> Result<(), ServeError> {
        let places = Places::new(MAX_CONNECTIONS);
        for way in ways {
            let hall = self.clone();
            let port = way.port;
            self.accept(way.listener, port, places.clone(), move |stream, from, place| {
                let (judge, place) = (hall.judge.clone(), Arc::new(place));
                if port == PROXY_PORT {
                    hall.spawn(proxy::serve(stream, from, judge, place.clone()), place);
                } else {
                    hall.spawn(transparent::serve(stream, from, judge, place.clone()), place);
                }
            })?;
        }
        Ok(())
    }

    fn open_dns(&self, ways: DnsWays) -> Result<(), ServeError> {
        let server = Arc::new(NameServer::new(self.judge.clone()));
        for socket in ways.udp {
            let server = server.clone();
            let serve = async move { serve_udp(socket, &server).await };
            self.tasks.spawn(self.until_shutdown(serve));
        }
        let places = Places::new(MAX_DNS_TCP);
        for listener in ways.tcp {
            let (hall, server) = (self.clone(), server.clone());
            self.accept(listener, 53, places.clone(), move |stream, from, place| {
                let server = server.clone();
                hall.spawn(async move { serve_tcp(stream, from, &server).await }, Arc::new(place));
            })?;
        }
        Ok(())
    }

    /// Accepts for as long as the service runs. When every place is in use, clients wait in the
    /// backlog; an error (out of descriptors) pauses and never ends the loop.
    fn accept(
        &self,
        listener: OwnedFd,
        port: u16,
        places: Arc<Places>,
        mut each: impl FnMut(TcpStream, SocketAddr, Place) + Send + 'static,
    ) -> Result<(), ServeError> {
        let listener = listen(listener).map_err(|source| ServeError::Listen { port, source })?;
        self.tasks.spawn(self.until_shutdown(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => each(stream, from, places.take().await?),
                    Err(error) => {
                        tracing::warn!(port, %error, "connection was not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }));
        Ok(())
    }

    fn spawn(
        &self,
        serve: impl Future<Output = io::Result<()>> + Send + 'static,
        place: Arc<Place>,
    ) {
        // Each layer around a future makes room for it again, so it is moved to the heap first.
        let serve = Box::pin(serve);
        self.tasks.spawn(self.until_shutdown(async move { place.serve(serve).await }));
    }

    fn until_shutdown(
        &self,
        serve: impl Future<Output = io::Result<()>> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let shutdown = self.shutdown.clone();
        async move {
            if let Some(Err(error)) = shutdown.run_until_cancelled(serve).await {
                tracing::debug!(%error, "connection ended with an error");
            }
        }
    }
}

fn listen(listener: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

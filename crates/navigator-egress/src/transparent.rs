//! A TCP connection captured on its way: the accepted socket's own address is the destination.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::authorise::Judge;
use crate::intent::{Adapter, ClientSocket, EgressIntent};
use crate::places::Place;
use crate::reach::{NotReached, reach, reset};

/// Serves one captured connection.
pub(crate) async fn serve(
    client: TcpStream,
    from: SocketAddr,
    judge: Arc<Judge>,
    place: Arc<Place>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let wanted = client.local_addr()?;
    let intent = EgressIntent {
        socket: ClientSocket { client: from, wanted },
        host: judge.context().host_of(wanted.ip()),
        port: wanted.port(),
        adapter: Adapter::Transparent,
    };
    let caller = judge.identify(&intent.socket).await;
    match reach(&judge, &intent, &caller).await {
        Ok(beyond) => beyond.carry(client, Bytes::new(), &judge, &place).await,
        Err(not_reached) => {
            if let NotReached::Undialled(error) = not_reached {
                tracing::debug!(%error, "captured connection was not made");
            }
            reset(client)
        }
    }
}

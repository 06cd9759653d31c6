//! A TCP connection captured on its way: the accepted socket's own address is the destination.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::authorise::{Judge, Verdict};
use crate::dial;
use crate::intent::{Adapter, ClientSocket, EgressIntent};
use crate::limits::TUNNEL_IDLE;
use crate::tunnel::{Carriage, carry};

/// Serves one captured connection.
pub(crate) async fn serve(
    client: TcpStream,
    from: SocketAddr,
    judge: Arc<Judge>,
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
    let permit = match judge.authorise(&intent, &caller).await {
        Verdict::Connect(permit) => permit,
        Verdict::Refuse(_) | Verdict::Unreachable(_) => return reset(client),
    };
    let registration = judge.register(&permit);
    let right = &permit.right;
    let mut upstream = match dial::connect(&right.host, right.port, &right.addresses).await {
        Ok(upstream) => upstream,
        Err(error) => {
            tracing::debug!(%error, "captured connection was not made");
            return reset(client);
        }
    };
    let context = judge.context();
    let carriage =
        Carriage { pipes: &context.pipes, idle: TUNNEL_IDLE, ended: registration.ended() };
    if let Err(error) = carry(&client, &mut upstream, &[], &carriage).await {
        tracing::debug!(%error, host = %right.host, "captured connection ended");
        return reset(client);
    }
    Ok(())
}

/// Closes with a reset (`SO_LINGER` of zero, `socket(7)`): the program sees a refusal, not an
/// empty answer.
fn reset(client: TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    drop(client);
    Ok(())
}

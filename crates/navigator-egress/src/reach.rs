//! What is at the other end of an allowed connection: a server that was dialled, or the inspection of its requests.
//! The same for every adapter that hands over a whole connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use navigator_policy::Host;
use navigator_tunnel::{Carriage, End, carry};
use tokio::net::TcpStream;

use crate::authorise::{Identified, Inspection, Judge, Permit, Verdict};
use crate::dial::{self, DialError};
use crate::inspect;
use crate::intent::EgressIntent;
use crate::limits::TUNNEL_IDLE;
use crate::places::Place;
use crate::refuse::{Refusal, UpstreamFailure};
use crate::registry::Registration;
use crate::rewind::Rewind;

/// The other end of an allowed connection.
pub(crate) enum Beyond {
    /// A server that takes the bytes as they are.
    Server { upstream: TcpStream, registration: Registration, host: Host },
    /// Servers are dialled when requests were read and allowed.
    Inspection(Permit, Inspection),
}

/// Why there is no other end.
pub(crate) enum NotReached {
    Refused(Box<Refusal>),
    Unresolved(UpstreamFailure),
    Undialled(DialError),
}

/// Decides about a connection and, when it is allowed, makes it.
pub(crate) async fn reach(
    judge: &Judge,
    intent: &EgressIntent,
    caller: &Identified,
) -> Result<Beyond, NotReached> {
    let permit = match judge.authorise(intent, caller).await {
        Verdict::Connect(permit) => permit,
        Verdict::Inspect(permit, inspection) => return Ok(Beyond::Inspection(permit, inspection)),
        Verdict::Refuse(refusal) => return Err(NotReached::Refused(refusal)),
        Verdict::Unreachable(failure) => return Err(NotReached::Unresolved(failure)),
    };
    let registration = judge.register(&permit);
    let right = &permit.right;
    let upstream = dial::connect(&right.host, right.port, &right.addresses)
        .await
        .map_err(NotReached::Undialled)?;
    Ok(Beyond::Server { upstream, registration, host: right.host.clone() })
}

impl Beyond {
    /// Carries a client's connection to its end. `early` was read from it before.
    pub(crate) async fn carry(
        self,
        client: TcpStream,
        early: Bytes,
        judge: &Arc<Judge>,
        place: &Arc<Place>,
    ) -> io::Result<()> {
        let (upstream, registration, host) = match self {
            Beyond::Server { upstream, registration, host } => (upstream, registration, host),
            Beyond::Inspection(permit, inspection) => {
                let client = Rewind::after(early, client);
                return inspect::serve(client, &permit, inspection, judge, place).await;
            }
        };
        place.settle();
        let pipes = &judge.context().pipes;
        let carriage = Carriage { pipes, idle: Some(TUNNEL_IDLE), ended: registration.ended() };
        let near = End { socket: &client, early: &early };
        match carry(near, End { socket: &upstream, early: &[] }, &carriage).await {
            Ok(bytes) => tracing::trace!(%host, bytes, "tunnel closed"),
            Err(error) => {
                tracing::debug!(%host, %error, "tunnel ended");
                return reset(client);
            }
        }
        Ok(())
    }
}

/// Closes with a reset (`SO_LINGER` of zero, `socket(7)`): the program sees a refusal or a broken connection, not
/// an end that looks like a whole answer.
pub(crate) fn reset(client: TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    drop(client);
    Ok(())
}

//! The session with the gateway: dialled from here, dialled again for as long as the sandbox lives.
//!
//! While the gateway is away nothing of the sandbox changes: what was in force stays in force. Only a gateway that
//! answers that it does not know this sandbox any more ends it.

mod backoff;
mod link;
mod outgoing;
mod relay;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use navigator_proto::session::v1::session_client::SessionClient;
use navigator_proto::session::v1::{
    FromSupervisor, Hello, ToSupervisor, from_supervisor, to_supervisor,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::logs::Lines;
use backoff::Backoff;
use link::Link;
use outgoing::Outgoing;
pub(crate) use relay::Relay;

/// Messages on their way to the gateway besides log lines: answers to what it sent.
const ANSWERS: usize = 256;
/// How long a gateway may take to answer a call.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the last messages may take to arrive.
const FAREWELL: Duration = Duration::from_secs(2);

/// One gateway, as its clients see it.
pub(crate) type Client = SessionClient<Link>;

/// How the gateway is reached.
pub(crate) struct Gateway {
    socket: PathBuf,
    authorization: HeaderValue,
}

/// A credential that no header can carry.
#[derive(Debug, thiserror::Error)]
#[error("failed to use the sandbox's credential: it has characters that no header can carry")]
pub struct CredentialError;

/// A gateway that cannot be talked to now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// Nobody answers.
    #[error("failed to connect to the gateway at {socket}")]
    Connect {
        /// Where it should be.
        socket: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Somebody else listens, who would get the credential and could start what they like.
    #[error("failed to trust the gateway at {socket}: it is run by user {uid}")]
    Stranger {
        /// Where the gateway should be.
        socket: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// What answers speaks no HTTP/2.
    #[error("failed to talk to the gateway")]
    Handshake(#[source] hyper::Error),
    /// It refused the call or broke it off.
    #[error("failed to talk to the gateway: {}", .0.message())]
    Call(#[source] Status),
    /// It does not want the relay that it asked for.
    #[error("failed to open a relay: the gateway says {0}")]
    Relay(http::StatusCode),
    /// It does not answer.
    #[error("failed to talk to the gateway: it does not answer")]
    Silent,
}

impl SessionError {
    /// Whether the gateway says that this sandbox has no business with it.
    pub(crate) fn is_refusal(&self) -> bool {
        let refusals = [Code::Unauthenticated, Code::NotFound, Code::PermissionDenied];
        matches!(self, Self::Call(status) if refusals.contains(&status.code()))
    }
}

/// A connection to the gateway, for those who answer and those who call.
#[derive(Clone)]
pub(crate) struct Connection {
    /// For calls of their own.
    pub(crate) client: Client,
    /// For streams of bytes.
    pub(crate) gateway: Arc<Gateway>,
    /// Cancelled when the connection is over.
    pub(crate) over: CancellationToken,
    answers: mpsc::Sender<FromSupervisor>,
}

impl Connection {
    /// Answers the gateway. One that reads none of its answers is left, and dialled again.
    pub(crate) fn answer(&self, message: from_supervisor::Message) {
        if self.answers.try_send(FromSupervisor { message: Some(message) }).is_err() {
            self.over.cancel();
        }
    }
}

/// A message of the gateway and the connection that it came by.
pub(crate) type Heard = (to_supervisor::Message, Connection);

/// Why there is no session any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parted {
    /// As was asked for here.
    Closed,
    /// The gateway does not know the sandbox.
    Refused,
}

/// What a session tells and hears.
pub(crate) struct Session {
    pub(crate) gateway: Arc<Gateway>,
    /// First on each connection.
    pub(crate) hello: Box<dyn Fn() -> Hello + Send + Sync>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) heard: mpsc::Sender<Heard>,
    /// Cancelled when everything was said.
    pub(crate) closing: CancellationToken,
}

impl Gateway {
    /// A gateway that knows this credential.
    pub(crate) fn new(socket: PathBuf, token: &[u8]) -> Result<Self, CredentialError> {
        let mut value = zeroize::Zeroizing::new(b"Bearer ".to_vec());
        value.extend_from_slice(token);
        let mut authorization = HeaderValue::from_bytes(&value).map_err(|_| CredentialError)?;
        authorization.set_sensitive(true);
        Ok(Self { socket, authorization })
    }

    /// Says why there is no sandbox, once, to a gateway that answers.
    pub(crate) async fn report(&self, hello: Hello) -> Result<(), SessionError> {
        let (answers, control) = mpsc::channel(1);
        let message = Some(from_supervisor::Message::Hello(hello));
        // There is room for one.
        let _sent = answers.try_send(FromSupervisor { message });
        let over = CancellationToken::new();
        let mut client = link::dial(&self.socket, &self.authorization, over.clone()).await?;
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(control);
        let call = tokio::time::timeout(ANSWER, client.join(outgoing));
        let mut incoming =
            call.await.map_err(|_| SessionError::Silent)?.map_err(SessionError::Call)?.into_inner();
        // It has arrived when the gateway answers or has nothing to say to it.
        let answer = tokio::time::timeout(ANSWER, incoming.message()).await;
        over.cancel();
        answer.map_err(|_| SessionError::Silent)?.map(drop).map_err(SessionError::Call)
    }
}

impl Session {
    /// Holds the session until it is to be closed or the gateway refuses it.
    pub(crate) async fn hold(self) -> Parted {
        let mut backoff = Backoff::default();
        loop {
            match self.once(&mut backoff).await {
                Ok(Parted::Closed) => return Parted::Closed,
                Ok(Parted::Refused) => return Parted::Refused,
                Err(error) if error.is_refusal() => return Parted::Refused,
                Err(error) => tracing::debug!(%error, "the gateway is away"),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.closing.cancelled() => return Parted::Closed,
            }
        }
    }

    async fn once(&self, backoff: &mut Backoff) -> Result<Parted, SessionError> {
        let over = CancellationToken::new();
        let _ended = over.clone().drop_guard();
        let Gateway { socket, authorization } = &*self.gateway;
        let client = link::dial(socket, authorization, over.clone()).await?;
        let (answers, control) = mpsc::channel(ANSWERS);
        let gateway = Arc::clone(&self.gateway);
        let connection = Connection { client, gateway, over: over.clone(), answers };
        connection.answer(from_supervisor::Message::Hello((self.hello)()));
        let outgoing = Outgoing::new(control, Arc::clone(&self.lines), self.closing.clone());
        let mut joining = connection.client.clone();
        let call = tokio::time::timeout(ANSWER, joining.join(outgoing));
        let incoming = tokio::select! {
            answer = call => answer.map_err(|_| SessionError::Silent)?.map_err(SessionError::Call)?,
            () = over.cancelled() => return Err(SessionError::Silent),
        };
        tracing::info!("joined the gateway");
        self.listen(incoming.into_inner(), connection, backoff).await
    }

    async fn listen(
        &self,
        mut incoming: Streaming<ToSupervisor>,
        connection: Connection,
        backoff: &mut Backoff,
    ) -> Result<Parted, SessionError> {
        let over = connection.over.clone();
        loop {
            let message = tokio::select! {
                message = incoming.message() => message.map_err(SessionError::Call)?,
                () = over.cancelled() => return Err(SessionError::Silent),
                () = self.closing.cancelled() => break,
            };
            let Some(message) = message else { return Err(SessionError::Silent) };
            // One that accepts a session and breaks it off at once is dialled less and less often.
            *backoff = Backoff::default();
            let Some(message) = message.message else { continue };
            // Nobody listens any more when the sandbox ends.
            let _heard = self.heard.send((message, connection.clone())).await;
        }
        drop(connection);
        // The gateway ends its side when it has read the last message.
        let rest = async { while let Ok(Some(_)) = incoming.message().await {} };
        let _either = tokio::time::timeout(FAREWELL, rest).await;
        Ok(Parted::Closed)
    }
}

//! Streams of bytes into a sandbox, each on a connection of its own: raw once it is open, over a socket or TLS.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use navigator_proto::v1::{CreateSshSessionRequest, CreateSshSessionResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::Status;

use crate::connect::{Api, CONNECT, ConnectError, Way};
use crate::gateways::Gateway;

/// Largest explanation of a refusal, in bytes.
const WORDS: usize = 64 * 1024;

/// Where a tunnel leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// The sandbox's SSH server.
    Ssh,
    /// A file server in the sandbox, which speaks SFTP.
    Files,
    /// A TCP port of its loopback.
    Port(u16),
}

/// A tunnel that was not opened.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// No right to open one.
    #[error("failed to get a way into the sandbox")]
    Right(#[source] Box<Status>),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The gateway says no.
    #[error("failed to get into the sandbox: {message}")]
    Refused {
        /// Its answer.
        status: StatusCode,
        /// Its words, which hold no character that commands a terminal.
        message: String,
    },
    /// The gateway speaks another language.
    #[error("failed to talk with the gateway")]
    Talk(#[source] hyper::Error),
    /// It does not answer.
    #[error("failed to get into the sandbox: the gateway does not answer")]
    Silent,
}

/// Opens tunnels over one gateway.
#[derive(Clone)]
pub struct Tunnels {
    api: Api,
    way: Arc<Way>,
}

impl Tunnels {
    /// Tunnels over a gateway that is reached already.
    ///
    /// # Errors
    /// [`ConnectError::Credentials`] when its credentials cannot be used.
    pub fn over(gateway: &Gateway, api: Api) -> Result<Self, ConnectError> {
        Ok(Self { api, way: Arc::new(Way::to(gateway)?.for_tunnels()) })
    }

    /// Opens one, by a right that is made for it.
    ///
    /// # Errors
    /// [`TunnelError`]; nothing is open then.
    pub async fn open(&self, sandbox_id: &str, inside: Inside) -> Result<Tunnel, TunnelError> {
        let right = self.right(sandbox_id).await?;
        self.enter(&right, inside).await
    }

    /// Makes a right to enter a sandbox once; it names the SSH server's key as well.
    ///
    /// # Errors
    /// [`TunnelError::Right`].
    pub async fn right(&self, sandbox_id: &str) -> Result<CreateSshSessionResponse, TunnelError> {
        let request = CreateSshSessionRequest { sandbox_id: sandbox_id.to_owned() };
        let answer = self.api.clone().create_ssh_session(request).await;
        Ok(answer.map_err(|status| TunnelError::Right(Box::new(status)))?.into_inner())
    }

    /// Enters a sandbox by a right.
    ///
    /// # Errors
    /// [`TunnelError`]; the right is still good unless it was refused.
    pub async fn enter(
        &self,
        right: &CreateSshSessionResponse,
        inside: Inside,
    ) -> Result<Tunnel, TunnelError> {
        // The supervisor has as long again to open its side.
        let opening = self.try_entering(right, inside);
        tokio::time::timeout(CONNECT * 4, opening).await.map_err(|_| TunnelError::Silent)?
    }

    async fn try_entering(
        &self,
        right: &CreateSshSessionResponse,
        inside: Inside,
    ) -> Result<Tunnel, TunnelError> {
        let connection = self.way.dial().await?;
        let (mut sender, driver) =
            handshake(TokioIo::new(connection)).await.map_err(TunnelError::Talk)?;
        tokio::spawn(driver.with_upgrades());
        let request = request(right, inside).map_err(|_| TunnelError::Silent)?;
        let answer = sender.send_request(request).await.map_err(TunnelError::Talk)?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            let said = Limited::new(answer.into_body(), WORDS).collect().await;
            let said = said.map(|said| said.to_bytes()).unwrap_or_default();
            return Err(TunnelError::Refused { status, message: words(status, &said) });
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(TunnelError::Talk)?;
        Ok(Tunnel(TokioIo::new(upgraded)))
    }
}

fn request(
    right: &CreateSshSessionResponse,
    inside: Inside,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let path = match inside {
        Inside::Ssh => right.connect_path.as_str(),
        Inside::Files => "/connect/files",
        Inside::Port(_) => "/connect/port",
    };
    let mut request = Request::connect(path)
        .header(http::header::HOST, "gateway")
        .header("x-sandbox-id", &right.sandbox_id)
        .header("x-sandbox-token", &right.token);
    if let Inside::Port(port) = inside {
        request = request.header("x-sandbox-port", port);
    }
    request.body(Empty::new())
}

/// What a gateway says about a refusal, or what its status means.
fn words(status: StatusCode, said: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        error: String,
    }
    let said = serde_json::from_slice::<Said>(said).map(|said| said.error);
    let said = said.unwrap_or_else(|_| format!("the gateway answers {status}"));
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A stream of bytes into a sandbox.
pub struct Tunnel(TokioIo<Upgraded>);

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_words_and_no_commands() {
        let said = words(StatusCode::BAD_GATEWAY, b"{\"error\":\"no\\u001b[31m\"}");
        assert_eq!(said, "no [31m");
        let plain = words(StatusCode::NOT_FOUND, b"<html>");
        assert_eq!(plain, "the gateway answers 404 Not Found");
    }
}

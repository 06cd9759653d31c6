//! Sandboxes for OpenSSH and for editors that use it: `navigator ssh-proxy`, and the configuration that names it.

pub mod configuration;
pub mod editor;

use std::io;

use navigator_client::{HOST_SUFFIX, Inside, Places, Tunnel, Tunnels, note_host};
use tokio::io::{AsyncWriteExt, copy_buf};

use crate::sandbox::error::SandboxError;
use crate::sandbox::names;
use crate::sandbox::session::{Session, block_on};

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// Arguments of `navigator ssh-proxy`.
#[derive(clap::Args, Debug)]
pub struct ProxyArgs {
    /// Lead to this sandbox: NAME or NAME.navigator
    #[arg(value_name = "NAME", add = names::completer())]
    host: String,
}

/// Carries standard input and output to the sandbox's SSH server.
pub fn proxy(args: &ProxyArgs) -> Result<u8, SandboxError> {
    block_on(async {
        let name = args.host.strip_suffix(HOST_SUFFIX).unwrap_or(&args.host);
        navigator_client::check_name(name)?;
        let mut session = Session::open().await?;
        let sandbox = session.get(name).await?;
        let tunnels = Tunnels::over(&session.gateway, session.api.clone())?;
        let right = tunnels.right(&sandbox.id).await?;
        // Before the first byte: ssh looks for the key when the server shows its own.
        let host = format!("{name}{HOST_SUFFIX}");
        note_host(&Places::of_this_user(), &host, &right.host_key)
            .map_err(|source| SandboxError::System { action: "note the sandbox's key", source })?;
        let tunnel = tunnels.enter(&right, Inside::Ssh).await?;
        session.used(name);
        carry(tunnel)
            .await
            .map_err(|source| SandboxError::System { action: "carry the connection", source })?;
        Ok(0)
    })
}

/// Until the server ends the connection; ssh ends its side after that.
async fn carry(tunnel: Tunnel) -> io::Result<()> {
    let (from, mut to) = tokio::io::split(tunnel);
    tokio::spawn(async move {
        let mut typed = tokio::io::BufReader::with_capacity(CHUNK, tokio::io::stdin());
        // A server that is gone is seen by the other direction.
        if copy_buf(&mut typed, &mut to).await.is_ok() {
            let _gone = to.shutdown().await;
        }
    });
    let mut from = tokio::io::BufReader::with_capacity(CHUNK, from);
    let mut shown = tokio::io::stdout();
    copy_buf(&mut from, &mut shown).await?;
    shown.flush().await
}

//! One connection, from the first byte to the last.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Algorithm;
use russh::server::{Config, run_stream};
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::channels::Channels;
use crate::flow::WINDOW;
use crate::handler::Handler;
use crate::stream::Gated;
use crate::{HostKey, Sandbox};

/// How long a client may take until it is in; its bytes come by a relay from anywhere.
const LOGIN: Duration = Duration::from_secs(60);
/// Bytes of one packet that a client may send, as OpenSSH's.
const PACKET: u32 = 32 << 10;
/// Messages of channels that wait for the stream; each has at most one packet's worth of what a process printed.
const EVENTS: usize = 16;
/// Tries to get in: there is nothing to guess.
const TRIES: usize = 4;
/// Keys are changed after so many bytes and so much time (RFC 4253, section 9).
const REKEY: (usize, Duration) = (1 << 30, Duration::from_secs(3600));

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    // For clients that have neither (older paramiko), with the hashes below.
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];
const HASHES: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];
const KEYS: &[Algorithm] = &[Algorithm::Ed25519];

/// What the owner of a sandbox may decide.
#[derive(Debug, Clone)]
pub struct Options {
    /// Variables that clients may set, besides those that say how to print.
    pub environment: Vec<String>,
    /// A client that has sent nothing for so long is asked whether it is there.
    pub keep_alive: Duration,
    /// A client that does not answer so many times is gone.
    pub unanswered: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { environment: vec![], keep_alive: Duration::from_secs(30), unanswered: 3 }
    }
}

/// Why a connection ended other than by its client.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client broke the protocol, went away in its middle, or is not there any more.
    #[error("failed to serve an SSH client")]
    Protocol(#[source] russh::Error),
    /// The client did not log in in time.
    #[error("failed to serve an SSH client: it did not log in within {} seconds", LOGIN.as_secs())]
    Login,
}

/// Serves one stream until it ends or is cancelled. Then nothing that it started is left: processes are killed by
/// dropping their [`crate::Control`], also when this future is dropped.
///
/// # Errors
///
/// When the client breaks the protocol, is gone without a word, or does not log in.
pub async fn serve<T, S>(
    stream: T,
    key: &HostKey,
    sandbox: Arc<S>,
    options: Options,
    cancel: CancellationToken,
) -> Result<(), ServeError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Sandbox,
{
    let stop = cancel.child_token();
    let _stops_when_dropped = stop.clone().drop_guard();
    let channels = Arc::new(Channels::new(stop.clone()));
    let entered = CancellationToken::new();
    let config = Arc::new(config(key, &options));
    let stream = Gated::new(stream, Arc::clone(&channels.flow), &stop);
    let handler =
        Handler::new(sandbox, Arc::clone(&channels), options.environment, entered.clone());
    let served = async { run_stream(config, stream, handler).await?.await };
    let result = tokio::select! {
        served = served => served.map_err(ServeError::Protocol),
        () = late(&entered) => Err(ServeError::Login),
    };
    stop.cancel();
    channels.tasks.close();
    channels.tasks.wait().await;
    if cancel.is_cancelled() { Ok(()) } else { result }
}

/// Ends when the client is not in after its time.
async fn late(entered: &CancellationToken) {
    if tokio::time::timeout(LOGIN, entered.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}

fn config(key: &HostKey, options: &Options) -> Config {
    let silence =
        options.keep_alive.saturating_mul(u32::try_from(options.unanswered).unwrap_or(u32::MAX));
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Navigator")),
        methods: MethodSet::from(&[MethodKind::None][..]),
        // There is nothing to guess.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: None,
        keys: vec![key.key()],
        limits: Limits::new(REKEY.0, REKEY.0, REKEY.1),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        // We read no channel by its receiver, except until one of ours is confirmed.
        channel_buffer_size: EVENTS,
        event_buffer_size: EVENTS,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Borrowed(KEYS),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(HASHES),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        max_auth_attempts: TRIES,
        keepalive_interval: Some(options.keep_alive),
        keepalive_max: options.unanswered,
        // Also ends one that does not take what is written to it; later than the questions do.
        inactivity_timeout: Some(silence.saturating_add(options.keep_alive.saturating_mul(2))),
        ..Config::default()
    }
}

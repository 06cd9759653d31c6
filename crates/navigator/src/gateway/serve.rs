//! `navigator gateway run` and `config`: the gateway itself, and the settings that it would have.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use navigator_client::Places;
use navigator_drivers::{LocalDriver, LocalSettings};
use navigator_gateway::activation::{self, Handed, HandedError};
use navigator_gateway::certificates::{self, CertificateError};
use navigator_gateway::settings::{Defaults, Settings, SettingsError};
use navigator_gateway::store::{SealingKey, SealingKeyError, Store, StoreError};
use navigator_gateway::telemetry::{self, TelemetryError};
use navigator_gateway::{LockError, Parts, Remote, ServeError, StateLock};
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output::{self, LogLines};
use crate::sandbox::error::SandboxError;

/// Threads that serve: the work is short, the waiting is elsewhere.
const THREADS: usize = 2;

/// Settings on the command line. Each wins over the environment, which wins over the file.
#[derive(clap::Args, Debug)]
pub struct ServeArgs {
    /// Read settings from this file [default: gateway.toml in the configuration directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in this directory
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Listen on this unix socket
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Keep records in this database
    #[arg(long, value_name = "PATH|postgres://…")]
    store: Option<String>,
    /// Listen for remote clients as well, with mutual TLS
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Find the certificates in this directory
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<String>,
    /// Log this and what is worse: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log as text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Send traces and metrics to this collector
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Start this program for each sandbox instead of this one
    #[arg(long, value_name = "PROGRAM")]
    supervisor: Option<String>,
    /// Allow so many sandboxes
    #[arg(long, value_name = "N")]
    most_sandboxes: Option<String>,
}

/// A gateway that could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeFailure {
    /// A setting.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another gateway.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key of its secrets.
    #[error(transparent)]
    Key(#[from] SealingKeyError),
    /// Its records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Its certificates.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// What it was started with.
    #[error(transparent)]
    Handed(#[from] HandedError),
    /// Its listeners.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl ServeFailure {
    /// 2 for settings, 125 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Settings(_)) { 2 } else { 125 }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Settings(_) => "correct it; `navigator gateway config` shows all settings",
            Self::Lock(_) => {
                "stop the other one with `navigator gateway stop`, or use another --state-dir"
            }
            Self::Key(_) => {
                "give the key file back to the user that the gateway runs as, with mode 0600"
            }
            Self::Store(_) => "check the database, or use another one with --store",
            Self::Telemetry(_) => "correct it; `navigator gateway config` shows all settings",
            Self::Certificates(_) => "correct it, or serve this machine only, without --listen",
            Self::Handed(_) => "correct the unit that hands sockets over",
            Self::Serve(_) | Self::System { .. } => "run `navigator doctor`",
        }
    }
}

fn settings(places: &Places, args: &ServeArgs) -> Result<Settings, ServeFailure> {
    let given = [
        ("state_dir", &args.state_dir),
        ("socket", &args.socket),
        ("store", &args.store),
        ("listen", &args.listen),
        ("tls_dir", &args.tls_dir),
        ("log_level", &args.log_level),
        ("log_format", &args.log_format),
        ("otlp_endpoint", &args.otlp_endpoint),
        ("most_sandboxes", &args.most_sandboxes),
        ("supervisor", &args.supervisor),
    ];
    let flags: BTreeMap<_, _> =
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let path = args.config.clone().unwrap_or_else(|| places.config.join("gateway.toml"));
    let text = match navigator_client::read_own(&path) {
        Ok(text) => Some(text),
        // The usual file need not be there; one that was named must.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.config.is_none() => None,
        Err(source) => return Err(SettingsError::Read { path, source }.into()),
    };
    let defaults = Defaults {
        config: places.config.clone(),
        state: places.state.clone(),
        socket: places.socket(),
    };
    let variable = |name: &str| std::env::var(name).ok();
    Ok(Settings::new(&flags, variable, (&path, text.as_deref()), &defaults)?)
}

/// Prints the settings that are in force and where each came from.
pub fn config(
    places: &Places,
    args: &ServeArgs,
    format: output::Format,
) -> Result<u8, SandboxError> {
    let settings = settings(places, args)?;
    match format {
        output::Format::Json => output::print_json(&settings.shown)?,
        output::Format::Text => {
            let line = |shown: &navigator_gateway::settings::Shown| {
                let text = format!("{:<15} {:<45} # {}", shown.name, shown.value, shown.origin);
                output::line(&text)
            };
            output::print(&settings.shown.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(0)
}

/// Serves in the foreground until a signal ends it.
pub fn run(places: &Places, args: &ServeArgs) -> Result<u8, SandboxError> {
    // Before there is any other thread.
    let handed = activation::handed().map_err(ServeFailure::from)?;
    let settings = settings(places, args)?;
    set_limits();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|source| ServeFailure::System { action: "start the event loop", source })?;
    let log = {
        let _inside = runtime.enter();
        let endpoint = settings.otlp_endpoint.as_deref();
        let writer = || LogLines(std::io::stderr());
        telemetry::start(&settings.log_level, settings.log_format, endpoint, writer)
            .map_err(ServeFailure::from)?
    };
    let served = runtime.block_on(serve(places, settings, handed));
    log.end();
    runtime.shutdown_background();
    served.map(|()| 0).map_err(SandboxError::from)
}

/// Where users of other machines connect: a socket that was handed over, or the address in the settings.
async fn remote(
    settings: &Settings,
    handed: Option<TcpListener>,
) -> Result<Option<Remote>, ServeFailure> {
    let failed = |source| ServeFailure::System { action: "listen for remote clients", source };
    let listener = match (handed, settings.listen) {
        (Some(handed), _) => {
            handed.set_nonblocking(true).map_err(failed)?;
            tokio::net::TcpListener::from_std(handed).map_err(failed)?
        }
        (None, Some(address)) => tokio::net::TcpListener::bind(address).await.map_err(failed)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Remote { listener, acceptor: certificates::acceptor(&settings.tls_dir)? }))
}

async fn serve(places: &Places, settings: Settings, handed: Handed) -> Result<(), ServeFailure> {
    let remote = remote(&settings, handed.tcp.into_iter().next()).await?;
    let lock = StateLock::take(&settings.state_dir)?;
    let key = SealingKey::load_or_create(&settings.state_dir.join("gateway.key"))?;
    let store = Store::open(&settings.store, key).await?;
    // By this name the kernel gives a child the program that runs here, also when another one was installed since.
    let program = settings.supervisor.unwrap_or_else(|| "/proc/self/exe".into());
    let directory = settings.state_dir.join("sandboxes");
    let environment = std::env::vars_os().collect();
    let images = settings.state_dir.join("images");
    let local = LocalSettings { directory, images, program, environment };
    let driver = Arc::new(LocalDriver::new(local));
    let ending = CancellationToken::new();
    end_on_signals(&ending)
        .map_err(|source| ServeFailure::System { action: "watch for signals", source })?;
    let mut own_places = vec![settings.state_dir.clone(), settings.tls_dir, places.config.clone()];
    own_places.extend(settings.socket.parent().map(PathBuf::from));
    let parts = Parts {
        lock,
        store,
        driver,
        socket: settings.socket,
        handed: handed.unix.into_iter().next(),
        remote,
        own_places,
        most_sandboxes: settings.most_sandboxes,
        ending,
    };
    Ok(navigator_gateway::serve(parts).await?)
}

fn end_on_signals(ending: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut stream, ending) = (signal(kind)?, ending.clone());
        tokio::spawn(async move {
            stream.recv().await;
            ending.cancel();
        });
    }
    Ok(())
}

/// Each sandbox takes a connection and a process descriptor. What is in memory, here and in supervisors, which inherit
/// this, must never be written to a file when a process crashes.
fn set_limits() {
    let mut files = rustix::process::getrlimit(Resource::Nofile);
    files.current = files.maximum;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    for (resource, limit) in [(Resource::Nofile, files), (Resource::Core, none)] {
        if let Err(error) = rustix::process::setrlimit(resource, limit) {
            tracing::warn!(?resource, %error, "failed to set a limit of this process");
        }
    }
}

//! `navigator sandbox forward`: ports of a sandbox's loopback, on this machine.

mod background;
mod ports;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use navigator_client::{Inside, Places, TunnelError, Tunnels};
use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase};
use navigator_proto::v1::WatchSandboxRequest;
use navigator_proto::v1::sandbox_stream_event::Payload;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::error::SandboxError;
use super::listing::{Listed, Listing, print_all};
use super::names;
use super::session::Session;
use crate::output::{line, say};
use background::Record;
pub use ports::{Port, port};

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator sandbox forward demo 8080
  navigator sandbox forward demo 9000:8080 5432
  navigator sandbox forward demo 0:8080 --background
  navigator sandbox forwards
  navigator sandbox forwards stop demo

A port is [[ADDRESS:]LOCAL:]REMOTE. LOCAL 0 takes a free one. Without ADDRESS only this machine reaches it.";

/// Bytes that are read at once, in each direction.
const CHUNK: usize = 64 * 1024;

/// Arguments of `navigator sandbox forward`.
#[derive(clap::Args, Debug)]
pub struct ForwardArgs {
    /// Forward ports of this sandbox [default: the one that was used last], and these ports
    #[arg(value_name = "NAME|PORT", required = true, add = names::completer())]
    words: Vec<String>,
    /// Return at once and go on in the background
    #[arg(short = 'b', long)]
    background: bool,
    /// Choose how to print which ports were taken
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
    /// Write what is forwarded here: this is the background
    #[arg(long, hide = true)]
    detached: bool,
}

/// One port that is forwarded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forwarded {
    /// The sandbox.
    sandbox: String,
    /// Where it is reached on this machine.
    local: SocketAddr,
    /// Which port of the sandbox it is.
    remote: u16,
    /// The process that forwards it.
    pid: u32,
}

impl Listed for Forwarded {
    const COLUMNS: &'static [&'static str] = &["SANDBOX", "LOCAL", "REMOTE", "PID"];

    fn cells(&self) -> Vec<String> {
        let Self { sandbox, local, remote, pid } = self;
        vec![sandbox.clone(), local.to_string(), remote.to_string(), pid.to_string()]
    }

    fn name(&self) -> &str {
        &self.sandbox
    }
}

/// Forwards until the sandbox or this process ends.
pub async fn run(session: &mut Session, args: &ForwardArgs) -> Result<u8, SandboxError> {
    let (name, ports) = ports::split(&args.words)?;
    let sandbox = session.meant(name.as_ref()).await?;
    if args.background {
        let forwarded = background::start(&sandbox.name, &ports)?;
        print_all(&forwarded, args.output)?;
        return Ok(0);
    }
    let (listeners, forwarded) = listen(&sandbox.name, &ports).await?;
    let _record = match args.detached {
        true => Some(Record::write(&Places::of_this_user(), &forwarded)?),
        false => None,
    };
    match args.detached {
        true => background::report(&forwarded)?,
        false if args.output == Listing::Table => forwarded.iter().for_each(tell),
        false => print_all(&forwarded, args.output)?,
    }
    let tunnels = Tunnels::over(&session.gateway, session.api.clone())?;
    let serving =
        serve(listeners, Arc::new(Way { tunnels, id: sandbox.id.clone(), said: Mutex::default() }));
    tokio::select! {
        ended = gone(session, &sandbox) => ended.map(|why| {
            say(&format!("navigator: `{}` {why}; its ports are no longer forwarded", line(&sandbox.name)));
            1
        }),
        result = serving => result.map(|()| 0),
    }
}

/// Forwards in the background, and says what.
pub fn in_background(sandbox: &str, ports: &[Port]) -> Result<(), SandboxError> {
    background::start(sandbox, ports)?.iter().for_each(tell);
    Ok(())
}

fn tell(forwarded: &Forwarded) {
    let Forwarded { sandbox, local, remote, .. } = forwarded;
    say(&format!("navigator: {local} leads to port {remote} of `{}`", line(sandbox)));
}

/// Takes all local ports, or none.
async fn listen(
    sandbox: &str,
    ports: &[Port],
) -> Result<(Vec<(TcpListener, u16)>, Vec<Forwarded>), SandboxError> {
    let (mut listeners, mut forwarded) = (vec![], vec![]);
    for port in ports {
        let failed = |source| SandboxError::Listen { address: port.local, source };
        let listener = TcpListener::bind(port.local).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let (sandbox, pid) = (sandbox.to_owned(), std::process::id());
        forwarded.push(Forwarded { sandbox, local, remote: port.remote, pid });
        listeners.push((listener, port.remote));
    }
    Ok((listeners, forwarded))
}

/// The way into one sandbox.
struct Way {
    tunnels: Tunnels,
    id: String,
    /// What was said already: a browser tries again and again.
    said: Mutex<HashSet<String>>,
}

async fn serve(listeners: Vec<(TcpListener, u16)>, way: Arc<Way>) -> Result<(), SandboxError> {
    let mut accepting = JoinSet::new();
    for (listener, remote) in listeners {
        let way = Arc::clone(&way);
        accepting.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let way = Arc::clone(&way);
                tokio::spawn(async move { way.carry(stream, remote).await });
            }
        });
    }
    match accepting.join_next().await {
        Some(Ok(Err(source))) => {
            Err(SandboxError::System { action: "accept a connection", source })
        }
        // They go on for ever.
        Some(Ok(Ok(()))) | Some(Err(_)) | None => Ok(()),
    }
}

impl Way {
    async fn carry(&self, mut stream: TcpStream, remote: u16) {
        // Small answers are for people who wait.
        let _slower = stream.set_nodelay(true);
        match self.tunnels.open(&self.id, Inside::Port(remote)).await {
            Ok(mut tunnel) => {
                let both = tokio::io::copy_bidirectional_with_sizes(
                    &mut stream,
                    &mut tunnel,
                    CHUNK,
                    CHUNK,
                );
                if let Err(error) = both.await {
                    tracing::info!(remote, %error, "a forwarded connection broke");
                }
            }
            Err(error) => self.refused(remote, &error),
        }
    }

    fn refused(&self, remote: u16, error: &TunnelError) {
        let words = format!("navigator: port {remote}: {error}");
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(words.clone()) {
            say(&line(&words));
        }
    }
}

/// Waits until there is nothing to forward from; why.
async fn gone(session: &mut Session, sandbox: &Sandbox) -> Result<&'static str, SandboxError> {
    loop {
        let request = WatchSandboxRequest {
            id: sandbox.id.clone(),
            follow_status: true,
            ..WatchSandboxRequest::default()
        };
        if let Ok(stream) = session.api.watch_sandbox(request).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(event)) = stream.message().await {
                if let Some(Payload::Sandbox(now)) = event.payload
                    && now.phase() == SandboxPhase::Stopped
                {
                    return Ok("was stopped");
                }
            }
        }
        match session.get(&sandbox.name).await {
            Err(error) if error.is_not_found() => return Ok("is gone"),
            Ok(now) if now.id != sandbox.id => return Ok("is gone"),
            // The gateway restarts.
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Pause before a gateway that is away is asked again.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Arguments of `navigator sandbox forwards`.
#[derive(clap::Args, Debug)]
pub struct ForwardsArgs {
    #[command(subcommand)]
    command: Option<ForwardsCommand>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

#[derive(clap::Subcommand, Debug)]
enum ForwardsCommand {
    /// List ports that are forwarded in the background
    #[command(visible_alias = "ls")]
    List {
        /// Choose how to print
        #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
        output: Listing,
    },
    /// Stop forwarding in the background
    Stop {
        /// Stop what is forwarded from these sandboxes, or these local ports
        #[arg(value_name = "NAME|PORT", required_unless_present = "all", add = names::completer())]
        which: Vec<String>,
        /// Stop all
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
}

/// Lists or stops what runs in the background. No gateway is needed for it.
pub fn background(args: &ForwardsArgs) -> Result<u8, SandboxError> {
    let places = Places::of_this_user();
    match &args.command {
        None => list(&places, args.output),
        Some(ForwardsCommand::List { output }) => list(&places, *output),
        Some(ForwardsCommand::Stop { which, .. }) => {
            let stopped = background::stop(&places, |one| {
                let port = one.local.port().to_string();
                which.is_empty() || which.iter().any(|word| *word == one.sandbox || *word == port)
            })?;
            if stopped == 0 {
                say("navigator: nothing of that is forwarded in the background");
                return Ok(u8::from(!which.is_empty()));
            }
            Ok(0)
        }
    }
}

fn list(places: &Places, format: Listing) -> Result<u8, SandboxError> {
    let all = background::running(places)?;
    print_all(&all, format)?;
    if all.is_empty() && format == Listing::Table {
        say("navigator: nothing is forwarded in the background");
    }
    Ok(0)
}

/// What a failed step of the background is about.
fn failed(action: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::System { action, source }
}

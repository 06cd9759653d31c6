//! Finds, starts and talks to gateways. It prints nothing: the command line and other programs that show
//! sandboxes use it, and each has its own words for what happens.
#![forbid(unsafe_code)]

mod atomic;
mod connect;
mod detach;
mod exec;
mod gateways;
mod known_hosts;
mod last;
mod launch;
mod places;
mod signals;
mod stop;
mod tls;
mod tunnel;

pub use atomic::{make_directory as make_own_directory, read as read_own, write as write_own};
pub use connect::{Api, ConnectError, connect};
pub use detach::{DetachKeys, DetachKeysError};
pub use exec::{Ended, Exec, ExecError, Lasting, Terminal, exec};
pub use gateways::{Credentials, Gateway, Gateways, GatewaysError, Reach, check_name};
pub use known_hosts::{HOST_SUFFIX, known_hosts, note_host};
pub use last::LastUsed;
pub use launch::{LaunchError, Launcher, ensure_running};
pub use places::Places;
pub use signals::Interrupts;
pub use stop::{StopError, stop};
pub use tunnel::{Inside, Tunnel, TunnelError, Tunnels};

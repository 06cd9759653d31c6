//! Finds, starts and talks to gateways. It prints nothing: the command line and other programs that show
//! sandboxes use it, and each has its own words for what happens.
#![forbid(unsafe_code)]

mod atomic;
mod connect;
mod exec;
mod gateways;
mod last;
mod launch;
mod places;
mod signals;
mod stop;
mod tls;

pub use atomic::read as read_own;
pub use connect::{Api, ConnectError, connect};
pub use exec::{Exec, ExecError, Terminal, exec};
pub use gateways::{Credentials, Gateway, Gateways, GatewaysError, Reach, check_name};
pub use last::LastUsed;
pub use launch::{LaunchError, Launcher, ensure_running};
pub use places::Places;
pub use signals::Interrupts;
pub use stop::{StopError, stop};

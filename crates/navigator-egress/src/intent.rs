//! What a program wants to reach, in the one form that every adapter produces.

use std::net::SocketAddr;

use navigator_policy::Host;
use serde::{Deserialize, Serialize};

/// The kind of way out that a wish arrived by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adapter {
    /// HTTP `CONNECT` on the explicit proxy.
    Connect,
    /// An absolute-form HTTP request on the explicit proxy.
    HttpProxy,
    /// SOCKS5 on the explicit proxy.
    Socks,
    /// A TCP connection captured on its way to its destination.
    Transparent,
    /// A DNS question.
    Dns,
}

/// Which client socket speaks: the key by which its owners are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientSocket {
    /// The client's own address.
    pub client: SocketAddr,
    /// The address it connected to.
    pub wanted: SocketAddr,
}

/// A wish to leave the sandbox.
#[derive(Debug, Clone)]
pub struct EgressIntent {
    /// The socket through which the caller is identified.
    pub socket: ClientSocket,
    /// The name or address it wants.
    pub host: Host,
    /// The port it wants.
    pub port: u16,
    /// How the wish arrived.
    pub adapter: Adapter,
}

//! The whole egress against real sockets, in network namespaces made for one test each.

mod http;
mod sandbox;
mod tunnels;

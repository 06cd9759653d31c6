//! The whole egress against real sockets, in network namespaces made for one test each.

mod corpus;
mod frames;
mod hostile;
mod http;
mod internet;
mod python;
mod responses;
mod sandbox;
mod smuggling;
mod smuggling_http2;
mod tunnels;
mod wire;

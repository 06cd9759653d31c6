//! SFTP version 3: its packets, and a file server that acts with its process's own rights.
//!
//! The server runs as a function in a confined child of a sandbox's init. It starts no thread and no program, reads
//! no environment, and bounds everything that its client can make it hold. It has no path policy: what its process
//! may do is decided before it starts.
//!
//! The packets are our own code because names are bytes: the published codecs carry names as UTF-8 text, or know
//! only the client's half of the protocol.
#![forbid(unsafe_code)]

mod server;
pub mod wire;

pub use server::serve;

//! Both ends of an intercepted TLS connection: our own certificate authority towards the sandbox, and the
//! verification of servers.

mod authority;
mod upstream;

pub use authority::{Authority, AuthorityError};
pub(crate) use upstream::Alpn;
pub use upstream::{RootsError, UpstreamTls};

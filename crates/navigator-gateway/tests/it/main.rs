//! The gateway's parts as its users see them.

mod store;

//! The server against real clients: OpenSSH's, and the library's own for what OpenSSH does not do.

mod bulk;
mod client;
mod commands;
mod forwards;
mod hostile;
mod local;
mod terminals;

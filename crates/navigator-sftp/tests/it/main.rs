//! The server against the real OpenSSH client, and against clients that mean harm.

mod hostile;
mod openssh;

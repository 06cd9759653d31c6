//! The server on standard input and output, for real clients to test it: `sftp -D sftp-server`.

use std::os::fd::AsFd;

fn main() -> std::io::Result<()> {
    let start = std::env::current_dir()?;
    navigator_sftp::serve(&[], std::io::stdin().as_fd(), std::io::stdout().as_fd(), &start)
}

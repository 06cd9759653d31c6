//! Times a copy or sync to or from a real server in a process of its own: `transfer-bench up|down|sync SERVER FROM TO`.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use navigator_transfer::{Client, Options, RemotePath, Silent, SyncOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let [_, mode, server, from, to] = &arguments[..] else { return Err("four arguments".into()) };
    let (ours, theirs) = UnixStream::pair()?;
    let input = OwnedFd::from(theirs.try_clone()?);
    let mut child = Command::new(server).stdin(input).stdout(OwnedFd::from(theirs)).spawn()?;
    ours.set_nonblocking(true)?;
    let client = Client::open(tokio::net::UnixStream::from_std(ours)?).await?;
    let start = Instant::now();
    let remote = |path: &std::ffi::OsString| RemotePath::new(path.as_bytes());
    let options = Options::default();
    let report = match mode.as_bytes() {
        b"up" => {
            navigator_transfer::copy_up(&client, Path::new(from), &remote(to), options, &Silent)
                .await?
        }
        b"down" => {
            navigator_transfer::copy_down(&client, &remote(from), Path::new(to), options, &Silent)
                .await?
        }
        _ => {
            let sync = SyncOptions::default();
            navigator_transfer::sync_up(&client, Path::new(from), &remote(to), sync, &Silent)
                .await?
        }
    };
    let files = report.files;
    println!("{} {:.3} s, {files} files", mode.display(), start.elapsed().as_secs_f64());
    drop(client);
    child.wait()?;
    Ok(())
}

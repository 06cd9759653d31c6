//! Times a copy or sync to or from a real server in a process of its own: `transfer-bench up|down|sync SERVER FROM TO`.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use navigator_transfer::{
    Client, Options, RemotePath, Silent, SyncOptions, copy_down, copy_up, sync_up,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let [_, mode, server, from, to] = &arguments[..] else { return Err("four arguments".into()) };
    let (ours, theirs) = UnixStream::pair()?;
    let input = OwnedFd::from(theirs.try_clone()?);
    let mut child = Command::new(server).stdin(input).stdout(OwnedFd::from(theirs)).spawn()?;
    ours.set_nonblocking(true)?;
    // One thread, as the program has it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(ours, mode.as_bytes(), from, to))?;
    // The server ends when the connection does.
    drop(runtime);
    child.wait()?;
    Ok(())
}

async fn measure(
    stream: UnixStream,
    mode: &[u8],
    from: &OsStr,
    to: &OsStr,
) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::open(tokio::net::UnixStream::from_std(stream)?).await?;
    let start = Instant::now();
    let remote = |path: &OsStr| RemotePath::new(path.as_bytes());
    let options = Options::default();
    let report = match mode {
        b"up" => copy_up(&client, Path::new(from), &remote(to), options, &Silent).await?,
        b"down" => copy_down(&client, &remote(from), Path::new(to), options, &Silent).await?,
        _ => {
            let sync = SyncOptions::default();
            sync_up(&client, Path::new(from), &remote(to), sync, &Silent).await?
        }
    };
    let (files, time) = (report.files, start.elapsed().as_secs_f64());
    println!("{} {time:.3} s, {files} files", mode.escape_ascii());
    Ok(())
}

//! What it costs to identify a caller: `bench-identity SAMPLES OTHERS`, as process 1 of a network and pid namespace with
//! its own `/proc`. Starts OTHERS idle processes and one client, identifies the client over and over, and prints
//! nanoseconds of each identification and of its floor, one `sock_diag` message, taken in turns; then those of changes of
//! the policy.
#![forbid(unsafe_code)]

mod policy;

use std::hint::black_box;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use navigator_egress::identity::{Examination, Identifier, Pins, inode_of};
use navigator_egress::intent::ClientSocket;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

/// Identifications before those that count: the first one hashes the program.
const WARM_UP: usize = 20;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["client", address] => client(address),
        [samples, others] => {
            let number = |text: &str| text.parse().map_err(io::Error::other);
            measure(number(samples)?, number(others)?)
        }
        _ => Err(io::Error::other("usage: bench-identity SAMPLES OTHERS")),
    }
}

/// Connects, and stays until nobody wants it any more.
fn client(address: &str) -> io::Result<()> {
    let _connection = TcpStream::connect(address)?;
    io::stdin().read_to_end(&mut vec![]).map(drop)
}

fn measure(samples: usize, others: usize) -> io::Result<()> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if !up.success() {
        return Err(io::Error::other("the loopback interface does not come up"));
    }
    // Process 1 of the namespace: whatever it starts ends with it.
    let _others = (0..others).map(|_| idle()).collect::<io::Result<Vec<_>>>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let _client = start(&std::env::current_exe()?, &["client", &address.to_string()])?;
    let (connection, peer) = listener.accept()?;
    let socket = ClientSocket { client: peer, wanted: connection.local_addr()? };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (identity, floor) = runtime.block_on(sample(&socket, samples))?;
    let changes = runtime.block_on(policy::changes(&socket, identifier()?, samples))?;
    println!("{{\"identity\": {identity:?}, \"floor\": {floor:?}, \"changes\": {changes:?}}}");
    Ok(())
}

async fn sample(socket: &ClientSocket, samples: usize) -> io::Result<(Vec<u128>, Vec<u128>)> {
    let identifier = identifier()?;
    let floor_socket = sock_diag()?;
    let (mut identity, mut floor) = (vec![], vec![]);
    for round in 0..WARM_UP + samples {
        let start = Instant::now();
        let programs = identifier.identify(black_box(socket)).await.map_err(io::Error::other)?;
        let whole = start.elapsed();
        if programs.len() != 1 {
            return Err(io::Error::other(format!("{} programs hold the socket", programs.len())));
        }
        let start = Instant::now();
        black_box(inode_of(floor_socket.as_fd(), socket, 1).map_err(io::Error::other)?);
        let message = start.elapsed();
        if round >= WARM_UP {
            identity.push(whole.as_nanos());
            floor.push(message.as_nanos());
        }
    }
    Ok((identity, floor))
}

fn identifier() -> io::Result<Identifier> {
    let read_only = ["/usr", "/lib", "/lib64", "/bin"].map(str::to_owned).to_vec();
    let ways = Examination {
        sock_diag: sock_diag()?,
        proc_dir: open("/proc")?,
        root_dir: open("/")?,
        sees_connects: false,
    };
    Ok(Identifier::new(ways, Arc::new(Pins::default()), read_only)?)
}

fn idle() -> io::Result<Child> {
    start(std::path::Path::new("/bin/sleep"), &["600"])
}

fn start(program: &std::path::Path, args: &[&str]) -> io::Result<Child> {
    Command::new(program).args(args).env_clear().stdin(Stdio::piped()).spawn()
}

fn sock_diag() -> io::Result<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?)
}

fn open(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

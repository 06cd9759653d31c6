//! Sockets from whoever started the gateway, and word that it is ready: the protocols of `sd_listen_fds(3)` and
//! `sd_notify(3)`.

use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use listenfd::ListenFd;

/// Most sockets that are taken: a unix socket and a few addresses.
const MOST: usize = 16;

/// Sockets that were handed over.
#[derive(Debug, Default)]
pub struct Handed {
    /// Unix sockets.
    pub unix: Vec<UnixListener>,
    /// TCP sockets.
    pub tcp: Vec<TcpListener>,
}

/// A hand-over that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// The number of sockets means nothing.
    #[error(
        "failed to take the sockets that were handed over: LISTEN_FDS is no number up to {MOST}"
    )]
    Number,
    /// One of them is none that the gateway can listen on.
    #[error(
        "failed to take socket {0} that was handed over: it must be a stream socket, unix or TCP"
    )]
    Kind(usize),
}

/// Takes the sockets that were handed to this process, and removes what tells of them from the environment, so that no
/// child believes that they are its own. Call it once, before other threads run.
///
/// # Errors
/// [`HandedError`] when something was handed over that is of no use.
pub fn handed() -> Result<Handed, HandedError> {
    let own = std::process::id().to_string();
    // Without a process id, or with another one, they are meant for somebody else.
    if std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own) {
        let number = std::env::var("LISTEN_FDS").ok().and_then(|number| number.parse().ok());
        number.filter(|number: &usize| *number <= MOST).ok_or(HandedError::Number)?;
        return sort(ListenFd::from_env());
    }
    Ok(Handed::default())
}

fn sort(mut sockets: ListenFd) -> Result<Handed, HandedError> {
    let mut handed = Handed::default();
    for index in 0..sockets.len() {
        if let Ok(Some(socket)) = sockets.take_unix_listener(index) {
            handed.unix.push(socket);
        } else if let Ok(Some(socket)) = sockets.take_tcp_listener(index) {
            handed.tcp.push(socket);
        } else {
            return Err(HandedError::Kind(index));
        }
    }
    Ok(handed)
}

/// Tells whoever started the gateway that it is ready, if they want to know.
///
/// # Errors
/// The system's, when they cannot be told.
pub fn ready() -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(socket) => tell(socket.as_bytes()),
        None => Ok(()),
    }
}

fn tell(socket: &[u8]) -> io::Result<()> {
    let address = match socket.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(socket))?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Run as a child that sockets are handed to; says what it got.
    const CHILD: &str = "NAVIGATOR_TEST_HANDED";

    /// Runs this test as a child, with `listener` as descriptor 3 and what `variables` say of it.
    fn child(test: &str, listener: impl Into<std::os::fd::OwnedFd>, variables: &str) -> String {
        // The shell knows the process id before the program runs, as whoever hands sockets over does.
        let script =
            format!("exec 3<&0 0</dev/null; {variables} exec \"$0\" --exact {test} --nocapture");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(std::env::current_exe().unwrap()).env(CHILD, "1");
        let output = command.stdin(Stdio::from(listener.into())).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn as_child() -> bool {
        if std::env::var_os(CHILD).is_none() {
            return false;
        }
        let told = match handed() {
            Ok(handed) => {
                for socket in &handed.unix {
                    socket.accept().unwrap().0.write_all(b"served").unwrap();
                }
                format!("{} unix, {} tcp", handed.unix.len(), handed.tcp.len())
            }
            Err(error) => error.to_string(),
        };
        println!("child: {told}, left: {:?}", std::env::var_os("LISTEN_FDS"));
        true
    }

    #[test]
    fn a_unix_socket_is_handed_over_with_the_connection_that_waits() {
        if as_child() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let test = "activation::tests::a_unix_socket_is_handed_over_with_the_connection_that_waits";
        let told = child(test, listener, "LISTEN_PID=$$ LISTEN_FDS=1");
        assert!(told.contains("child: 1 unix, 0 tcp, left: None"), "{told}");
        let mut served = String::new();
        io::Read::read_to_string(&mut waiting, &mut served).unwrap();
        assert_eq!(served, "served");
    }

    #[test]
    fn what_is_for_others_is_left_and_what_is_of_no_use_is_told() {
        if as_child() {
            return;
        }
        let test = "activation::tests::what_is_for_others_is_left_and_what_is_of_no_use_is_told";
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
        let told = |variables: &str| child(test, tcp(), variables);
        assert!(told("LISTEN_PID=$$ LISTEN_FDS=1").contains("child: 0 unix, 1 tcp, left: None"));
        for others in ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", ""] {
            assert!(told(others).contains("child: 0 unix, 0 tcp"), "{others}");
        }
        for wrong in ["LISTEN_FDS=1000000000", "LISTEN_FDS=x", "LISTEN_FDS=-1"] {
            let told = child(test, tcp(), &format!("LISTEN_PID=$$ {wrong}"));
            assert!(told.contains("no number"), "{told}");
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(child(test, file, "LISTEN_PID=$$ LISTEN_FDS=1").contains("socket 0"));
    }

    #[test]
    fn readiness_is_told_to_sockets_with_a_path_and_without() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let with_path = UnixDatagram::bind(&path).unwrap();
        tell(path.as_os_str().as_bytes()).unwrap();
        let name = format!("navigator-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let without = UnixDatagram::bind_addr(&address).unwrap();
        tell(format!("@{name}").as_bytes()).unwrap();
        for socket in [with_path, without] {
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
        assert!(tell(b"/nowhere/at/all").is_err());
    }
}

//! Two network namespaces: an internet with public addresses, and a sandbox where every address is
//! local. A test runs again inside the first one, as the root of a user namespace of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use navigator_egress::tls::{Authority, UpstreamTls};
use navigator_egress::{
    AuditRecord, AuditSink, EgressContext, EgressSettings, Resolve, ResolveError, SandboxLabel,
    TcpWay, Ways, serve,
};
use navigator_policy::{CompiledPolicy, HostName};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

const INSIDE: &str = "NAVIGATOR_TEST_INSIDE";
/// User, network and pid namespaces with a `/proc` of their own, as a sandbox has them.
const NAMESPACES: [&str; 2] = ["-rnpf", "--mount-proc"];

/// Runs `body` inside fresh namespaces; says why when they cannot be had.
pub(crate) fn in_namespaces(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        setup(&["link set lo up", "address add 203.0.113.7/32 dev lo"]);
        setup(&["address add 10.9.9.9/32 dev lo"]);
        allow_many_files();
        return body();
    }
    let possible = Command::new("unshare").args(NAMESPACES).args(["ip", "link"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no user namespaces, or no `unshare` and `ip` programs");
        return;
    }
    let output = Command::new("unshare")
        .args(NAMESPACES)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "inside the namespaces:\n{text}");
    assert!(text.contains("1 passed"), "the test did not run inside:\n{text}");
}

/// As many descriptors as this user may have: attackers have their connections in this process too.
fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn setup(commands: &[&str]) {
    for command in commands {
        let status = Command::new("ip").args(command.split(' ')).status().unwrap();
        assert!(status.success(), "ip {command}");
    }
}

/// Records of a sandbox, newest last.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<AuditRecord>>);

impl AuditSink for Records {
    fn record(&self, record: AuditRecord) {
        self.0.lock().unwrap().push(record);
    }
}

impl Records {
    pub(crate) fn take(&self) -> Vec<AuditRecord> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The internet's names.
struct Names;

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a HostName) -> navigator_egress::resolve::Resolving<'a> {
        Box::pin(async move {
            let public = IpAddr::from([203, 0, 113, 7]);
            let addresses = match name.as_ref() {
                "origin.example" | "closed.example" => vec![public],
                "private.example" => vec![IpAddr::from([10, 9, 9, 9])],
                "mixed.example" => vec![public, IpAddr::from([127, 0, 0, 1])],
                _ => return Err(ResolveError::Empty { name: name.clone() }),
            };
            Ok(addresses.into())
        })
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A running egress, and a thread inside the sandbox's network.
pub(crate) struct Sandbox {
    pub(crate) context: Arc<EgressContext>,
    pub(crate) records: Arc<Records>,
    /// The certificate that its programs trust.
    pub(crate) certificate: String,
    inside: Sender<Job>,
    shutdown: CancellationToken,
    served: Option<thread::JoinHandle<()>>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(served) = self.served.take() {
            let ended = served.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Sandbox {
    pub(crate) fn start(policy: &str) -> Sandbox {
        Sandbox::trusting(policy, UpstreamTls::default())
    }

    /// The same, with authorities of the internet that its relay trusts.
    pub(crate) fn trusting(policy: &str, upstream_tls: UpstreamTls) -> Sandbox {
        let inside = inside_thread();
        let ways = call(&inside, open_ways);
        let records = Arc::new(Records::default());
        let authority = Authority::new("test").unwrap();
        let certificate = authority.certificate_pem();
        let context = Arc::new(EgressContext::new(EgressSettings {
            policy: compile(policy),
            audit: records.clone(),
            resolver: Arc::new(Names),
            sandbox: SandboxLabel { id: "1".into(), name: "test".into() },
            authority,
            upstream_tls,
            learning: None,
            // The last are those that cargo puts into the environment of a test.
            read_only: ["/usr", "/lib"]
                .into_iter()
                .map(str::to_owned)
                .chain(
                    std::env::var("LD_LIBRARY_PATH")
                        .unwrap_or_default()
                        .split(':')
                        .map(str::to_owned),
                )
                .filter(|directory| !directory.is_empty())
                .collect(),
        }));
        let shutdown = CancellationToken::new();
        let served = {
            let (context, shutdown) = (context.clone(), shutdown.clone());
            thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(ways, context, shutdown)).unwrap();
            })
        };
        Sandbox { context, records, certificate, inside, shutdown, served: Some(served) }
    }

    /// Waits until no connection of the sandbox is open any more: what a client broke off is over then as well.
    pub(crate) fn until_quiet(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while self.context.open_tunnels() > 0 {
            assert!(std::time::Instant::now() < deadline, "a connection stays open");
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Runs `job` on the thread inside the sandbox's network.
    pub(crate) fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        call(&self.inside, job)
    }

    /// Sends `text` to an address from inside and reads to the end.
    pub(crate) fn exchange(&self, to: &str, text: &str) -> std::io::Result<String> {
        let (to, text): (SocketAddr, String) = (to.parse().unwrap(), text.to_owned());
        self.inside(move || {
            let mut stream = TcpStream::connect(to)?;
            stream.write_all(text.as_bytes())?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }
}

pub(crate) fn compile(policy: &str) -> CompiledPolicy {
    let checked = navigator_policy::load("test.yaml", policy).unwrap();
    CompiledPolicy::compile(&checked.policy, &|_| None)
}

/// A policy that allows this test's own executable to reach each `host port`.
pub(crate) fn allowing(endpoints: &[(&str, u16)]) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n  test:\n    endpoints:\n");
    for (host, port) in endpoints {
        text.push_str(&format!("      - {{ host: {host}, port: {port} }}\n"));
    }
    let own = std::env::current_exe().unwrap();
    text + &format!("    binaries:\n      - {{ path: {} }}\n", own.display())
}

fn inside_thread() -> Sender<Job> {
    let (jobs, queue) = channel::<Job>();
    thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        setup(&[
            "link set lo up",
            "route add local 0.0.0.0/0 dev lo",
            "-6 route add local ::/0 dev lo",
        ]);
        for job in queue {
            job();
        }
    });
    jobs
}

fn call<T: Send + 'static>(jobs: &Sender<Job>, job: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, answer) = channel();
    jobs.send(Box::new(move || {
        let _ = done.send(job());
    }))
    .unwrap();
    answer.recv().expect("the job inside the sandbox panicked")
}

fn open_ways() -> Ways {
    let listen = |port| OwnedFd::from(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let mut tcp: Vec<TcpWay> =
        [80, 443, 3128].into_iter().map(|port| TcpWay { listener: listen(port), port }).collect();
    tcp.push(TcpWay { listener: listen_v6(443), port: 443 });
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
    setsockopt(&udp, sockopt::Ipv4PacketInfo, &true).unwrap();
    let path = |path: &str| {
        openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
    };
    Ways {
        tcp,
        dns_udp: vec![udp.into()],
        dns_tcp: vec![listen(53)],
        sock_diag: socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )
        .unwrap(),
        proc_dir: path("/proc"),
        root_dir: path("/"),
        connects: None,
    }
}

fn listen_v6(port: u16) -> OwnedFd {
    let socket =
        socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::sockopt::set_ipv6_v6only(&socket, true).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).unwrap();
    rustix::net::listen(&socket, 16).unwrap();
    socket
}

/// An origin on the internet that hands each connection to `serve` on a thread of its own.
pub(crate) fn origin(address: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let listener = TcpListener::bind(address).unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

/// Sends back what it reads, and closes after the client did.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut copy = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut stream, &mut copy);
    let _ = copy.shutdown(std::net::Shutdown::Write);
}

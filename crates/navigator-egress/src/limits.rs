//! Every bound of this crate in one place, each with its reason.

use std::time::Duration;

/// Connections served at once: two sockets each stays below the usual limit of 4,096 descriptors.
pub const MAX_CONNECTIONS: usize = 1_536;
/// DNS over TCP is rare; a few at a time leave the connection budget to real traffic.
pub const MAX_DNS_TCP: usize = 32;
/// Bytes of one request head: large cookies fit, a header flood does not.
pub const MAX_HEAD: usize = 32 * 1024;
/// Fields of one request head.
pub const MAX_HEADERS: usize = 128;
/// A client that has not finished its request head by now is holding a slot (slow-loris).
pub const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// A kept-alive upstream's response head; long model answers start late, so this is generous.
pub const RESPONSE_HEAD_DEADLINE: Duration = Duration::from_secs(300);
/// Name look-up as a whole; the system resolver's own default is 5 s per server.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(8);
/// Reaching an upstream as a whole, over all of its addresses.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(15);
/// RFC 8305 section 5: delay before the next address is tried beside the previous one.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses of one name that are kept; a longer answer is refused whole, not judged in part.
pub const MAX_ADDRESSES: usize = 64;
/// Addresses that are tried for one connection.
pub const MAX_ATTEMPTS: usize = 8;
/// A tunnel without a byte in either direction for this long is closed.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(15 * 60);
/// A DNS client on TCP that says nothing.
pub const DNS_TCP_IDLE: Duration = Duration::from_secs(10);
/// Names the resolver remembers, and for how long: bursts of connections share one look-up.
pub const RESOLVER_ENTRIES: usize = 256;
/// How long a resolved answer is reused.
pub const RESOLVER_TTL: Duration = Duration::from_secs(5);
/// Names that hold a synthetic address at once (about 100 bytes each).
pub const SYNTHETIC_NAMES: usize = 8_192;
/// The largest DNS question datagram that is read; real ones are far below.
pub const MAX_DNS_MESSAGE: usize = 1_232;
/// Processes looked at for one connection; a sandbox's pid limit is normally lower.
pub const MAX_PROCESSES: usize = 8_192;
/// Descriptors looked at for one connection, over all processes.
pub const MAX_DESCRIPTORS: usize = 262_144;
/// Programs that may hold one connection.
pub const MAX_HOLDERS: usize = 16;
/// Connected sockets that are remembered until they are accepted, which takes microseconds.
pub const MAX_CONNECTED: usize = 4_096;
/// How long one is remembered; far less than it takes to use up all numbers that sockets have.
pub const CONNECTED_TTL: Duration = Duration::from_secs(60);
/// Births of processes remembered (about 60 bytes each): twice as many as there may be processes.
pub const MAX_BIRTHS: usize = 2 * MAX_PROCESSES;
/// Bytes of `/proc/PID/maps` read; a program with more mappings cannot be judged.
pub const MAX_MAPS: usize = 4 * 1024 * 1024;
/// Ancestors that are followed; deeper trees keep the nearest.
pub const MAX_ANCESTORS: usize = 64;
/// Executables whose content hash is pinned.
pub const MAX_PINS: usize = 4_096;
/// Bytes of an executable or script that are read to pin it. Real ones have some hundred megabytes; the others' turn
/// must not wait for one that is huge and holds nothing.
pub const MAX_EXECUTABLE: u64 = 1024 * 1024 * 1024;
/// Verified processes remembered.
pub const MAX_VERIFIED: usize = 4_096;
/// Bytes of `/proc/PID/environ` read; a larger environment cannot be judged.
pub const MAX_ENVIRON: usize = 2 * 1024 * 1024;
/// Bytes of `/proc/PID/cmdline` read; a script argument stands at its beginning.
pub const MAX_CMDLINE: usize = 16 * 1024;
/// How long accepting pauses after it failed (out of descriptors or memory).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Hosts whose certificate is kept (about 2 KiB each); making one again costs a signature.
pub const MAX_LEAVES: usize = 512;
/// A TLS handshake as a whole, on either side.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(15);
/// Requests that one HTTP/2 client connection has open at once.
pub const MAX_STREAMS: u32 = 128;
/// Requests that an HTTP/2 client opened and cancelled before they were looked at (rapid reset).
pub const MAX_PENDING_RESETS: usize = 32;
/// Streams that an HTTP/2 client made us reset before its connection is closed.
pub const MAX_LOCAL_RESETS: usize = 256;
/// Bytes in flight that one HTTP/2 stream may have, and one connection: bounds what is held for a slow reader.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// See [`STREAM_WINDOW`].
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A pause after which an HTTP/2 peer is asked whether it is still there.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long that answer may take.
pub const PING_DEADLINE: Duration = Duration::from_secs(20);
/// Idle upstream connections that are kept for the next request, over all servers.
pub const MAX_IDLE_UPSTREAMS: usize = 64;
/// An idle upstream connection is not used again after this; servers close theirs at about a minute.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(50);
/// Destinations of programs that a learning run notes, and requests at each of them.
pub const MAX_LEARNED: usize = 4_096;
/// See [`MAX_LEARNED`].
pub const MAX_LEARNED_REQUESTS: usize = 4_096;
/// Files that a learning run notes (about 200 bytes each): several large programs use tens of thousands.
pub const MAX_LEARNED_FILES: usize = 65_536;
/// How long a learning run waits for a client to speak first; servers speak first in many protocols without HTTP.
pub const LEARNING_PATIENCE: Duration = Duration::from_millis(300);
/// Longest text frame of a WebSocket.
pub const MAX_TEXT_FRAME: u64 = 16 * 1024 * 1024;

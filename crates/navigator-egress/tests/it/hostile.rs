//! Floods from inside: memory stays bounded, and another connection of the same sandbox is served while they last.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use navigator_egress::limits::MAX_CONNECTIONS;

use crate::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RESET, SETTINGS, field, frame,
    usual,
};
use crate::internet::{After, By, Client, Dialler, PATIENCE, PROXY, origins, policy, tunnel};
use crate::sandbox::{Sandbox, in_namespaces};

/// How much this process may grow by: relay, attacker and origin together.
const MAX_GROWTH: usize = 96 * 1024 * 1024;
/// How long an attacker waits for a write before it begins anew.
const STUCK: Duration = Duration::from_millis(500);

/// What attacker and test tell each other.
#[derive(Default)]
struct Attack {
    over: AtomicBool,
    blows: Mutex<usize>,
    struck: Condvar,
}

impl Attack {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    fn blow(&self) {
        *self.blows.lock().unwrap() += 1;
        self.struck.notify_all();
    }

    fn wait_for(&self, wanted: usize) {
        let blows = self.blows.lock().unwrap();
        let waited =
            self.struck.wait_timeout_while(blows, 4 * PATIENCE, |blows| *blows < wanted).unwrap();
        assert!(!waited.1.timed_out(), "the attack does not come about");
    }
}

/// Resident bytes of this process.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Runs an attack until it has struck `blows` times, and then until others were served three times by each way.
fn under(name: &str, blows: usize, attack: fn(&Dialler, &Attack)) {
    in_namespaces(name, || {
        let (_arrivals, trust) = origins(After::Close);
        let sandbox = Sandbox::trusting(&policy(), trust);
        let (http1, http2) = (Dialler::new(&sandbox, "http/1.1"), Dialler::new(&sandbox, "h2"));
        serve_others(&sandbox, &http1);
        let before = resident();
        let state = Arc::new(Attack::default());
        let attacker = {
            let state = state.clone();
            // A thread begins in the network of the one that starts it.
            sandbox.inside(move || std::thread::spawn(move || attack(&http2, &state)))
        };
        let since = Instant::now();
        state.wait_for(blows);
        let struck = since.elapsed();
        for _ in 0..3 {
            serve_others(&sandbox, &http1);
        }
        let grown = resident().saturating_sub(before);
        assert!(!attacker.is_finished(), "the attack was over before others were served");
        state.over.store(true, Ordering::SeqCst);
        attacker.join().unwrap();
        eprintln!("{blows} blows in {struck:?}; grown by {} KiB", grown / 1024);
        assert!(grown < MAX_GROWTH, "grown by {grown} bytes");
    });
}

fn serve_others(sandbox: &Sandbox, dialler: &Dialler) {
    for (by, prefix) in [(By::Tls, ""), (By::Captured, ""), (By::Absolute, "http://origin.example")]
    {
        let request = format!("GET {prefix}/open/a HTTP/1.1\r\nHost: origin.example\r\n\r\n");
        let dialler = dialler.clone();
        let answer = sandbox.inside(move || dialler.dial(by).exchange(request.as_bytes()));
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok"), "{by:?}: {text:?}");
    }
}

/// Keeps more connections open than there are places, and opens new ones all the time.
fn crowd(attack: &Attack, open: impl Fn() -> std::io::Result<TcpStream>) {
    let mut held = VecDeque::new();
    while attack.goes_on() {
        if let Ok(stream) = open() {
            held.push_back(stream);
            attack.blow();
        }
        if held.len() > MAX_CONNECTIONS + 200 {
            held.pop_front();
        }
    }
}

fn proxy() -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(PROXY)?;
    stream.set_write_timeout(Some(STUCK))?;
    stream.set_read_timeout(Some(STUCK))?;
    Ok(stream)
}

#[test]
fn half_requests() {
    under("hostile::half_requests", MAX_CONNECTIONS + 300, |_, attack| {
        crowd(attack, || {
            let mut stream = proxy()?;
            stream.write_all(b"GET http://origin.example/open/a HTTP/1.1\r\nX-Slow: ")?;
            Ok(stream)
        });
    });
}

#[test]
fn connections_that_come_and_go() {
    under("hostile::connections_that_come_and_go", 1_000, |_, attack| {
        while attack.goes_on() {
            drop(proxy());
            attack.blow();
        }
    });
}

#[test]
fn handshakes_that_stall() {
    under("hostile::handshakes_that_stall", MAX_CONNECTIONS + 300, |_, attack| {
        crowd(attack, || {
            let mut stream = proxy()?;
            tunnel(&mut stream)?;
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01")?;
            Ok(stream)
        });
    });
}

/// No deadline ends these soon, so only their eviction makes room for others.
#[test]
fn every_place_held_by_connections_that_ask_nothing() {
    let name = "hostile::every_place_held_by_connections_that_ask_nothing";
    under(name, MAX_CONNECTIONS + 100, |dialler, attack| {
        let mut held = vec![];
        while attack.goes_on() {
            if held.len() == MAX_CONNECTIONS + 100 {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let Ok(mut client) = dialler.try_dial(By::Captured, STUCK) else { continue };
            if send(&mut client, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()) {
                held.push(client);
                attack.blow();
            }
        }
    });
}

#[test]
fn slow_heads() {
    under("hostile::slow_heads", 2_000, |_, attack| {
        let mut clients: Vec<TcpStream> = (0..200).filter_map(|_| proxy().ok()).collect();
        while attack.goes_on() {
            for client in &mut clients {
                if client.write_all(b"a").is_err() {
                    let Ok(anew) = proxy() else { continue };
                    *client = anew;
                }
                attack.blow();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn floods_of_fields() {
    under("hostile::floods_of_fields", 50, |_, attack| {
        let line = b"X-Flood: 0123456789012345678901234567890123456789\r\n".repeat(1000);
        while attack.goes_on() {
            let Ok(mut stream) = proxy() else { continue };
            let _ = stream.write_all(b"GET http://origin.example/open/a HTTP/1.1\r\n");
            while attack.goes_on() && stream.write_all(&line).is_ok() {}
            attack.blow();
        }
    });
}

#[test]
fn bodies_that_never_come() {
    under("hostile::bodies_that_never_come", 200, |_, attack| {
        let mut held = VecDeque::new();
        while attack.goes_on() {
            let Ok(mut stream) = proxy() else { continue };
            let head = "POST http://origin.example/open/a HTTP/1.1\r\nHost: origin.example\r\n\
                        Content-Length: 1000000000\r\n\r\n";
            if stream.write_all(head.as_bytes()).is_ok() {
                held.push_back(stream);
                attack.blow();
            }
            if held.len() > 100 {
                held.pop_front();
            }
        }
    });
}

/// Opens HTTP/2 connections and sends frames until each is closed.
fn flood(
    dialler: &Dialler,
    attack: &Attack,
    settings: &[u8],
    mut frames: impl FnMut(u32) -> Vec<u8>,
) {
    while attack.goes_on() {
        let Ok(mut client) = dialler.try_dial(By::Tls, STUCK) else { continue };
        let start = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        if client.write_all(&start).is_err() {
            continue;
        }
        let mut stream = 1;
        while attack.goes_on() && stream < 1 << 30 && send(&mut client, &frames(stream)) {
            stream += 2;
            attack.blow();
        }
        attack.blow();
    }
}

fn send(client: &mut Client, bytes: &[u8]) -> bool {
    client.write_all(bytes).and_then(|()| client.flush()).is_ok()
}

fn request(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &usual("GET", "https"))
}

#[test]
fn rapid_resets() {
    under("hostile::rapid_resets", 2_000, |dialler, attack| {
        flood(dialler, attack, &[], |stream| {
            [request(stream, END_STREAM), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
        });
    });
}

#[test]
fn continuations_without_end() {
    under("hostile::continuations_without_end", 500, |dialler, attack| {
        let fields = field(b"x-flood", &[b'a'; 1000]).repeat(15);
        flood(dialler, attack, &[], |stream| match stream {
            1 => frame(HEADERS, 0, 1, &usual("GET", "https")),
            _ => frame(CONTINUATION, 0, 1, &fields),
        });
    });
}

#[test]
fn empty_continuations() {
    under("hostile::empty_continuations", 500, |dialler, attack| {
        flood(dialler, attack, &[], |stream| match stream {
            1 => frame(HEADERS, 0, 1, &usual("GET", "https")),
            _ => frame(CONTINUATION, 0, 1, &[]).repeat(100),
        });
    });
}

#[test]
fn settings_and_pings() {
    under("hostile::settings_and_pings", 1_000, |dialler, attack| {
        let both = [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[7; 8])].concat().repeat(100);
        flood(dialler, attack, &[], |_| both.clone());
    });
}

#[test]
fn windows_of_nothing() {
    under("hostile::windows_of_nothing", 2_000, |dialler, attack| {
        // SETTINGS_INITIAL_WINDOW_SIZE of zero: no response may be sent.
        flood(dialler, attack, &[0, 4, 0, 0, 0, 0], |stream| request(stream, END_STREAM));
    });
}

#[test]
fn compression_bombs() {
    under("hostile::compression_bombs", 200, |dialler, attack| {
        // A table as large as we like, and a field in it that is named ten thousand times.
        flood(dialler, attack, &[0, 1, 0x7f, 0xff, 0xff, 0xff], |stream| {
            let mut block = usual("GET", "https");
            let mut large = field(b"x-bomb", &[b'a'; 3500]);
            large[0] = 0x40;
            block.extend(large);
            block.extend([0xbe; 10_000]);
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
        });
    });
}

#[test]
fn answers_that_nobody_reads() {
    under("hostile::answers_that_nobody_reads", 20_000, |dialler, attack| {
        let mut held: Vec<Client> = vec![];
        while attack.goes_on() {
            let Ok(mut client) = dialler.try_dial(By::Captured, STUCK) else { continue };
            let one = b"GET /open/a HTTP/1.1\r\nHost: origin.example\r\n\r\n".repeat(100);
            while attack.goes_on() && client.write_all(&one).is_ok() && client.flush().is_ok() {
                (0..100).for_each(|_| attack.blow());
            }
            held.push(client);
        }
        for client in &mut held {
            let _ = client.read(&mut [0]);
        }
    });
}

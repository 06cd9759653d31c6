//! The load of the network benchmark: `bench-client MODE ADDRESS COUNT CONCURRENCY`, where MODE is `direct`, `proxy` or
//! `stream-direct`, `stream-proxy`, `decide`. Prints one JSON array: microseconds of connections, seconds of a stream,
//! nanoseconds of decisions by a policy of COUNT endpoints.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use navigator_policy::{Caller, CompiledPolicy, Decision, Destination, Host};

/// The proxy as a sandbox sees it.
const PROXY: &str = "10.200.0.1:3128";
/// Nothing here waits longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a stream.
const STREAM: usize = 1 << 30;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address, count, concurrency] = args.as_slice() else {
        return Err(std::io::Error::other("usage: bench-client MODE ADDRESS COUNT CONCURRENCY"));
    };
    let number = |text: &str| text.parse::<usize>().map_err(std::io::Error::other);
    let (count, concurrency) = (number(count)?, number(concurrency)?);
    if mode.starts_with("stream") {
        println!("[{}]", stream(mode == "stream-proxy", address)?);
        return Ok(());
    }
    if mode == "decide" {
        println!("{:?}", decisions(count)?);
        return Ok(());
    }
    let proxy = mode == "proxy";
    let start = Instant::now();
    let mut samples: Vec<u128> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..concurrency)
            .map(|_| scope.spawn(move || work(proxy, address, count / concurrency)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| std::io::Error::other("panic"))?)
            .collect::<std::io::Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    // The last number is the time of all together.
    samples.push(start.elapsed().as_micros());
    let text: Vec<String> = samples.iter().map(ToString::to_string).collect();
    println!("[{}]", text.join(","));
    Ok(())
}

fn work(proxy: bool, address: &str, count: usize) -> std::io::Result<Vec<u128>> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            let stream = connect(proxy, address)?;
            let time = start.elapsed().as_micros();
            drop(stream);
            Ok(time)
        })
        .collect()
}

/// A connection that is ready to carry bytes.
fn connect(proxy: bool, address: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(if proxy { PROXY } else { address })?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if proxy {
        let request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer)?;
        if !answer[..length].starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(
                String::from_utf8_lossy(&answer[..length]).into_owned(),
            ));
        }
    }
    Ok(stream)
}

/// Seconds until a sink has read everything and closed.
fn stream(proxy: bool, address: &str) -> std::io::Result<f64> {
    let mut stream = connect(proxy, address)?;
    let chunk = vec![7; 1 << 18];
    let start = Instant::now();
    for _ in 0..STREAM / chunk.len() {
        stream.write_all(&chunk)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0];
    if stream.read(&mut rest)? != 0 {
        return Err(std::io::Error::other("the sink said something"));
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Nanoseconds of a decision, each the mean of a batch: one alone is shorter than the clock can see.
fn decisions(size: usize) -> std::io::Result<Vec<u128>> {
    const BATCH: u128 = 10_000;
    const SAMPLES: usize = 200;
    let mut text = String::from("version: 1\nnetwork_policies:\n  p:\n    endpoints:\n");
    for number in 0..size {
        text.push_str(&format!("      - {{ host: host{number}.example.com, port: 443 }}\n"));
    }
    text.push_str("    binaries: [{ path: /usr/bin/curl }]\n");
    let policy = navigator_policy::load("bench", &text).map_err(std::io::Error::other)?.policy;
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let host =
        Host::parse(&format!("host{}.example.com", size / 2)).map_err(std::io::Error::other)?;
    let to = Destination { host: &host, port: 443 };
    let caller = Caller { executable: "/usr/bin/curl", ancestors: &["/bin/sh"], scripts: &[] };
    let mut samples = vec![];
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..BATCH {
            match black_box(&compiled).decide(black_box(&caller), black_box(&to)) {
                Decision::Tunnel(grant) => {
                    black_box(grant);
                }
                other => return Err(std::io::Error::other(format!("{other:?}"))),
            }
        }
        samples.push(start.elapsed().as_nanos() / BATCH);
    }
    Ok(samples)
}

use crate::sandbox::{Sandbox, allowing, echo, in_namespaces, origin};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;
#[test]
fn perf() {
    in_namespaces("zz_perf::perf", || {
        origin("203.0.113.7:443", echo);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let n = 2000;
        let mut direct = vec![];
        for _ in 0..n {
            let t = Instant::now();
            let mut s = TcpStream::connect("203.0.113.7:443").unwrap();
            s.write_all(b"x").unwrap();
            let mut b = [0u8; 1];
            s.read_exact(&mut b).unwrap();
            direct.push(t.elapsed().as_nanos());
        }
        let via = sandbox.inside(move || {
            let mut v = vec![];
            for _ in 0..n {
                let t = Instant::now();
                let mut s = TcpStream::connect("10.200.0.1:3128").unwrap();
                s.set_nodelay(true).unwrap();
                s.write_all(
                    b"CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example:443\r\n\r\n",
                )
                .unwrap();
                let mut b = [0u8; 19];
                s.read_exact(&mut b).unwrap();
                s.write_all(b"x").unwrap();
                s.read_exact(&mut b[..1]).unwrap();
                v.push(t.elapsed().as_nanos());
            }
            v
        });
        let total: u128 = via.iter().sum();
        let med = |mut v: Vec<u128>| {
            v.sort();
            (v[v.len() / 2] / 1000, v[v.len() * 99 / 100] / 1000)
        };
        let s = format!(
            "direct p50/p99 {:?} us, via {:?} us, rate {}\n",
            med(direct),
            med(via),
            n as u128 * 1_000_000_000 / total
        );
        std::fs::write("/tmp/egress-perf.txt", s).unwrap();
        if std::env::var_os("STRACE_WAIT").is_some() {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    });
}

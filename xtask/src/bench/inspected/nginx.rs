//! nginx as a plain reverse proxy in front of the origin: one worker, kept connections, no log.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::{ORIGIN, PEER};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running nginx; ends with this value.
pub struct Nginx {
    process: Child,
    certificate: String,
}

impl Nginx {
    /// Starts it with its files in `dir`, and waits until it listens.
    pub fn start(dir: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([PEER.0.to_owned()])?;
        std::fs::write(dir.join("nginx.pem"), cert.pem())?;
        std::fs::write(dir.join("nginx.key"), signing_key.serialize_pem())?;
        let file = dir.join("nginx.conf");
        std::fs::write(&file, configuration(dir))?;
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.join("nginx.err")).arg("-c").arg(file).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).spawn().context("failed to start nginx")?;
        let mut nginx = Self { process, certificate: cert.pem() };
        let start = Instant::now();
        while TcpStream::connect((PEER.1, 443)).is_err() {
            let ended = nginx.process.try_wait()?;
            ensure!(ended.is_none() && start.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(nginx)
    }

    /// What a client must trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path {dir}/{what};\n"))
        .collect();
    let upstream = |name: &str, port: u16| {
        format!(
            "  upstream {name} {{ server {}:{port}; keepalive 64; keepalive_requests 100000000; }}\n",
            ORIGIN.1
        )
    };
    let server = |listen: &str, to: &str| {
        format!(
            "  server {{ listen {}:{listen}; location / {{ proxy_pass {to}; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_set_header Host {}; }} }}\n",
            PEER.1, ORIGIN.0
        )
    };
    // With a master process there would be a worker that outlives it when it is killed.
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n{temporary}\
         \x20 ssl_certificate {dir}/nginx.pem;\n  ssl_certificate_key {dir}/nginx.key;\n{}{}{}{}}}\n",
        upstream("plain", 80),
        upstream("secured", 443),
        server("80", "http://plain"),
        server("443 ssl", "https://secured"),
    )
}

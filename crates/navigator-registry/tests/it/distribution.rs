//! Docker's own registry on loopback, with its storage in a directory of its own. Filled with curl.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::authority::Authority;
use crate::image::Image;
use navigator_registry::Digest;

/// As Debian calls it.
const PROGRAM: &str = "docker-registry";
/// `me` and `hunter2`, as `htpasswd -nbB` has them.
const HTPASSWD: &str = "me:$2y$05$lpQ5qd.u0qZ1QLTCjc/F.ufdVvZq8oJ4pZtH.Ox8uajKzxX6QMf6W\n";

/// Who is let in.
pub enum Access<'a> {
    Open,
    /// `me` with `hunter2`.
    Password,
    /// Who trusts this authority.
    Tls(&'a Authority),
}

/// A registry that runs; it ends with this.
pub struct Registry {
    program: Child,
    directory: TempDir,
    authority: String,
    curl: Vec<String>,
    scheme: &'static str,
}

impl Registry {
    /// Starts one. Where it is not installed, says so and gives `None`; `cargo xtask test` installs it.
    pub fn start(access: Access<'_>) -> Option<Registry> {
        if Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: there is no `{PROGRAM}`; install the package of that name");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let configuration = configure(&access, directory.path());
        // When the test is killed, so is its registry.
        let mut program = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PROGRAM, "serve"])
            .arg(configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let authority = listening(&mut program);
        let (scheme, curl) = match access {
            Access::Open => ("http", vec![]),
            Access::Password => ("http", vec!["--user".into(), "me:hunter2".into()]),
            Access::Tls(trusted) => {
                ("https", vec!["--cacert".into(), trusted.ca.to_str().unwrap().into()])
            }
        };
        Some(Registry { program, directory, authority, curl, scheme })
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Uploads layers and configuration.
    pub fn push(&self, repository: &str, image: &Image) {
        for blob in image.layers.iter().chain([&image.config]) {
            let url =
                format!("{}://{}/v2/{repository}/blobs/uploads/", self.scheme, self.authority);
            let head = self.curl(&["-X", "POST", "-D", "-", "-o", "/dev/null", &url]);
            let location = head
                .lines()
                .find_map(|line| line.strip_prefix("Location: "))
                .expect("the registry says where to upload");
            let digest = Digest::sha256(blob);
            self.upload(blob, "application/octet-stream", &format!("{location}&digest={digest}"));
        }
    }

    /// Uploads a manifest or an index.
    pub fn put(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) {
        let place = format!("{}://{}/v2/{repository}", self.scheme, self.authority);
        self.upload(bytes, media_type, &format!("{place}/manifests/{reference}"));
    }

    fn upload(&self, bytes: &[u8], media_type: &str, url: &str) {
        let file = self.directory.path().join("upload");
        std::fs::write(&file, bytes).unwrap();
        let (kind, data) = (format!("Content-Type: {media_type}"), format!("@{}", file.display()));
        self.curl(&["-X", "PUT", "-H", &kind, "--data-binary", &data, url]);
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-q", "--http1.1", "-sS", "--fail", "--noproxy", "*"])
            .args(&self.curl)
            .args(arguments);
        let ended = curl.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap().replace('\r', "")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

fn configure(access: &Access<'_>, directory: &Path) -> PathBuf {
    let mut text = format!(
        "version: 0.1\nlog:\n  formatter: json\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: 127.0.0.1:0\n",
        directory.join("storage").display()
    );
    match access {
        Access::Open => {}
        Access::Password => {
            let file = directory.join("htpasswd");
            std::fs::write(&file, HTPASSWD).unwrap();
            text += &format!("auth:\n  htpasswd:\n    realm: it\n    path: {}\n", file.display());
        }
        Access::Tls(authority) => {
            text += &format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                authority.certificate.display(),
                authority.key.display()
            );
        }
    }
    let path = directory.join("config.yml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Waits until it says where it listens, and takes what it says after that out of its way.
fn listening(program: &mut Child) -> String {
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let address = loop {
        let Some(line) = lines.next() else { panic!("the registry ended: {said}") };
        let line = line.unwrap();
        let address = line.split_once("listening on ").map(|(_, rest)| rest);
        if let Some(address) = address {
            let end = address.find([',', '"', ' ']).unwrap_or(address.len());
            break address[..end].to_owned();
        }
        said += &line;
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

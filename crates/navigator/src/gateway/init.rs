//! `navigator gateway init`: certificates for remote clients, made, added to and renewed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use navigator_client::Places;
use navigator_gateway::certificates::{
    self, CertificateError, Expiry, Purpose, UserName, UserNameError,
};

use crate::output;
use crate::sandbox::error::SandboxError;

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator gateway init gateway.example --client ana --client ben
  navigator gateway init --client cleo      # one more user
  navigator gateway init --renew            # new certificates for all, from the same authority

A gateway that listens takes new files at once; nothing has to be restarted. To shut somebody out, write the SHA-256
fingerprint or the serial number of their certificate into the file `revoked` beside the others.";

/// Arguments of `navigator gateway init`.
#[derive(clap::Args, Debug)]
pub struct InitArgs {
    /// Names and addresses by which clients reach the gateway; this machine's own are always added
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Make a certificate for a user
    #[arg(long, value_name = "USER", value_parser = user)]
    client: Vec<UserName>,
    /// Renew the server's and every user's certificate
    #[arg(long, conflicts_with_all = ["names", "client"])]
    renew: bool,
    /// Keep them in this directory [default: tls in the configuration directory]
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
}

fn user(text: &str) -> Result<UserName, UserNameError> {
    UserName::parse(text)
}

/// Makes what is missing, and says what there is.
pub fn run(places: &Places, args: &InitArgs) -> Result<u8, SandboxError> {
    let dir = args.tls_dir.clone().unwrap_or_else(|| places.config.join("tls"));
    if args.renew {
        let renewable = certificates::expiries(&dir)?.into_iter().map(|expiry| expiry.purpose);
        for purpose in renewable.filter(|purpose| *purpose != Purpose::Authority) {
            certificates::renew(&dir, &purpose)?;
        }
    } else {
        certificates::init(&dir, &args.names)?;
        for name in &args.client {
            certificates::issue_client(&dir, name)?;
        }
    }
    output::print(&listing(&dir, &certificates::expiries(&dir)?))?;
    Ok(0)
}

fn listing(dir: &Path, expiries: &[Expiry]) -> String {
    let file = |purpose: &Purpose| match purpose {
        Purpose::Authority => "ca.pem".to_owned(),
        Purpose::Server => "server.pem".to_owned(),
        Purpose::Client(name) => format!("clients/{name}.pem"),
    };
    let line = |expiry: &Expiry| {
        let path = dir.join(file(&expiry.purpose));
        output::line(&format!("{}  good until {}", path.display(), expiry.not_after))
    };
    let lines: Vec<_> = expiries.iter().map(line).collect();
    format!(
        "{}\n\nServe with `navigator gateway run --listen ADDRESS:PORT`. A user needs ca.pem and their own file:\n  \
         navigator gateway add NAME https://HOST:PORT --ca ca.pem --cert USER.pem --key USER.pem --use",
        lines.join("\n")
    )
}

/// How soon an end is worth a warning, in seconds: time enough to renew without hurry.
const SOON: i64 = 21 * 24 * 3600;

/// A line for each certificate of this machine's gateway, and whether it is fine; none where there are no certificates.
pub fn health(places: &Places) -> Vec<(bool, String)> {
    let dir = places.config.join("tls");
    match certificates::expiries(&dir) {
        Ok(expiries) => expiries.iter().map(judged).collect(),
        Err(CertificateError::File { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            vec![]
        }
        Err(error) => vec![(false, error.to_string())],
    }
}

fn judged(expiry: &Expiry) -> (bool, String) {
    let left = expiry.not_after.as_second() - Timestamp::now().as_second();
    let whose = match &expiry.purpose {
        Purpose::Authority => "the gateway's authority".to_owned(),
        Purpose::Server => "the gateway's certificate".to_owned(),
        Purpose::Client(name) => format!("the certificate of {name}"),
    };
    let verb = if left < 0 { "ended" } else { "ends" };
    (left > SOON, format!("{whose} {verb} at {}", expiry.not_after))
}

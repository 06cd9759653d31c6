//! The list of certificates that are refused although they were signed: one a line, by serial number or SHA-256
//! fingerprint in hexadecimal, as `openssl x509 -noout -serial -fingerprint -sha256` prints them.

use std::collections::BTreeSet;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{CertificateError, files, invalid};

/// Digits of a fingerprint.
const FINGERPRINT_DIGITS: usize = 64;
/// Most digits of a serial number: 20 bytes (RFC 5280 section 4.1.2.2).
const SERIAL_DIGITS: usize = 40;

/// What is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked(BTreeSet<String>);

impl Revoked {
    /// Reads a list; one that is missing is empty. What can be read of a list with a mistake is told with it.
    pub(super) fn load(path: &Path) -> Result<Self, (Self, CertificateError)> {
        let there = files::is_there(path).map_err(|error| (Self::default(), error))?;
        if !there {
            return Ok(Self::default());
        }
        let text = files::read(path).map_err(|error| (Self::default(), error))?;
        let (mut all, mut wrong) = (BTreeSet::new(), None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            match entry(line) {
                Some(entry) => drop(all.insert(entry)),
                None if line.is_empty() => {}
                None => drop(wrong.get_or_insert(number)),
            }
        }
        let reason = |line: i32| {
            format!(
                "line {line} is neither a serial number nor a SHA-256 fingerprint in hexadecimal"
            )
        };
        match wrong {
            None => Ok(Self(all)),
            Some(line) => Err((Self(all), invalid(path, reason(line)))),
        }
    }

    /// This list and another one.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// Whether a certificate is refused; one that cannot be read is.
    pub(super) fn has(&self, der: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return true };
        self.0.contains(&fingerprint(der)) || self.0.contains(&serial(certificate.raw_serial()))
    }
}

/// The fingerprint of a certificate.
fn fingerprint(der: &[u8]) -> String {
    hexadecimal(&Sha256::digest(der))
}

fn serial(bytes: &[u8]) -> String {
    hexadecimal(bytes).trim_start_matches('0').to_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line: what stands before `=` is the name that openssl prints.
fn entry(line: &str) -> Option<String> {
    let value = line.rsplit('=').next()?;
    let digits: String = value.chars().filter(|c| *c != ':').collect::<String>().to_lowercase();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match digits.len() {
        FINGERPRINT_DIGITS => Some(digits),
        1..=SERIAL_DIGITS => Some(digits.trim_start_matches('0').to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_openssl_prints_them_are_understood() {
        assert_eq!(entry("serial=0A1B").unwrap(), "a1b");
        assert_eq!(entry("0a:1b").unwrap(), "a1b");
        let print = "AB:".repeat(31) + "CD";
        assert_eq!(entry(&format!("sha256 Fingerprint={print}")).unwrap(), "ab".repeat(31) + "cd");
        for wrong in ["", "serial=", "xyz", &"a".repeat(41), &"a".repeat(65)] {
            assert_eq!(entry(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_with_a_mistake_still_refuses_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked");
        assert_eq!(Revoked::load(&path).unwrap(), Revoked::default());
        std::fs::write(&path, "# lost\n0a # alice\n\nnonsense\n0b\n").unwrap();
        let (read, error) = Revoked::load(&path).unwrap_err();
        assert_eq!(read.0, ["a".to_owned(), "b".to_owned()].into());
        assert!(error.to_string().contains("line 4"), "{error}");
    }
}

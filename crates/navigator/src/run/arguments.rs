//! The texts on the command line of `navigator run`, parsed into values at the border.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use navigator_supervisor::{Access, Bind, Cpus};

/// A text that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseArgumentError {
    /// A mount.
    #[error(
        "failed to understand the mount `{0}`; write SRC, SRC:DST, SRC:ro or SRC:DST:ro, DST absolute"
    )]
    Mount(String),
    /// A mount of something without a name, such as `..` or `/`.
    #[error("failed to choose where to mount `{0}`; write {0}:/sandbox/NAME")]
    MountName(String),
    /// An environment entry.
    #[error(
        "failed to understand `{0}`; write NAME=VALUE or NAME, where NAME has letters, digits and `_`"
    )]
    Env(String),
    /// An environment variable to pass on that is not set.
    #[error("failed to pass on `{0}`: it is not set here; write {0}=VALUE")]
    EnvUnset(String),
    /// Standard input has one state only.
    #[error("failed to follow changes of standard input; name a file with --policy FILE")]
    WatchInput,
    /// A duration.
    #[error(
        "failed to understand the duration `{0}`; write a number with ms, s, m or h, such as 90s"
    )]
    Duration(String),
    /// A size.
    #[error("failed to understand the size `{0}`; write a number with K, M, G or T, such as 512M")]
    Size(String),
    /// A number of processors.
    #[error("failed to understand `{0}` processors; write a number above 0, such as 1.5")]
    Cpus(String),
    /// A sandbox name.
    #[error("failed to use the name `{0}`; use up to 63 of a-z, 0-9 and `-`, not at the ends")]
    Name(String),
}

/// `SRC[:DST][:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountArg {
    source: String,
    destination: Option<String>,
    access: Access,
}

impl FromStr for MountArg {
    type Err = ParseArgumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseArgumentError::Mount(text.to_owned());
        let (rest, access) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, Access::ReadOnly),
            None => (text.strip_suffix(":rw").unwrap_or(text), Access::ReadWrite),
        };
        let (source, destination) = match rest.split_once(':') {
            Some((source, destination)) => (source, Some(destination.to_owned())),
            None => (rest, None),
        };
        let valid = |path: &str| !path.contains(':') && !path.chars().any(char::is_control);
        if source.is_empty() || !valid(source) {
            return Err(error());
        }
        if destination.as_ref().is_some_and(|path| !path.starts_with('/') || !valid(path)) {
            return Err(error());
        }
        Ok(Self { source: source.to_owned(), destination, access })
    }
}

impl MountArg {
    /// The mount, at `/sandbox/NAME` unless a place was given.
    pub fn bind(&self) -> Result<Bind, ParseArgumentError> {
        let source = PathBuf::from(&self.source);
        let destination = match &self.destination {
            Some(path) => PathBuf::from(path),
            None => {
                // `.` and `..` have a name once they are resolved; what does not exist is reported later.
                let real = source.canonicalize().unwrap_or_else(|_| source.clone());
                let name = real
                    .file_name()
                    .ok_or_else(|| ParseArgumentError::MountName(self.source.clone()))?;
                PathBuf::from("/sandbox").join(name)
            }
        };
        Ok(Bind { source, destination, access: self.access })
    }
}

/// `NAME=VALUE` or `NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvArg {
    name: String,
    value: Option<String>,
}

impl FromStr for EnvArg {
    type Err = ParseArgumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let mut characters = name.chars();
        let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(ParseArgumentError::Env(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl EnvArg {
    /// The variable and its value, taken from this environment when none was given.
    pub fn resolve(&self) -> Result<(String, String), ParseArgumentError> {
        let value = match &self.value {
            Some(value) => value.clone(),
            None => std::env::var(&self.name)
                .map_err(|_| ParseArgumentError::EnvUnset(self.name.clone()))?,
        };
        Ok((self.name.clone(), value))
    }
}

/// Parses `90s`, `1.5m`, `500ms`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, ParseArgumentError> {
    let error = || ParseArgumentError::Duration(text.to_owned());
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let seconds = scaled(text, &units).ok_or_else(error)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(error)
}

/// Parses `512M`, `2GiB`, `1048576`: powers of 1024.
pub fn size(text: &str) -> Result<u64, ParseArgumentError> {
    let error = || ParseArgumentError::Size(text.to_owned());
    let upper = text.trim_end_matches('B').trim_end_matches('i').to_ascii_uppercase();
    let units = [
        ("K", 1024f64),
        ("M", 1024f64.powi(2)),
        ("G", 1024f64.powi(3)),
        ("T", 1024f64.powi(4)),
        ("", 1.0),
    ];
    let bytes = scaled(&upper, &units).ok_or_else(error)?;
    // Above this a float no longer counts single bytes, and no machine has it.
    if (1.0..9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(error()) }
}

/// Parses a number of processors.
pub fn cpus(text: &str) -> Result<Cpus, ParseArgumentError> {
    let error = || ParseArgumentError::Cpus(text.to_owned());
    let number: f64 = text.parse().map_err(|_| error())?;
    Cpus::new(number).map_err(|_| error())
}

/// Parses a sandbox name.
pub fn name(text: &str) -> Result<String, ParseArgumentError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = !text.starts_with('-') && !text.ends_with('-');
    if !text.is_empty() && text.len() <= 63 && edges && text.chars().all(inner) {
        return Ok(text.to_owned());
    }
    Err(ParseArgumentError::Name(text.to_owned()))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| number.parse::<f64>().ok()).flatten().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_four_spellings() {
        let parse = |text: &str| text.parse::<MountArg>().unwrap();
        assert_eq!(parse("/a").access, Access::ReadWrite);
        assert_eq!(
            parse("/a:ro"),
            MountArg { source: "/a".into(), destination: None, access: Access::ReadOnly }
        );
        assert_eq!(parse("a:/b").destination.as_deref(), Some("/b"));
        assert_eq!(parse("a:/b:ro").access, Access::ReadOnly);
    }

    #[test]
    fn mounts_that_mean_nothing_are_refused() {
        for text in ["", ":ro", ":/b", "/a:b", "/a:/b:/c", "/a:/b:xx", "/a\n:/b", "/a:"] {
            assert!(text.parse::<MountArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn environment_names_are_checked() {
        assert!("A_1=x=y".parse::<EnvArg>().is_ok_and(|env| env.value.as_deref() == Some("x=y")));
        for text in ["", "=x", "1A=x", "A B=x", "A-B"] {
            assert!(text.parse::<EnvArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "s", "-1s", "1d", "0", "1e3", "inf", "1..2s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("1024"), Ok(1024));
        for text in ["", "M", "-1M", "0", "1X", "99999999T"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_host_names() {
        assert!(name("agent-1").is_ok());
        for text in ["", "-a", "a-", "A", "a.b", "a/b"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}

//! The gateway's settings: command line over environment over file over defaults, and where each came from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::store::StoreUrl;
use crate::telemetry::LogFormat;

/// What the name of an environment variable starts with; the setting's name in capitals follows.
pub const PREFIX: &str = "NAVIGATOR_GATEWAY_";

/// Every setting: its name in the file, and what it is.
pub const NAMES: [(&str, &str); 10] = [
    ("state_dir", "directory of everything that is kept"),
    ("socket", "path of the unix socket"),
    ("store", "database: a path, or postgres://USER@HOST/NAME"),
    ("listen", "address and port for remote clients, with mutual TLS; off when empty"),
    ("tls_dir", "directory of the certificates"),
    ("log_level", "error, warn, info, debug or trace"),
    ("log_format", "text or json"),
    (
        "otlp_endpoint",
        "collector of traces and metrics, such as http://127.0.0.1:4317; off when empty",
    ),
    ("most_sandboxes", "sandboxes that there may be"),
    ("supervisor", "program that is started for each sandbox; this one when empty"),
];

/// Sandboxes that there may be unless somebody says otherwise: what a large machine takes.
const MOST_SANDBOXES: &str = "2000";

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value means nothing.
    #[error("failed to use {name} from {origin}: {reason}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where it was given.
        origin: String,
        /// What to write instead.
        reason: String,
    },
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not TOML, or not a list of settings.
    #[error("failed to read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// Where things are unless somebody says otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Configuration.
    pub config: PathBuf,
    /// What is kept.
    pub state: PathBuf,
    /// The unix socket.
    pub socket: PathBuf,
}

/// The settings file: its path, and its text if there is one.
pub type SettingsFile<'a> = (&'a Path, Option<&'a str>);

/// A setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Its value, without secrets.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// Settings that are in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of everything that is kept.
    pub state_dir: PathBuf,
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// The database.
    pub store: StoreUrl,
    /// Where remote clients connect, if they may.
    pub listen: Option<SocketAddr>,
    /// Directory of the certificates.
    pub tls_dir: PathBuf,
    /// What is logged.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Collector of traces and metrics.
    pub otlp_endpoint: Option<String>,
    /// Sandboxes that there may be.
    pub most_sandboxes: u32,
    /// Program that is started for each sandbox, if it is not this one.
    pub supervisor: Option<PathBuf>,
    /// All of them as they are shown.
    pub shown: Vec<Shown>,
}

impl Settings {
    /// Reads the settings: `flags` by the setting's name, then the environment, then the file, then defaults.
    ///
    /// # Errors
    /// [`SettingsError`] that names the setting, where it stands, and what to write.
    pub fn new(
        flags: &BTreeMap<&'static str, String>,
        environment: impl Fn(&str) -> Option<String>,
        file: SettingsFile<'_>,
        defaults: &Defaults,
    ) -> Result<Self, SettingsError> {
        let mut layers = Layers { given: given(flags, environment, file)?, shown: vec![] };
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let state_dir = layers.read("state_dir", &text(&defaults.state), absolute)?;
        let database = text(&state_dir.join("gateway.db"));
        let format = |text: &str| match one_of(text, &["text", "json"])?.as_str() {
            "json" => Ok(LogFormat::Json),
            _ => Ok(LogFormat::Text),
        };
        let levels = ["error", "warn", "info", "debug", "trace"];
        let socket = layers.read("socket", &text(&defaults.socket), absolute)?;
        let store = layers.read("store", &database, store_url)?;
        let settings = Self {
            listen: layers.read("listen", "", |text| maybe(text, address))?,
            tls_dir: layers.read("tls_dir", &text(&defaults.config.join("tls")), absolute)?,
            log_level: layers.read("log_level", "info", |text| one_of(text, &levels))?,
            log_format: layers.read("log_format", "text", format)?,
            otlp_endpoint: layers.read("otlp_endpoint", "", |text| maybe(text, web_address))?,
            most_sandboxes: layers.read("most_sandboxes", MOST_SANDBOXES, number)?,
            supervisor: layers.read("supervisor", "", |text| maybe(text, absolute))?,
            state_dir,
            socket,
            store,
            shown: vec![],
        };
        Ok(Self { shown: without_secrets(layers.shown, &settings.store), ..settings })
    }
}

/// A setting's text, and where it came from.
type Value = (String, String);

struct Layers {
    given: BTreeMap<&'static str, Value>,
    shown: Vec<Shown>,
}

impl Layers {
    fn read<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        let default = || (default.to_owned(), "default".to_owned());
        let (value, origin) = self.given.remove(name).unwrap_or_else(default);
        let parsed = parse(&value);
        self.shown.push(Shown { name, value, origin: origin.clone() });
        parsed.map_err(|reason| SettingsError::Value { name, origin, reason })
    }
}

fn given(
    flags: &BTreeMap<&'static str, String>,
    environment: impl Fn(&str) -> Option<String>,
    (path, text): SettingsFile<'_>,
) -> Result<BTreeMap<&'static str, Value>, SettingsError> {
    let mut file = text.map(|text| parse_file(path, text)).transpose()?.unwrap_or_default();
    let mut given = BTreeMap::new();
    for (name, _) in NAMES {
        let variable = format!("{PREFIX}{}", name.to_ascii_uppercase());
        let in_file = file.remove(name).map(|value| (value, path.display().to_string()));
        let in_environment = environment(&variable).map(|value| (value, variable));
        let flag = || format!("--{}", name.replace('_', "-"));
        let on_command_line = flags.get(name).map(|value| (value.clone(), flag()));
        if let Some(value) = on_command_line.or(in_environment).or(in_file) {
            given.insert(name, value);
        }
    }
    match file.into_keys().next() {
        None => Ok(given),
        Some(name) => {
            let known = NAMES.map(|(name, _)| name).join(", ");
            let reason = format!("there is no setting `{name}`; there are {known}");
            Err(SettingsError::File { path: path.to_owned(), reason })
        }
    }
}

fn parse_file(path: &Path, text: &str) -> Result<BTreeMap<String, String>, SettingsError> {
    let failed = |reason: String| SettingsError::File { path: path.to_owned(), reason };
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let value = |(name, value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(number) => Ok((name, number.to_string())),
        toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => Err(failed(format!("`{name}` must be a text or a number"))),
    };
    table.into_iter().map(value).collect()
}

/// The database's password is not shown.
fn without_secrets(mut shown: Vec<Shown>, store: &StoreUrl) -> Vec<Shown> {
    for setting in shown.iter_mut().filter(|setting| setting.name == "store") {
        setting.value = store.to_string();
    }
    shown
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("write an absolute path".into()) }
}

fn store_url(text: &str) -> Result<StoreUrl, String> {
    StoreUrl::parse(text).map_err(|error| error.to_string())
}

fn maybe<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port, such as 0.0.0.0:8443".into())
}

fn web_address(text: &str) -> Result<String, String> {
    let known = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    if known {
        Ok(text.to_owned())
    } else {
        Err("write http://HOST:PORT or https://HOST:PORT".into())
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("write {}", words.join(", ")))
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a number from 1 up".into())
}

#[cfg(test)]
mod tests;

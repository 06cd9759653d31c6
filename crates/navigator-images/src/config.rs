//! The configuration of an image: what it asks for when something runs in it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;

/// Longest environment, in bytes: far from what `execve(2)` takes, with room for the sandbox's own.
const ENVIRONMENT_BYTES: usize = 64 * 1024;

/// A processor as images name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformName(pub &'static str);

impl PlatformName {
    /// The one this program runs on.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }
}

/// What an image asks for. All of it is advice from the image's maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// Variables, in the image's order.
    pub env: Vec<(String, String)>,
    /// The directory to start in; empty when none is named.
    pub working_dir: String,
    /// The user, as text: a name or a number, with an optional group.
    pub user: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What runs before the command's own words.
    pub entrypoint: Vec<String>,
    /// What runs unless something else is asked for.
    pub cmd: Vec<String>,
    /// The processor.
    pub architecture: String,
    /// The system.
    pub os: String,
    /// When it was built, as the image says.
    pub created: Option<String>,
    /// How it was built, step by step.
    pub history: Vec<Step>,
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// A step of an image's build.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Step {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What was done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// What somebody said about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// A configuration that is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not JSON of the expected shape.
    #[error("failed to read the image's configuration")]
    Json(#[source] serde_json::Error),
    /// It names another number of layers than its manifest.
    #[error(
        "failed to read the image's configuration: it has {config} layers, the manifest {manifest}"
    )]
    Layers {
        /// Of the configuration.
        config: usize,
        /// Of the manifest.
        manifest: usize,
    },
    /// Variables that no program can be started with.
    #[error(
        "failed to use the image: its environment has a variable without a name or with a NUL, or is longer than \
         {ENVIRONMENT_BYTES} bytes"
    )]
    Environment,
    /// It is for another machine.
    #[error("failed to use the image: it is for {os}/{architecture}, this machine is linux/{this}")]
    Platform {
        /// The image's system.
        os: String,
        /// The image's processor.
        architecture: String,
        /// This machine's processor.
        this: &'static str,
    },
}

impl ImageConfig {
    /// Reads a configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: Raw = serde_json::from_slice(json).map_err(ConfigError::Json)?;
        let process = raw.config.unwrap_or_default();
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        let env: Vec<_> = process.env.unwrap_or_default().into_iter().map(pair).collect();
        check_environment(&env)?;
        Ok(Self {
            env,
            working_dir: process.working_dir.unwrap_or_default(),
            user: process.user.unwrap_or_default(),
            labels: process.labels.unwrap_or_default(),
            entrypoint: process.entrypoint.unwrap_or_default(),
            cmd: process.cmd.unwrap_or_default(),
            architecture: raw.architecture.unwrap_or_default(),
            os: raw.os.unwrap_or_default(),
            created: raw.created,
            history: raw.history.unwrap_or_default(),
            diff_ids: raw.rootfs.diff_ids,
        })
    }

    /// Checks that it belongs to a manifest with that many layers and to this machine.
    pub(crate) fn check(&self, layers: usize) -> Result<(), ConfigError> {
        if self.diff_ids.len() != layers {
            return Err(ConfigError::Layers { config: self.diff_ids.len(), manifest: layers });
        }
        let this = PlatformName::of_this_machine().0;
        if self.os != "linux" || self.architecture != this {
            let (os, architecture) = (self.os.clone(), self.architecture.clone());
            return Err(ConfigError::Platform { os, architecture, this });
        }
        Ok(())
    }
}

/// Refuses variables with which no program could be started.
fn check_environment(env: &[(String, String)]) -> Result<(), ConfigError> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let broken = |(name, value): &(String, String)| {
        name.is_empty() || name.contains('\0') || value.contains('\0')
    };
    match bytes > ENVIRONMENT_BYTES || env.iter().any(broken) {
        true => Err(ConfigError::Environment),
        false => Ok(()),
    }
}

#[derive(Deserialize)]
struct Raw {
    architecture: Option<String>,
    os: Option<String>,
    created: Option<String>,
    config: Option<Process>,
    rootfs: RootFs,
    history: Option<Vec<Step>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Process {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_what_to_run_and_where() {
        let json = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=b=c","D"],"WorkingDir":"/w","User":"1:2",
            "Labels":{{"k":"v"}},"Entrypoint":null,"Cmd":["sh"]}},
            "rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of(b"")
        );
        let config = ImageConfig::parse(json.as_bytes()).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.env, [pair("A", "b=c"), pair("D", "")]);
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/w", "1:2"));
        assert_eq!((config.entrypoint.len(), config.cmd.len()), (0, 1));
        assert!(matches!(config.check(2), Err(ConfigError::Layers { config: 1, manifest: 2 })));
    }

    #[test]
    fn an_environment_that_nothing_can_be_started_with_is_refused() {
        let long = format!("A={}", "x".repeat(ENVIRONMENT_BYTES));
        for variable in ["A=b\\u0000c", "=x", "", &long] {
            let json = format!(
                r#"{{"os":"linux","config":{{"Env":["{variable}"]}},"rootfs":{{"diff_ids":[]}}}}"#
            );
            let read = ImageConfig::parse(json.as_bytes());
            assert!(matches!(read, Err(ConfigError::Environment)), "{json}");
        }
    }

    #[test]
    fn an_image_for_another_machine_is_not_run() {
        for (os, architecture) in [("windows", "amd64"), ("linux", "s390x"), ("", "")] {
            let json = format!(
                r#"{{"os":"{os}","architecture":"{architecture}","rootfs":{{"diff_ids":[]}}}}"#
            );
            let config = ImageConfig::parse(json.as_bytes()).unwrap();
            assert!(matches!(config.check(0), Err(ConfigError::Platform { .. })), "{json}");
        }
    }
}

//! The platform that an image is wanted for, and which entry of an index fits it best.

use std::fmt;

use serde::Deserialize;

/// Operating system, processor and its variant, in the words of Go that manifests use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The processor, such as `amd64` or `arm64`.
    pub architecture: String,
    /// The generation of the processor, such as `v8`; the oldest that is in use when it is left out.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this machine's processor.
    #[must_use]
    pub fn this_machine() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// How well what is offered fits: higher is better, `None` does not run here.
    pub(crate) fn fit(&self, offered: &Platform) -> Option<u32> {
        let same = self.os == offered.os && self.architecture == offered.architecture;
        let (wanted, offered) = (self.generation()?, offered.generation()?);
        (same && offered <= wanted).then_some(offered)
    }

    fn generation(&self) -> Option<u32> {
        match self.variant.as_deref() {
            None | Some("") => Some(match self.architecture.as_str() {
                "arm64" => 8,
                "arm" => 7,
                _ => 1,
            }),
            Some(variant) => variant.strip_prefix('v')?.parse().ok(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| -> String {
            text.chars().filter(|letter| letter.is_ascii_graphic()).take(32).collect()
        };
        write!(out, "{}/{}", plain(&self.os), plain(&self.architecture))?;
        match &self.variant {
            Some(variant) => write!(out, "/{}", plain(variant)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(architecture: &str, variant: Option<&str>) -> Platform {
        let variant = variant.map(Into::into);
        Platform { os: "linux".into(), architecture: architecture.into(), variant }
    }

    #[test]
    fn the_newest_generation_that_runs_here_fits_best() {
        let wanted = platform("amd64", Some("v3"));
        let fits = |variant| wanted.fit(&platform("amd64", variant));
        assert!(fits(Some("v3")) > fits(Some("v2")));
        assert!(fits(Some("v2")) > fits(None));
        assert_eq!(fits(Some("v4")), None);
        assert_eq!(fits(Some("strange")), None);
    }

    #[test]
    fn an_unnamed_generation_is_the_usual_one() {
        let wanted = platform("arm64", None);
        assert!(wanted.fit(&platform("arm64", Some("v8"))).is_some());
        assert!(wanted.fit(&platform("arm64", None)).is_some());
        assert!(wanted.fit(&platform("arm64", Some("v9"))).is_none());
        assert!(wanted.fit(&platform("amd64", None)).is_none());
        let other = Platform { os: "windows".into(), ..wanted.clone() };
        assert!(wanted.fit(&other).is_none());
    }
}

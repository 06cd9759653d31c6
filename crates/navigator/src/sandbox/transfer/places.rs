//! Places of this machine and of sandboxes, as they are written: `PATH` and `NAME:PATH`.

use std::path::PathBuf;

use crate::sandbox::error::SandboxError;

/// What is said when it is not clear from where to where.
pub const ONE_SIDE: &str =
    "either what is copied or where it goes is in a sandbox: NAME:PATH, and the other one is not";

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Here(PathBuf),
    /// In the sandbox.
    There(String),
}

/// What goes where.
#[derive(Debug, PartialEq, Eq)]
pub struct Places {
    /// The sandbox, unless the one that was used last is meant.
    pub sandbox: Option<String>,
    /// What is copied.
    pub sources: Vec<Place>,
    /// Where to.
    pub target: Place,
}

/// Finds out from where to where: all sources are on one side and the target is on the other.
pub fn direction(sources: &[String], target: &str) -> Result<Places, SandboxError> {
    let sources: Vec<_> = sources.iter().map(|text| parse(text)).collect();
    let target = parse(target);
    let there = |(name, _): &(Option<String>, Place)| name.is_some();
    if sources.iter().any(|source| there(source) == there(&target)) {
        return Err(SandboxError::Usage(ONE_SIDE));
    }
    let names = sources.iter().chain([&target]).filter_map(|(name, _)| name.clone());
    let mut names: Vec<_> = names.collect();
    names.dedup();
    let [name] = names.as_slice() else {
        return Err(SandboxError::Usage("files of one sandbox are copied at a time"));
    };
    let sandbox = (!name.is_empty()).then(|| name.clone());
    let sources = sources.into_iter().map(|(_, place)| place).collect();
    Ok(Places { sandbox, sources, target: target.1 })
}

/// A colon before every slash means a sandbox, whose name may be left out; `./a:b` is a file with a colon.
fn parse(text: &str) -> (Option<String>, Place) {
    match text.split_once(':') {
        Some((name, path)) if !name.contains('/') => {
            (Some(name.to_owned()), Place::There(path.to_owned()))
        }
        _ => (None, Place::Here(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(sources: &[&str], target: &str) -> Result<Places, SandboxError> {
        let sources: Vec<_> = sources.iter().map(|text| (*text).to_owned()).collect();
        direction(&sources, target)
    }

    #[test]
    fn one_side_is_a_sandbox() {
        let up = places(&["a", "./b:c"], "demo:/x").unwrap();
        assert_eq!(up.sandbox.as_deref(), Some("demo"));
        assert_eq!(up.sources, [Place::Here("a".into()), Place::Here("./b:c".into())]);
        assert_eq!(up.target, Place::There("/x".into()));
        let down = places(&[":a:b"], ".").unwrap();
        assert_eq!((down.sandbox, down.sources), (None, vec![Place::There("a:b".into())]));
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        assert!(places(&["a"], "b").is_err());
        assert!(places(&["demo:a"], "demo:b").is_err());
        assert!(places(&["demo:a", "b"], "c").is_err());
        assert!(places(&["a", "demo:b"], "demo:c").is_err());
        assert!(places(&["one:a", "two:b"], "c").is_err());
    }
}

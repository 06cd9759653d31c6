//! What a client may ask for in a sandbox: every part is checked before anything is made.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use navigator_proto::datamodel::v1 as data;
use prost_types::Struct;
use serde_json::Value;

use crate::failure::Failure;
use crate::records::{Mount, Name, Spec, Template};
use crate::wire;

/// Most entries of a map, such as environment or labels.
const ENTRIES: usize = 256;
/// Longest key of a map, in bytes.
const KEY_BYTES: usize = 256;
/// Longest value of a map, in bytes.
const VALUE_BYTES: usize = 32 * 1024;
/// Most providers or mounts.
const LIST: usize = 64;
/// Longest path, as the kernel has it (PATH_MAX).
const PATH_BYTES: usize = 4095;
/// Deepest nesting of free-form parts.
const DEPTH: usize = 16;
/// Largest free-form part, in bytes.
const FREE_BYTES: usize = 64 * 1024;
/// Log levels.
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

fn invalid(message: impl Into<String>) -> Failure {
    Failure::Invalid(message.into())
}

/// Reads a spec without its policy.
pub(crate) fn read(message: data::SandboxSpec) -> Result<Spec, Failure> {
    let log_level = match message.log_level.to_ascii_lowercase().as_str() {
        "" => "info".to_owned(),
        level if LOG_LEVELS.contains(&level) => level.to_owned(),
        _ => return Err(invalid("log_level is error, warn, info, debug or trace")),
    };
    check_environment(&message.environment)?;
    if message.providers.len() > LIST || message.mounts.len() > LIST {
        return Err(invalid("at most 64 providers and 64 mounts"));
    }
    let providers = message.providers.iter().map(|name| Name::parse(name));
    Ok(Spec {
        log_level,
        environment: message.environment,
        template: template(message.template.unwrap_or_default())?,
        providers: providers.collect::<Result<_, _>>()?,
        mounts: message.mounts.iter().map(mount).collect::<Result<_, _>>()?,
    })
}

fn template(message: data::SandboxTemplate) -> Result<Template, Failure> {
    check_environment(&message.environment)?;
    check_map("labels", &message.labels)?;
    check_map("annotations", &message.annotations)?;
    navigator_proto::resources::read(message.resources.as_ref())
        .map_err(|error| invalid(error.to_string()))?;
    if message.image.starts_with('/') && !is_plain_path(&message.image) {
        return Err(invalid(
            "image is empty for this machine's own system, an absolute path of a directory, or the name of an image",
        ));
    }
    for text in [&message.image, &message.runtime_class_name, &message.agent_socket] {
        if text.len() > PATH_BYTES || text.chars().any(char::is_control) {
            return Err(invalid("image, runtime_class_name and agent_socket are short texts"));
        }
    }
    Ok(Template {
        image: message.image,
        runtime_class_name: message.runtime_class_name,
        agent_socket: message.agent_socket,
        labels: message.labels,
        annotations: message.annotations,
        environment: message.environment,
        resources: free("resources", message.resources.as_ref())?,
        pod_template: free("pod_template", message.pod_template.as_ref())?,
        volume_claim_templates: free(
            "volume_claim_templates",
            message.volume_claim_templates.as_ref(),
        )?,
    })
}

fn free(what: &str, message: Option<&Struct>) -> Result<Option<Value>, Failure> {
    let Some(message) = message else { return Ok(None) };
    let json = wire::json(message, DEPTH);
    let json = json.ok_or_else(|| invalid(format!("{what}: nested too deep, or not JSON")))?;
    if json.to_string().len() > FREE_BYTES {
        return Err(invalid(format!("{what}: larger than 64 KiB")));
    }
    Ok(Some(json))
}

/// An absolute path without `..` and control characters.
fn is_plain_path(text: &str) -> bool {
    let path = Path::new(text);
    let plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    path.is_absolute() && plain && text.len() <= PATH_BYTES && !text.chars().any(char::is_control)
}

fn mount(message: &data::Mount) -> Result<Mount, Failure> {
    let path = |text: &str| {
        let words = "a mount has two absolute paths without `..` (path traversal)";
        if is_plain_path(text) { Ok(PathBuf::from(text)) } else { Err(invalid(words)) }
    };
    Ok(Mount {
        source: path(&message.source)?,
        destination: path(&message.destination)?,
        read_only: message.read_only,
    })
}

/// Resolves the parts of this machine that a sandbox asks for, and refuses those that hold what is the gateway's own.
/// What is kept has no links: a sandbox that may write where one leads through could turn it before the next start.
pub(crate) fn resolve_places(mut spec: Spec, own: &[PathBuf]) -> Result<Spec, Failure> {
    let image = Path::new(&spec.template.image);
    if image.is_absolute() {
        if !image.is_dir() {
            return Err(invalid("image is not a directory of this machine"));
        }
        let real = real_place(image, own)?;
        spec.template.image = real.into_os_string().into_string().map_err(|real| {
            invalid(format!("{}: the image's path is no text", Path::new(&real).display()))
        })?;
    }
    for mount in &mut spec.mounts {
        mount.source = real_place(&mount.source, own)?;
    }
    Ok(spec)
}

fn real_place(place: &Path, own: &[PathBuf]) -> Result<PathBuf, Failure> {
    let real = place
        .canonicalize()
        .map_err(|error| Failure::Invalid(format!("{}: {error}", place.display())))?;
    if own.iter().any(|own| own.starts_with(&real) || real.starts_with(own)) {
        return Err(invalid(format!(
            "{}: it holds the gateway's own files; name a directory beside them",
            place.display()
        )));
    }
    Ok(real)
}

/// Refuses names that are no environment names, and what is too much.
pub(crate) fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Failure> {
    check_map("environment", environment)?;
    match environment.keys().find(|name| !is_environment_name(name)) {
        None => Ok(()),
        Some(_) => Err(invalid("environment: a name matches [A-Za-z_][A-Za-z0-9_]*")),
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub(crate) fn is_environment_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic());
    first && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Refuses maps that are too large or hold NUL.
pub(crate) fn check_map(what: &str, map: &BTreeMap<String, String>) -> Result<(), Failure> {
    if map.len() > ENTRIES {
        return Err(invalid(format!("{what}: more than {ENTRIES} entries")));
    }
    for (key, value) in map {
        if key.is_empty() || key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
            return Err(invalid(format!(
                "{what}: a key has 1 to 256 bytes, a value at most 32 KiB"
            )));
        }
        if key.chars().any(char::is_control) || value.contains('\0') {
            return Err(invalid(format!("{what}: control characters in a key, or NUL in a value")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut data::SandboxSpec)) -> String {
        let mut message = data::SandboxSpec::default();
        change(&mut message);
        read(message).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_spec_is_a_plain_sandbox() {
        let spec = read(data::SandboxSpec::default()).unwrap();
        assert_eq!(spec, Spec { log_level: "info".into(), ..Spec::default() });
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let mount = |source: &str, destination: &str| data::Mount {
            source: source.into(),
            destination: destination.into(),
            read_only: false,
        };
        assert!(refused(|spec| spec.log_level = "loud".into()).contains("log_level"));
        for name in ["", "1", "A-B", "A=B", "Ä", "A\n"] {
            let text = refused(|spec| drop(spec.environment.insert(name.into(), String::new())));
            assert!(text.contains("environment"), "{name:?}: {text}");
        }
        let nul = refused(|spec| drop(spec.environment.insert("A".into(), "\0".into())));
        assert!(nul.contains("NUL"), "{nul}");
        let many = (0..=ENTRIES).map(|number| (format!("A{number}"), String::new())).collect();
        assert!(refused(|spec| spec.environment = many).contains("entries"));
        assert!(refused(|spec| spec.providers.push("../x".into())).contains("name"));
        for (source, destination) in
            [("rel", "/x"), ("/x", "rel"), ("/a/../b", "/x"), ("/x", "/a/.."), ("", "")]
        {
            assert!(refused(|spec| spec.mounts.push(mount(source, destination))).contains("mount"));
        }
        assert!(refused(|spec| spec.mounts = vec![mount("/x", "/y"); LIST + 1]).contains("64"));
    }

    #[test]
    fn free_parts_are_bounded() {
        let mut deep = serde_json::json!(1);
        for _ in 0..40 {
            deep = serde_json::json!({ "a": deep });
        }
        let large = serde_json::json!({ "a": "x".repeat(FREE_BYTES) });
        for json in [deep, large] {
            let resources = wire::structure(&json);
            let template = Some(data::SandboxTemplate { resources, ..Default::default() });
            assert!(refused(|spec| spec.template = template).contains("resources"));
        }
    }

    #[test]
    fn a_limit_that_means_nothing_is_refused() {
        for limit in [serde_json::json!({ "memory": "much" }), serde_json::json!({ "gpu": 1 })] {
            let resources = wire::structure(&serde_json::json!({ "limits": limit }));
            let template = Some(data::SandboxTemplate { resources, ..Default::default() });
            assert!(refused(|spec| spec.template = template).contains("failed to limit"));
        }
    }

    #[test]
    fn the_gateways_own_files_cannot_be_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for below in ["state/inside", "other", "state-of-others"] {
            std::fs::create_dir_all(base.join(below)).unwrap();
        }
        std::os::unix::fs::symlink(base.join("state"), base.join("link")).unwrap();
        let own = [base.join("state")];
        let check = |path: &str| {
            let source = base.join(path);
            let mount = Mount { source, destination: "/x".into(), read_only: true };
            resolve_places(Spec { mounts: vec![mount], ..Spec::default() }, &own)
        };
        for path in ["", "state", "state/inside", "link", "missing"] {
            assert!(check(path).is_err(), "{path}");
        }
        for path in ["other", "state-of-others"] {
            assert!(check(path).is_ok(), "{path}");
        }
        let image = base.join("state/inside").to_string_lossy().into_owned();
        let template = Template { image, ..Template::default() };
        assert!(resolve_places(Spec { template, ..Spec::default() }, &own).is_err());
    }

    #[test]
    fn what_is_kept_of_a_mount_leads_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        let mount = Mount { source: base.join("link"), destination: "/x".into(), read_only: true };
        let image = base.join("link").to_string_lossy().into_owned();
        let template = Template { image, ..Template::default() };
        let spec = Spec { mounts: vec![mount], template, ..Spec::default() };
        let kept = resolve_places(spec, &[]).unwrap();
        assert_eq!(kept.mounts[0].source, base.join("real"));
        assert_eq!(Path::new(&kept.template.image), base.join("real"));
    }
}

//! Writes the Rust code of `proto/`, which is committed, so that no other build needs a protobuf compiler.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every file that defines messages, from `proto/`.
const FILES: [&str; 5] = [
    "navigator/sandbox/v1/sandbox.proto",
    "navigator/datamodel/v1/datamodel.proto",
    "navigator/inference/v1/inference.proto",
    "navigator/session/v1/session.proto",
    "navigator/v1/navigator.proto",
];

fn main() -> Result<()> {
    generate(&repository().join("crates/navigator-proto/src/generated"))
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn generate(out: &Path) -> Result<()> {
    let root = repository().join("proto");
    let files = protox::compile(FILES, [&root]).context("failed to compile proto/")?;
    tonic_prost_build::configure()
        .out_dir(out)
        .btree_map(".")
        .emit_rerun_if_changed(false)
        // Values of these fields are secrets, or may be.
        .skip_debug([
            ".navigator.datamodel.v1.Provider",
            ".navigator.datamodel.v1.SandboxSpec",
            ".navigator.datamodel.v1.SandboxTemplate",
            ".navigator.inference.v1.InferenceRouteSpec",
            ".navigator.inference.v1.SandboxResolvedRoute",
            ".navigator.session.v1.Launch",
            ".navigator.session.v1.ProviderEnvironment",
            ".navigator.session.v1.ExecRequest",
            ".navigator.session.v1.FromProcess",
            ".navigator.session.v1.ToProcess",
            ".navigator.v1.CreateSshSessionResponse",
            ".navigator.v1.ExecSandboxRequest",
            ".navigator.v1.ExecInteractiveRequest",
            ".navigator.v1.ExecStart",
            ".navigator.v1.GetSandboxProviderEnvironmentResponse",
            ".navigator.v1.RevokeSshSessionRequest",
            ".navigator.v1.SshSession",
        ])
        .compile_fds(files)
        .context("failed to write the Rust code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_is_what_the_definitions_give() {
        let fresh = tempfile::tempdir().unwrap();
        generate(fresh.path()).unwrap();
        let committed = repository().join("crates/navigator-proto/src/generated");
        let mut files = 0;
        for entry in std::fs::read_dir(fresh.path()).unwrap() {
            let name = entry.unwrap().file_name();
            let read = |dir: &Path| std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
            assert!(
                read(fresh.path()) == read(&committed),
                "{name:?} is out of date; run `cargo xtask codegen`"
            );
            files += 1;
        }
        assert_eq!(files, std::fs::read_dir(&committed).unwrap().count());
    }
}

//! Images as users of the command line see them.

use std::path::Path;
use std::process::{Command, Output};

use crate::{stderr, stdout};

/// An OCI layout with one image of one empty layer, written by hand.
fn layout(dir: &Path) {
    use std::fs::{create_dir_all, write};
    let blobs = dir.join("layout/blobs/sha256");
    create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = sha256(dir, bytes);
        write(blobs.join(&digest), bytes).unwrap();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{digest}","size":{}}}"#,
            bytes.len()
        )
    };
    let layer = blob("layer.v1.tar", &[0; 1024]);
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diff_id = sha256(dir, &[0; 1024]);
    let config = blob(
        "config.v1+json",
        format!(
            r#"{{"architecture":"{architecture}","os":"linux","created":"2020-01-01T00:00:00Z",
            "config":{{"Env":["A=\u001b[31m"],"Cmd":["sh"],"WorkingDir":"/work"}},
            "rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
        )
        .as_bytes(),
    );
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("manifest.v1+json", manifest.as_bytes());
    write(
        dir.join("layout/index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#),
    )
    .unwrap();
}

fn sha256(dir: &Path, bytes: &[u8]) -> String {
    let file = dir.join("hashed");
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new("sha256sum").arg(&file).output().unwrap();
    stdout(&output)[..64].to_owned()
}

fn image(dir: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
    command.current_dir(dir).env("NAVIGATOR_STATE_DIR", dir.join("state"));
    command.arg("image").args(words.split(' ')).output().unwrap()
}

fn ok(dir: &Path, words: &str) -> String {
    let output = image(dir, words);
    assert_eq!(output.status.code(), Some(0), "{words}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn an_image_comes_is_shown_goes_out_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    layout(dir);
    let digest = ok(dir, "import oci:layout --name tools");
    let digits = &digest["sha256:".len()..][..12];
    let listed = ok(dir, "list");
    assert!(listed.contains("tools:latest") && listed.contains(digits), "{listed}");
    ok(dir, "tag tools ghcr.io/x/tools:2");
    assert_eq!(ok(dir, "ls -o name"), "tools:latest\n");
    let shown = ok(dir, &format!("inspect {digits}"));
    assert!(shown.contains("Directory:   /work") && !shown.contains('\x1b'), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&ok(dir, "inspect tools -o json")).unwrap();
    assert_eq!(json["config"]["cmd"], serde_json::json!(["sh"]));
    let exported = ok(dir, "export tools oci:out:t");
    assert_eq!(ok(dir, "export tools docker-archive:out.tar"), exported);
    ok(dir, "import docker-archive:out.tar --name back");
    ok(dir, "rm tools ghcr.io/x/tools:2 back");
    assert_eq!(ok(dir, "list -o json"), "[]\n");
    assert_eq!(ok(dir, "prune --all"), "images: 0, layers: 0, freed: 0 B\n");
}

#[test]
fn errors_over_images_say_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (words, code, next) in [
        ("inspect nothing", 1, "navigator image list"),
        ("import ./somewhere", 2, "docker-archive:FILE"),
        ("import oci:nowhere", 1, "check that it is there"),
        ("import oci:nowhere --name A", 2, "write a name"),
        ("export nothing dir:x", 2, "oci:DIR"),
        ("rm nothing", 1, "navigator image list"),
    ] {
        let output = image(dir, words);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words}: {text}");
        assert!(text.contains("next: ") && text.contains(next), "{words}: {text}");
    }
}

/// Runs a command and kills it after a while, if it has not ended by then.
fn killed(dir: &Path, words: &str, micros: u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_navigator"))
        .current_dir(dir)
        .env("NAVIGATOR_STATE_DIR", dir.join("state"))
        .arg("image")
        .args(words.split(' '))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_micros(micros));
    // It may have ended by itself.
    let _gone = child.kill();
    child.wait().unwrap();
}

fn nothing_is_left(dir: &Path) {
    for name in ["images", "layers", "live", "tmp"] {
        let left = dir.join("state/images").join(name).read_dir().unwrap().count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn an_import_that_is_killed_leaves_nothing_that_the_next_one_does_not_remove() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    layout(dir);
    // From a kill before anything was done to one after all was done.
    for micros in (0..60).map(|step| step * 400) {
        killed(dir, "import oci:layout --name tools", micros);
        // Whole and not named yet is a state like another.
        if let Some(name) = ok(dir, "list -o name").lines().next() {
            ok(dir, &format!("inspect {name}"));
            ok(dir, &format!("rm {name}"));
        }
    }
    ok(dir, "prune");
    nothing_is_left(dir);
}

#[test]
fn a_removal_that_is_killed_leaves_whole_images_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    layout(dir);
    for micros in (0..40).map(|step| step * 400) {
        ok(dir, "import oci:layout --name tools");
        killed(dir, "rm tools", micros);
        for name in ok(dir, "list -o name").lines() {
            ok(dir, &format!("inspect {name}"));
        }
    }
    ok(dir, "prune --all");
    nothing_is_left(dir);
}

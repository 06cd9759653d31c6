//! Images that go to other tools and come back from them.

use std::path::Path;
use std::process::Command;

use navigator_images::{Quiet, Source, Store, Target};

use crate::making::{Tar, image};
use crate::trees::tree;

/// Runs a tool with its files in a directory of the test's own; its absence is said.
fn tool(dir: &Path, name: &str, args: &[&str]) -> Option<()> {
    let mut command = Command::new(name);
    command.args(args).current_dir(dir).env("HOME", dir).env("XDG_RUNTIME_DIR", dir);
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {name} is not installed");
            return None;
        }
        other => other.unwrap(),
    };
    assert!(
        output.status.success(),
        "{name} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(())
}

fn sample() -> Vec<Vec<u8>> {
    let long = format!("long/{}", "n".repeat(90));
    let base = Tar::default()
        .dir("etc")
        .file("etc/motd", b"hello")
        .hardlink("etc/again", "etc/motd")
        .symlink("bin", "usr/bin")
        .file(&long, &[7; 5000]);
    let top = Tar::default().file("etc/.wh.motd", b"").dir("usr").file("usr/.wh..wh..opq", b"");
    vec![base.bytes(), top.bytes()]
}

#[test]
fn images_survive_a_way_through_skopeo_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let made = image(&store, &sample(), Some("tools:1"));
    let trees: Vec<_> = made.layers.iter().map(|layer| tree(&layer.path)).collect();
    for (form, to) in [
        ("oci:out:tools", "oci:back-1:tools"),
        ("docker-archive:out.tar", "docker-archive:back-2.tar:x/y:1"),
        ("docker-archive:more.tar", "oci-archive:back-3.tar:tools"),
    ] {
        let (word, rest) = form.split_once(':').unwrap();
        let target = format!("{word}:{}/{rest}", dir.path().display());
        store.export(&made, &Target::parse(&target).unwrap()).unwrap();
        let args = ["--insecure-policy", "copy", form, to];
        if tool(dir.path(), "skopeo", &args).is_none() {
            return;
        }
        let (word, rest) = to.split_once(':').unwrap();
        let source = Source::parse(&format!("{word}:{}/{rest}", dir.path().display())).unwrap();
        let other = Store::open(&dir.path().join(format!("store-{}", to.replace(['/', ':'], "-"))))
            .unwrap();
        let back = other.import(&source, None, &Quiet).unwrap();
        let came: Vec<_> = back.layers.iter().map(|layer| tree(&layer.path)).collect();
        assert_eq!(came, trees, "{form} {to}");
        assert_eq!((&back.config.env, &back.config.cmd), (&made.config.env, &made.config.cmd));
    }
}

#[test]
fn an_import_is_verified_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let made = image(&store, &sample(), Some("tools:1"));
    let out = dir.path().join("out");
    let text = format!("oci:{}", out.display());
    store.export(&made, &Target::parse(&text).unwrap()).unwrap();
    let source = Source::parse(&text).unwrap();
    for blob in std::fs::read_dir(out.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let whole = std::fs::read(&blob).unwrap();
        let wrong =
            [whole[..whole.len() - 1].to_vec(), [&whole[..], b" "].concat(), flipped(&whole)];
        for (at, wrong) in wrong.into_iter().enumerate() {
            std::fs::write(&blob, wrong).unwrap();
            // A layer that was verified before would not be read again.
            let name = format!("{}-{at}", blob.file_name().unwrap().display());
            let other = Store::open(&dir.path().join(name)).unwrap();
            assert!(other.import(&source, None, &Quiet).is_err(), "{} {at}", blob.display());
            assert_eq!(other.images().unwrap(), []);
        }
        std::fs::write(&blob, whole).unwrap();
    }
    let other = Store::open(&dir.path().join("other")).unwrap();
    other.import(&source, None, &Quiet).unwrap();
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn tags_choose_among_images_and_are_offered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let first = image(&store, &sample()[..1], Some("first:1"));
    let second = image(&store, &sample(), Some("second:1"));
    let at = |tag: &str| format!("oci:{}{tag}", dir.path().join("out").display());
    store.export(&first, &Target::parse(&at(":one")).unwrap()).unwrap();
    store.export(&second, &Target::parse(&at(":two")).unwrap()).unwrap();
    let import = |tag: &str| store.import(&Source::parse(&at(tag)).unwrap(), None, &Quiet);
    assert_eq!(import(":two").unwrap().layers.len(), 2);
    assert_eq!(import(":one").unwrap().layers.len(), 1);
    for wrong in ["", ":three"] {
        let error = import(wrong).unwrap_err().to_string();
        assert!(error.contains("one, two"), "{error}");
    }
}

#[test]
fn a_compressed_archive_is_read_as_the_plain_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let made = image(&store, &sample(), Some("tools:1"));
    let plain = dir.path().join("plain.tar");
    let text = format!("docker-archive:{}", plain.display());
    store.export(&made, &Target::parse(&text).unwrap()).unwrap();
    let packed = dir.path().join("packed.tar.gz");
    let file = std::fs::File::create(&packed).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    std::io::copy(&mut std::fs::File::open(&plain).unwrap(), &mut gzip).unwrap();
    gzip.finish().unwrap();
    let import = |path: &Path| {
        let source = Source::parse(&format!("docker-archive:{}", path.display())).unwrap();
        store.import(&source, None, &Quiet).unwrap()
    };
    let (one, two) = (import(&plain), import(&packed));
    assert_eq!(one.digest, two.digest);
    assert_eq!(two.names[0].familiar(), "tools:1");
}

//! Images from their first byte to their removal.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use navigator_images::{Digest, Reference, Scope, Store, StoreError};

use crate::making::{Tar, add, contents, image};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn base() -> Vec<u8> {
    Tar::default()
        .dir("etc")
        .file("etc/motd", b"hello")
        .hardlink("etc/again", "etc/motd")
        .symlink("bin", "usr/bin")
        .file("/usr/bin/sh", b"#!")
        .bytes()
}

fn upper() -> Vec<u8> {
    Tar::default().file("etc/.wh.motd", b"").dir("usr").file("usr/.wh..wh..opq", b"").bytes()
}

#[test]
fn an_image_has_its_layers_from_top_to_bottom_as_overlayfs_reads_them() {
    let (dir, store) = store();
    let image = image(&store, &[base(), upper()], Some("tools:1"));
    let layers: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(layers, [Digest::of(&upper()), Digest::of(&base())]);
    let (top, bottom) = (&image.layers[0].path, &image.layers[1].path);
    let hidden = std::fs::symlink_metadata(top.join("etc/motd")).unwrap();
    assert!(hidden.file_type().is_char_device() && hidden.rdev() == 0);
    let mut opaque = [0; 8];
    let length = rustix::fs::getxattr(top.join("usr"), "user.overlay.opaque", &mut opaque).unwrap();
    assert_eq!(&opaque[..length], b"y");
    let motd = std::fs::metadata(bottom.join("etc/motd")).unwrap();
    assert_eq!((motd.len(), motd.nlink(), motd.mtime()), (5, 2, 1_600_000_000));
    assert_eq!(std::fs::read_link(bottom.join("bin")).unwrap().to_str(), Some("usr/bin"));
    assert_eq!(std::fs::metadata(bottom.join("usr")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(image.config.env, [("PATH".into(), "/bin".into())]);
    assert_eq!(contents(dir.path()), (2, 0));
}

#[test]
fn images_are_found_by_name_and_digest() {
    let (_dir, store) = store();
    let made = image(&store, &[base()], Some("tools:1"));
    let config = made.config_digest;
    for name in [
        "tools:1",
        "docker.io/library/tools:1",
        &made.digest.to_string(),
        &made.digest.short(),
        &config.short(),
    ] {
        assert_eq!(store.find(name).unwrap(), made, "{name}");
    }
    for name in ["tools", "tools:2", &made.digest.hex()[..5], "../../etc", ""] {
        assert!(matches!(store.find(name), Err(StoreError::NotFound { .. })), "{name}");
    }
    store.tag(&made, &Reference::parse("other").unwrap()).unwrap();
    assert_eq!(store.find("other").unwrap().names.len(), 2);
}

#[test]
fn what_is_held_stays_and_what_is_not_goes() {
    let (dir, store) = store();
    let below = image(&store, &[base()], Some("below"));
    let above = image(&store, &[base(), upper()], Some("above"));
    store.hold(&above, "sandbox-1").unwrap();
    let lease = store.lease(&below).unwrap();
    assert_eq!(store.prune(Scope::Unused).unwrap(), navigator_images::Pruned::default());
    drop(lease);
    assert_eq!(store.prune(Scope::Unused).unwrap().images, 1);
    assert!(above.layers.iter().all(|layer| layer.path.exists()));
    store.remove(&store.find("above").unwrap()).unwrap();
    assert_eq!(contents(dir.path()), (2, 0));
    store.release("sandbox-1").unwrap();
    let pruned = store.prune(Scope::Unnamed).unwrap();
    assert_eq!((pruned.images, pruned.layers), (1, 2));
    assert!(pruned.bytes > 0);
    assert_eq!(contents(dir.path()), (0, 0));
    assert!(matches!(store.hold(&above, "sandbox-2"), Err(StoreError::Gone { .. })));
}

#[test]
fn a_named_image_and_an_image_in_the_making_are_not_pruned() {
    let (dir, store) = store();
    let named = image(&store, &[base()], Some("named"));
    let adding = store.begin().unwrap();
    add(&adding, &upper()).unwrap();
    store.prune(Scope::Unnamed).unwrap();
    assert_eq!(contents(dir.path()).0, 2);
    drop(adding);
    assert_eq!(store.prune(Scope::Unnamed).unwrap().layers, 1);
    assert_eq!(store.find("named").unwrap(), named);
}

#[test]
fn an_image_without_one_of_its_layers_or_with_other_bytes_is_not_added() {
    let (_dir, store) = store();
    let made = image(&store, &[base()], None);
    let (manifest, config) = store.documents(&made).unwrap();
    store.prune(Scope::Unnamed).unwrap();
    let error = store.begin().unwrap().finish(&manifest, &config, None).unwrap_err();
    assert!(matches!(error, StoreError::Layer { .. }), "{error}");
    let adding = store.begin().unwrap();
    add(&adding, &base()).unwrap();
    let error = adding.finish(&manifest, &[&config[..], b" "].concat(), None).unwrap_err();
    assert!(matches!(error, StoreError::Digest { .. }), "{error}");
    assert_eq!(store.images().unwrap(), []);
}

#[test]
fn holders_have_names_that_are_names_of_files() {
    let (_dir, store) = store();
    let made = image(&store, &[base()], None);
    for name in ["", ".", "..", "a/b", "a\0", "../../x", &"a".repeat(200)] {
        assert!(matches!(store.hold(&made, name), Err(StoreError::Holder { .. })), "{name:?}");
    }
}

#[test]
fn a_directory_that_others_can_write_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(Store::open(dir.path()).is_err());
}

#[test]
fn two_who_unpack_the_same_layer_get_one_layer() {
    let (dir, store) = store();
    let layer = Tar::default().file("a", &[1; 100_000]).bytes();
    let added = std::thread::scope(|scope| {
        let add_once = || {
            let adding = store.begin().unwrap();
            add(&adding, &layer).unwrap();
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(add_once)).collect();
        threads.into_iter().map(|thread| thread.join().is_ok()).filter(|done| *done).count()
    });
    assert_eq!(added, 8);
    assert_eq!(contents(dir.path()), (1, 0));
}

#[test]
fn those_who_add_hold_and_prune_at_once_never_lose_what_is_held() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let holder = format!("holder-{worker}");
                for round in 0..20_u8 {
                    let own = Tar::default().file("own", &[worker, round]).bytes();
                    let made = image(store, &[base(), own], Some(&format!("w{worker}")));
                    // Between the two another may have pruned it, which holding says.
                    if store.hold(&made, &holder).is_ok() {
                        store.prune(Scope::Unused).unwrap();
                        assert!(made.layers.iter().all(|layer| layer.path.join(".").exists()));
                        assert!(made.layers[1].path.join("etc/motd").exists());
                    }
                    store.release(&holder).unwrap();
                }
            });
        }
    });
    store.prune(Scope::Unused).unwrap();
    assert_eq!(store.images().unwrap(), []);
}

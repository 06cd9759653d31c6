//! The images of this machine's store that sandboxes are made from.

use std::io;
use std::path::{Path, PathBuf};

use navigator_images::{Change, Image, Reference, Store, StoreError};
use uuid::Uuid;

use super::blocking;
use crate::DriverError;

/// The name of an image with its digest behind it.
pub(super) async fn pinned(store: PathBuf, name: String) -> Result<String, DriverError> {
    let asked = name.clone();
    let found = blocking("look for an image".into(), move || {
        Ok(Store::open(&store).and_then(|store| store.find(&asked)))
    });
    let failed = |source| DriverError::Image { name: name.clone(), source };
    Ok(whole_name(&found.await?.map_err(failed)?))
}

fn whole_name(image: &Image) -> String {
    let digest = image.digest;
    let called = image.names.first().filter(|called| called.digest().is_none());
    called.map_or_else(|| digest.to_string(), |called| format!("{called}@{digest}"))
}

/// Where overlayfs keeps what a sandbox changed; there is nothing before its first start.
fn upper(directory: &Path) -> PathBuf {
    directory.join("changes/upper")
}

/// What a sandbox changed in its image.
pub(super) async fn changes(
    store: PathBuf,
    name: String,
    directory: PathBuf,
) -> Result<Vec<Change>, DriverError> {
    let asked = name.clone();
    let found = blocking("list what a sandbox changed".into(), move || {
        let upper = upper(&directory);
        if !upper.try_exists()? {
            return Ok(Ok(Ok(vec![])));
        }
        let image = Store::open(&store).and_then(|store| store.find(&asked));
        Ok(image.map(|image| navigator_images::changes(&upper, &image.visible_layers())))
    });
    let found = found.await?.map_err(|source| DriverError::Image { name, source })?;
    found.map_err(DriverError::Changes)
}

/// Makes an image of a sandbox.
pub(super) async fn snapshot(
    store: PathBuf,
    name: String,
    directory: PathBuf,
    tag: String,
) -> Result<String, DriverError> {
    let snapshot = Reference::snapshot(&tag).map_err(DriverError::Tag)?;
    let made = blocking("make a snapshot".into(), move || {
        let upper = upper(&directory);
        std::fs::create_dir_all(&upper)?;
        Ok(make(&store, &name, &upper, &snapshot, tag))
    });
    made.await?
}

fn make(
    store: &Path,
    name: &str,
    upper: &Path,
    snapshot: &Reference,
    tag: String,
) -> Result<String, DriverError> {
    let failed = |source| DriverError::Image { name: name.to_owned(), source };
    let store = Store::open(store).map_err(failed)?;
    let parent = store.find(name).map_err(failed)?;
    match store.find(&snapshot.to_string()) {
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(failed(error)),
        Ok(_) => return Err(DriverError::Tagged(tag)),
    }
    let comment = format!("snapshot of a sandbox of {name}");
    let image = store.commit(&parent, upper, Some(snapshot), &comment);
    Ok(whole_name(&image.map_err(DriverError::Snapshot)?))
}

/// Copies what a sandbox changed to the place of another one, which `make` makes.
pub(super) async fn copy(
    from: PathBuf,
    to: PathBuf,
    make: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), DriverError> {
    let copied = blocking("copy what a sandbox changed".into(), move || {
        make()?;
        let (from, to) = (upper(&from), upper(&to));
        if !from.try_exists()? {
            return Ok(Ok(()));
        }
        if let Some(parent) = to.parent() {
            std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
                .create(parent)?;
        }
        Ok(navigator_images::copy_tree(&from, &to).map(drop))
    });
    copied.await?.map_err(DriverError::Copy)
}

/// Keeps an image in the store for a sandbox.
pub(super) async fn hold(store: PathBuf, name: String, id: Uuid) -> Result<(), DriverError> {
    let asked = name.clone();
    let held = blocking(format!("hold the image of sandbox {id}"), move || {
        let hold = |store: Store| store.hold(&store.find(&asked)?, &id.to_string());
        Ok(Store::open(&store).and_then(hold))
    });
    held.await?.map_err(|source| DriverError::Image { name, source })
}

/// Lets go of the image of a sandbox that is no more.
pub(super) async fn release(store: PathBuf, id: Uuid) -> Result<(), DriverError> {
    let released = blocking(format!("release the image of sandbox {id}"), move || {
        // Where there is no store, nobody holds anything.
        if !store.try_exists()? {
            return Ok(Ok(()));
        }
        Ok(Store::open(&store).and_then(|store| store.release(&id.to_string())))
    });
    let failed = |source: StoreError| DriverError::Image { name: id.to_string(), source };
    released.await?.map_err(failed)
}

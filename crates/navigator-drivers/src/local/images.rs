//! The images of this machine's store that sandboxes are made from.

use std::path::PathBuf;

use navigator_images::{Store, StoreError};
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
    let image = found.await?.map_err(failed)?;
    let digest = image.digest;
    let called = image.names.first().filter(|called| called.digest().is_none());
    Ok(called.map_or_else(|| digest.to_string(), |called| format!("{called}@{digest}")))
}

/// Keeps an image in the store for a sandbox.
pub(super) async fn hold(store: PathBuf, name: String, id: Uuid) -> Result<(), DriverError> {
    let asked = name.clone();
    let held = blocking(format!("hold the image of sandbox {id}"), move || {
        // The digest behind a name is what was meant when the sandbox was made.
        let digest = asked.rsplit_once('@').map_or(&*asked, |(_, digest)| digest);
        let hold = |store: Store| store.hold(&store.find(digest)?, &id.to_string());
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

//! Places for connections: clients that open many and say nothing do not keep out the others.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// A bounded number of places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    unsettled: Mutex<Unsettled>,
}

/// Connections that have not said what they want, by age.
#[derive(Debug, Default)]
struct Unsettled {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    lost: CancellationToken,
    _held: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Arc<Places> {
        Arc::new(Places { free: Arc::new(Semaphore::new(count)), unsettled: Mutex::default() })
    }

    /// A place for a connection that was accepted. When all are taken, the oldest connection that has not said
    /// what it wants loses its place; when there is none such, the new one waits.
    pub(crate) async fn take(self: &Arc<Places>) -> io::Result<Place> {
        let held = match self.free.clone().try_acquire_owned() {
            Ok(held) => held,
            Err(_) => {
                self.evict_oldest();
                self.free.clone().acquire_owned().await.map_err(io::Error::other)?
            }
        };
        let lost = CancellationToken::new();
        let mut unsettled = self.unsettled();
        let number = unsettled.next;
        unsettled.next += 1;
        unsettled.by_age.insert(number, lost.clone());
        drop(unsettled);
        Ok(Place { places: self.clone(), number, lost, _held: held })
    }

    fn evict_oldest(&self) {
        if let Some((_, oldest)) = self.unsettled().by_age.pop_first() {
            oldest.cancel();
        }
    }

    fn unsettled(&self) -> MutexGuard<'_, Unsettled> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection has asked for something that it may have, and keeps its place to its end.
    pub(crate) fn settle(&self) {
        self.places.unsettled().by_age.remove(&self.number);
    }

    /// Serves the connection, unless its place is lost before it has settled.
    pub(crate) async fn serve<T>(
        &self,
        serve: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let served = self.lost.run_until_cancelled(serve).await;
        served.unwrap_or_else(|| Err(io::Error::other("a newer connection took its place")))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_oldest_that_said_nothing_makes_room() {
        let places = Places::new(2);
        let settled = places.take().await.unwrap();
        settled.settle();
        let silent = places.take().await.unwrap();
        let silent = tokio::spawn(async move { silent.serve(pending::<io::Result<()>>()).await });
        let newest = places.take().await.unwrap();
        assert!(silent.await.unwrap().is_err());
        assert!(!settled.lost.is_cancelled() && !newest.lost.is_cancelled());
    }

    #[tokio::test]
    async fn when_all_are_in_use_the_next_one_waits() {
        let places = Places::new(1);
        let settled = places.take().await.unwrap();
        settled.settle();
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !settled.lost.is_cancelled());
        drop(settled);
        waiting.await.unwrap().unwrap();
        assert!(places.unsettled().by_age.is_empty());
    }
}

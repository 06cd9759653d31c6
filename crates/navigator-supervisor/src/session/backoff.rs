//! How long to wait before the gateway is dialled again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait: a gateway that restarts is back in about that time.
const FIRST: Duration = Duration::from_millis(50);
/// The longest: a thousand supervisors that wait for one gateway dial it a thousand times a second.
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that double, each shortened by a random part so that many supervisors do not dial at once.
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.0;
        self.0 = (whole * 2).min(LONGEST);
        // A new hasher has new random keys.
        let random = RandomState::new().hash_one(whole) % 1000;
        // Below 1000 by the line above.
        whole / 2 + whole / 2 * random as u32 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_are_never_short() {
        let mut backoff = Backoff::default();
        let mut whole = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST);
        }
        assert_eq!(whole, LONGEST);
    }
}

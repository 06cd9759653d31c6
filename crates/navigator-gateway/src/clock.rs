//! Time for deadlines: it goes on evenly, also while the machine sleeps, whatever is done to its clock.

use std::sync::LazyLock;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::gateway::now;
use crate::records::Millis;

/// When this process first asked: by the machine's clock, and since its boot.
static BEGUN: LazyLock<(Millis, Millis)> = LazyLock::new(|| (now(), since_boot()));

/// What the machine's clock would show if nobody had set it since this process began.
pub(crate) fn steady() -> Millis {
    let (clock, boot) = *BEGUN;
    clock.saturating_add(since_boot() - boot)
}

fn since_boot() -> Millis {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    tv_sec.saturating_mul(1000).saturating_add(tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_machines_clock_and_never_goes_back() {
        let before = now();
        let times: Vec<_> = (0..1000).map(|_| steady()).collect();
        assert!(times.is_sorted());
        assert!(times[0] >= before && times[999] <= now().saturating_add(1));
    }
}

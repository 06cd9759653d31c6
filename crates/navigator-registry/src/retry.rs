//! Whether, and when, a request that failed is made again.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};

use crate::endpoint::Role;
use crate::error::{Again, Failure, told};
use crate::limits::LONGEST_RETRY_AFTER;
use crate::options::Retry;
use crate::progress::{Event, Progress};

/// Attempts at a mirror: something else can be asked, so that patience would only cost time.
const MIRROR_ATTEMPTS: u32 = 2;

/// The attempts at one request.
pub(crate) struct Attempts<'a> {
    retry: Retry,
    made: u32,
    progress: &'a dyn Progress,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(retry: Retry, role: Role, progress: &'a dyn Progress) -> Attempts<'a> {
        let most = match role {
            Role::Mirror => MIRROR_ATTEMPTS,
            Role::Registry => u32::MAX,
        };
        let retry = Retry { attempts: retry.attempts.min(most), ..retry };
        Attempts { retry, made: 0, progress }
    }

    /// Starts to count anew, as much was achieved.
    pub(crate) fn afresh(&mut self) {
        self.made = 0;
    }

    /// Waits before the next attempt, or gives the failure back when there is none.
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some(after) = self.pause(&failure) else { return Err(failure) };
        self.made += 1;
        self.progress.event(Event::Retrying { why: told(&failure), after });
        tokio::time::sleep(after).await;
        Ok(())
    }

    fn pause(&self, failure: &Failure) -> Option<Duration> {
        if self.made + 1 >= self.retry.attempts {
            return None;
        }
        let doubled = self.retry.first_pause.saturating_mul(1 << self.made.min(16));
        let usual = doubled.min(self.retry.longest_pause);
        match failure.again() {
            Again::No => None,
            Again::Yes => Some(usual),
            Again::After(asked) => (asked <= LONGEST_RETRY_AFTER).then(|| asked.max(usual)),
        }
    }
}

/// The pause that an answer asks for: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn seconds(failure: &Failure, made: u32, role: Role) -> Option<f64> {
        let mut attempts = Attempts::new(Retry::default(), role, &Silent);
        attempts.made = made;
        attempts.pause(failure).map(|pause| pause.as_secs_f64())
    }

    #[test]
    fn pauses_grow_and_attempts_end() {
        let failure = Failure::Server(503);
        let of_registry = |made| seconds(&failure, made, Role::Registry);
        assert_eq!([0, 1, 2, 3].map(of_registry), [0.25, 0.5, 1.0, 2.0].map(Some));
        assert_eq!(of_registry(4), None);
        assert_eq!(seconds(&failure, 1, Role::Mirror), None);
        assert_eq!(seconds(&Failure::NotFound, 0, Role::Registry), None);
    }

    #[test]
    fn the_registry_says_how_long_to_wait_within_reason() {
        let limited = |wait| Failure::Limited { wait: Some(Duration::from_secs(wait)) };
        assert_eq!(seconds(&limited(7), 0, Role::Registry), Some(7.0));
        assert_eq!(seconds(&limited(3600), 0, Role::Registry), None);
        let asked =
            |text: &str| asked_for(&[(RETRY_AFTER, text.parse().unwrap())].into_iter().collect());
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
    }
}

//! Moments on the command line: a time, a day, or a duration ago.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// A text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to understand the time `{0}`; write 2026-01-31, 2026-01-31T12:00:00Z, or a duration such as 30m, 2h or 7d"
)]
pub struct MomentError(String);

/// The beginning of a period.
pub fn since(text: &str) -> Result<Timestamp, MomentError> {
    moment(text, Timestamp::now(), civil::time(0, 0, 0, 0))
}

/// The end of a period; a day ends with its last moment.
pub fn until(text: &str) -> Result<Timestamp, MomentError> {
    moment(text, Timestamp::now(), civil::time(23, 59, 59, 999_999_999))
}

fn moment(text: &str, now: Timestamp, time_of_day: civil::Time) -> Result<Timestamp, MomentError> {
    let error = || MomentError(text.to_owned());
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    if let Ok(day) = text.parse::<civil::Date>()
        && text.len() == "2026-01-31".len()
    {
        let moment = day.to_datetime(time_of_day).to_zoned(TimeZone::UTC);
        return moment.map(|moment| moment.timestamp()).map_err(|_| error());
    }
    now.checked_sub(ago(text).ok_or_else(error)?).map_err(|_| error())
}

fn ago(text: &str) -> Option<Duration> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = plain.then(|| number.parse::<u64>().ok()).flatten()?.checked_mul(*factor)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_durations_are_moments() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let at = |text: &str| moment(text, now, civil::time(0, 0, 0, 0)).map(|t| t.to_string());
        assert_eq!(at("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05Z");
        assert_eq!(at("2026-01-02T03:04:05+01:00").unwrap(), "2026-01-02T02:04:05Z");
        assert_eq!(at("2026-01-02").unwrap(), "2026-01-02T00:00:00Z");
        assert_eq!(at("90s").unwrap(), "2026-01-31T11:58:30Z");
        assert_eq!(at("2d").unwrap(), "2026-01-29T12:00:00Z");
        assert!(until("2026-01-02").unwrap() > since("2026-01-02").unwrap());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "d",
            "-1d",
            "1y",
            "2026",
            "2026-13-01",
            "99999999999999999999s",
            "18446744073709551615d",
            "yesterday",
        ] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}

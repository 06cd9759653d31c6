//! One row of the table: figures, and beside them the budget that they met or missed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What was measured.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    figures: Figures,
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
enum Figures {
    Times(Summary),
    One { value: f64, unit: String },
}

/// What a row is there for.
#[derive(Serialize, Deserialize)]
pub enum Kind {
    /// What the same costs without Navigator.
    Floor,
    /// What a user would pick instead.
    Peer,
    /// Navigator, held to these.
    Ours(Vec<Check>),
}

/// One budget and whether it was met.
#[derive(Serialize, Deserialize)]
pub struct Check {
    budget: String,
    met: bool,
}

impl Check {
    /// A time that must not be longer.
    pub fn at_most(what: &str, found: Duration, limit: Duration) -> Self {
        Self { budget: format!("{what} ≤ {}", time(limit)), met: found <= limit }
    }

    /// A figure that must not be lower.
    pub fn at_least(found: f64, limit: f64, unit: &str) -> Self {
        Self { budget: format!("≥ {limit:.2} {unit}").replace(".00", ""), met: found >= limit }
    }

    /// A figure that must not be higher.
    pub fn no_more(found: f64, limit: f64, unit: &str) -> Self {
        Self { budget: format!("≤ {limit:.0} {unit}"), met: found <= limit }
    }
}

impl Row {
    /// A row of times.
    pub fn times(name: impl Into<String>, summary: Summary, kind: Kind) -> Self {
        Self { name: name.into(), figures: Figures::Times(summary), kind }
    }

    /// A row of one figure.
    pub fn one(name: impl Into<String>, value: f64, unit: &str, kind: Kind) -> Self {
        let unit = unit.to_owned();
        Self { name: name.into(), figures: Figures::One { value, unit }, kind }
    }

    /// The heading of [`Self::line`].
    pub fn heading() -> String {
        let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"];
        format!("{:<58} {p50:>9} {p95:>9} {p99:>9} {max:>9}  budget", "row")
    }

    /// The row for people.
    pub fn line(&self) -> String {
        let figures = match &self.figures {
            Figures::Times(row) => [row.p50, row.p95, row.p99, row.max]
                .map(|figure| format!("{:>9}", time(figure)))
                .join(" "),
            Figures::One { value, unit } => format!("{:>39}", format!("{value:.2} {unit}")),
        };
        let judgement = match &self.kind {
            Kind::Floor => "(floor)".to_owned(),
            Kind::Peer => "(peer)".to_owned(),
            Kind::Ours(checks) if checks.is_empty() => "none".to_owned(),
            Kind::Ours(checks) => {
                let words = |check: &Check| {
                    format!("{}: {}", check.budget, if check.met { "met" } else { "MISSED" })
                };
                checks.iter().map(words).collect::<Vec<_>>().join(", ")
            }
        };
        format!("{:<58} {figures}  {judgement}", self.name)
    }

    /// The row for programs.
    pub fn json(&self) -> Value {
        let mut row = match &self.figures {
            Figures::Times(times) => times.json(),
            Figures::One { value, unit } => json!({ "value": value, "unit": unit }),
        };
        row["row"] = self.name.clone().into();
        let (kind, checks) = match &self.kind {
            Kind::Floor => ("floor", &[][..]),
            Kind::Peer => ("peer", &[][..]),
            Kind::Ours(checks) => ("ours", &checks[..]),
        };
        row["kind"] = kind.into();
        let check = |check: &Check| json!({ "budget": check.budget, "met": check.met });
        row["budgets"] = checks.iter().map(check).collect();
        row
    }
}

/// How samples spread.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Summary {
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Summary {
    /// Of at least one sample.
    pub fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }

    fn json(&self) -> Value {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        json!({
            "p50_ns": ns(self.p50), "p95_ns": ns(self.p95), "p99_ns": ns(self.p99),
            "max_ns": ns(self.max),
        })
    }
}

/// A time in the unit that suits it.
fn time(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as f64;
    match nanoseconds {
        small if small < 10_000.0 => format!("{small:.0} ns"),
        middle if middle < 10_000_000.0 => format!("{:.0} µs", middle / 1e3),
        large => format!("{:.1} ms", large / 1e6).replace(".0 ", " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_its_budget_and_whether_it_was_met() {
        let ms = Duration::from_millis;
        let summary = Summary::of(&[ms(20), ms(30), ms(70)]);
        let checks = vec![
            Check::at_most("p50", summary.p50, ms(30)),
            Check::at_most("max", summary.max, ms(60)),
        ];
        let row = Row::times("start", summary, Kind::Ours(checks));
        assert!(row.line().ends_with("p50 ≤ 30 ms: met, max ≤ 60 ms: MISSED"), "{}", row.line());
        assert_eq!(row.json()["budgets"][1]["met"], false);
        let rate = Row::one(
            "rate",
            2_400.0,
            "/s",
            Kind::Ours(vec![Check::at_least(2_400.0, 2_500.0, "/s")]),
        );
        assert!(rate.line().ends_with("2400.00 /s  ≥ 2500 /s: MISSED"), "{}", rate.line());
    }
}

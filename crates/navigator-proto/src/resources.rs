//! Limits as Kubernetes writes them: `limits` with `cpu`, `memory`, `ephemeral-storage`, `pids`.

use prost_types::Struct;
use prost_types::value::Kind;

/// Suffixes of quantities and what they stand for. Source: the documentation of Kubernetes' `Quantity`.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];
/// Above this a float no longer counts single bytes, and no machine has it.
const MOST: f64 = 9e15;

/// Processors that can be asked for: from the least that the kernel counts to more than machines have.
const CPUS: std::ops::RangeInclusive<f64> = 0.01..=1024.0;

/// A limit that cannot be enforced as it is written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is no quantity.
    #[error(
        "failed to limit `{name}`: it must be a quantity above 0 such as \"1.5\", \"500m\" or \"512Mi\""
    )]
    Invalid {
        /// Its name.
        name: String,
    },
    /// Nothing here limits that.
    #[error(
        "failed to limit `{name}`: only cpu, memory, ephemeral-storage and pids can be limited"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
}

/// Limits of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Processor time, in processors.
    pub cpus: Option<f64>,
    /// Memory of everything in it.
    pub memory_bytes: Option<u64>,
    /// What may be written in it.
    pub disk_bytes: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

/// Reads them; what else `resources` holds is for other drivers.
///
/// # Errors
/// [`QuantityError`] when one of them cannot be enforced as it is written.
pub fn read(resources: Option<&Struct>) -> Result<Bounds, QuantityError> {
    let mut bounds = Bounds::default();
    let Some(limits) = resources.and_then(|resources| resources.fields.get("limits")) else {
        return Ok(bounds);
    };
    let Some(Kind::StructValue(limits)) = &limits.kind else {
        return Err(QuantityError::Invalid { name: "limits".into() });
    };
    for (name, value) in &limits.fields {
        let invalid = || QuantityError::Invalid { name: name.clone() };
        let amount = match &value.kind {
            Some(Kind::NumberValue(number)) => Some(*number),
            Some(Kind::StringValue(text)) => quantity(text),
            _ => None,
        };
        let amount =
            amount.filter(|amount| *amount > 0.0 && *amount <= MOST).ok_or_else(invalid)?;
        // In range by the line above; a part of a byte or process is none.
        let whole = (amount >= 1.0).then_some(amount as u64);
        match name.as_str() {
            "cpu" if !CPUS.contains(&amount) => return Err(invalid()),
            "cpu" => bounds.cpus = Some(amount),
            "memory" => bounds.memory_bytes = Some(whole.ok_or_else(invalid)?),
            "ephemeral-storage" => bounds.disk_bytes = Some(whole.ok_or_else(invalid)?),
            "pids" => bounds.processes = Some(whole.ok_or_else(invalid)?),
            _ => return Err(QuantityError::Unknown { name: name.clone() }),
        }
    }
    Ok(bounds)
}

fn quantity(text: &str) -> Option<f64> {
    let exponent = |text: &str| {
        let (number, power) = text.split_once(['e', 'E'])?;
        let power: i32 = power.parse().ok().filter(|power| (-9..=18).contains(power))?;
        Some(decimal(number)? * 10f64.powi(power))
    };
    exponent(text).or_else(|| {
        let found = SUFFIXES.iter().find_map(|(suffix, factor)| {
            Some((text.strip_suffix(suffix).filter(|_| text.len() > suffix.len())?, factor))
        });
        found.and_then(|(number, factor)| Some(decimal(number)? * factor))
    })
}

/// Digits with at most one point; nothing else that a float may be written as.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use prost_types::Value;

    use super::*;

    fn limits(pairs: &[(&str, Kind)]) -> Result<Bounds, QuantityError> {
        let value = |kind: Kind| Value { kind: Some(kind) };
        let fields = pairs.iter().map(|(name, kind)| ((*name).to_owned(), value(kind.clone())));
        let limits = Struct { fields: fields.collect() };
        let fields = [("limits".to_owned(), value(Kind::StructValue(limits)))];
        read(Some(&Struct { fields: fields.into_iter().collect() }))
    }

    fn text(text: &str) -> Kind {
        Kind::StringValue(text.into())
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (written, bytes) in [
            ("512Mi", 512 << 20),
            ("1Gi", 1 << 30),
            ("1G", 1_000_000_000),
            ("64k", 64_000),
            ("1.5Ki", 1536),
            ("1e9", 1_000_000_000),
            ("12000m", 12),
            ("7", 7),
        ] {
            let read = limits(&[("memory", text(written))]).unwrap();
            assert_eq!(read.memory_bytes, Some(bytes), "{written}");
        }
        let all = limits(&[
            ("cpu", text("500m")),
            ("ephemeral-storage", text("1Mi")),
            ("pids", Kind::NumberValue(64.0)),
        ]);
        let all = all.unwrap();
        assert_eq!(all.cpus, Some(0.5));
        assert_eq!((all.disk_bytes, all.processes), (Some(1 << 20), Some(64)));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["", "Mi", "-1Mi", "0", "1 Mi", "1mi", "inf", "NaN", "1e99", "+1", "0.5", "1..2"]
        {
            assert!(limits(&[("memory", text(bad))]).is_err(), "{bad:?}");
        }
        assert!(limits(&[("memory", Kind::BoolValue(true))]).is_err());
        assert!(limits(&[("cpu", text("5000"))]).is_err());
    }

    #[test]
    fn a_limit_that_nothing_enforces_is_refused() {
        let name = "example.com/gpu".to_owned();
        assert_eq!(limits(&[("example.com/gpu", text("1"))]), Err(QuantityError::Unknown { name }));
    }

    #[test]
    fn without_limits_there_are_none() {
        assert_eq!(read(None), Ok(Bounds::default()));
    }
}

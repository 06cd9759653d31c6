//! Conditions: what is known of a sandbox, and since when.

use crate::gateway::now;
use crate::records::Condition;

/// The condition that says whether the sandbox runs and is enforced.
pub(crate) const READY: &str = "Ready";

/// The condition that says whether the sandbox runs and is enforced.
pub(crate) fn ready(status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        kind: READY.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        since: now(),
    }
}

/// Says that programs in the sandbox see secrets.
pub(crate) fn exposed() -> Condition {
    Condition {
        kind: "CredentialsExposed".into(),
        status: "True".into(),
        reason: "RealValues".into(),
        message: "its programs get the real values of its providers' credentials as environment"
            .into(),
        since: now(),
    }
}

/// Puts a condition in the place of the one of its kind; one that says the same stays as old as it is.
pub(crate) fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        None => conditions.push(new),
        Some(old) => {
            if old.status == new.status {
                new.since = old.since;
            }
            *old = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_as_old_as_its_status() {
        let mut all = vec![];
        set(&mut all, Condition { since: 1, ..ready("False", "A", "") });
        set(&mut all, Condition { since: 2, ..ready("False", "B", "") });
        assert_eq!((all[0].since, all[0].reason.as_str(), all.len()), (1, "B", 1));
        set(&mut all, Condition { since: 3, ..ready("True", "C", "") });
        assert_eq!((all[0].since, all.len()), (3, 1));
    }
}

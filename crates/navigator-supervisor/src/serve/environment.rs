//! The environment of the processes that the gateway asks for.

use std::collections::BTreeMap;

/// What is added to the sandbox's own environment; later wins: provider, spec, the process's own.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// From providers; replaced whole when it changes.
    pub(crate) provider: BTreeMap<String, String>,
    /// From the sandbox's spec.
    pub(crate) spec: BTreeMap<String, String>,
}

impl Environment {
    /// The whole environment of one process.
    pub(super) fn of(
        &self,
        sandbox: &BTreeMap<String, String>,
        own: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut whole = sandbox.clone();
        whole.extend(self.provider.clone());
        whole.extend(self.spec.clone());
        whole.extend(own);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_nearest_environment_wins() {
        let sandbox =
            with(&[("A", "sandbox"), ("B", "sandbox"), ("C", "sandbox"), ("D", "sandbox")]);
        let environment = Environment {
            provider: with(&[("A", "provider"), ("B", "provider"), ("C", "provider")]),
            spec: with(&[("A", "spec"), ("B", "spec")]),
        };
        let whole = environment.of(&sandbox, with(&[("A", "own")]));
        assert_eq!(
            whole,
            with(&[("A", "own"), ("B", "spec"), ("C", "provider"), ("D", "sandbox")])
        );
    }
}

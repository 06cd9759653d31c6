//! The words that stand for states in the database.

use super::database::damaged;
use super::error::StoreError;
use crate::records::{Desired, Phase, Severity};

/// A state that is stored as a word.
pub(super) trait Word: Copy + 'static {
    /// Every state.
    const ALL: &'static [Self];

    /// Its word.
    fn word(self) -> &'static str;

    /// The state that a word stands for.
    fn read(word: &str, what: &str) -> Result<Self, StoreError> {
        let mut all = Self::ALL.iter().copied();
        all.find(|state| state.word() == word).ok_or_else(|| damaged(what))
    }
}

impl Word for Desired {
    const ALL: &'static [Self] = &[Self::Running, Self::Stopped, Self::Deleted];

    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

impl Word for Phase {
    const ALL: &'static [Self] = &[
        Self::Provisioning,
        Self::Ready,
        Self::Error,
        Self::Deleting,
        Self::Unknown,
        Self::Stopped,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
            Self::Error => "error",
            Self::Deleting => "deleting",
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
        }
    }
}

impl Word for Severity {
    const ALL: &'static [Self] = &[Self::Normal, Self::Warning];

    fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
        }
    }
}

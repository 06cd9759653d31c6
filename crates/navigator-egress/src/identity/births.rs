//! As which program each process was born.
//!
//! A child has the rights of its parent's program only if that program made it. A parent may have become the allowed
//! program after it forked, so what a child was born as is compared with what its parent is now: a fork runs the same
//! executable with its stack at the same place, and every exec draws another place. It is noted when the child
//! executes its first program, which waits for that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::executable::FileId;
use super::procfs::{Proc, ProcStat};
use crate::limits::MAX_BIRTHS;

/// A program in one process, from one exec to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) file: FileId,
    pub(super) stack: u64,
}

/// The births of processes that have become another program since, by pid and start.
#[derive(Debug, Default)]
pub(super) struct Births(Mutex<HashMap<(u32, u64), Image>>);

impl Births {
    /// Remembers a birth. At the bound, processes that have ended are forgotten; if that is not enough, all are, which
    /// takes rights away and gives none.
    pub(super) fn add(&self, proc: &Proc, stat: &ProcStat, image: Image) {
        let mut births = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if births.len() >= MAX_BIRTHS {
            births.retain(|(pid, started), _| {
                proc.stat(*pid).is_ok_and(|stat| stat.started == *started)
            });
            if births.len() >= MAX_BIRTHS / 2 {
                births.clear();
            }
        }
        births.entry((stat.pid, stat.started)).or_insert(image);
    }

    pub(super) fn of(&self, stat: &ProcStat) -> Option<Image> {
        let births = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        births.get(&(stat.pid, stat.started)).copied()
    }
}

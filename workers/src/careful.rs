//! Which chunks are run carefully.
//!
//! Results are sent in bundles, so when a process becomes unusable it cannot be told which of its last items did that. They run
//! again, in a process that answers each item before it runs the next: then it is the one that is not answered.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many are remembered. When there are more all are forgotten: what is still bad is found again.
const KEYS_MAX: usize = 1024;

/// What the chunks have in common that are run carefully: the keys of their processes.
#[derive(Default)]
pub(crate) struct Careful(Mutex<HashSet<u64>>);

impl Careful {
    /// Has the chunks of processes with this key be run carefully from now on.
    pub(crate) fn insert(&self, key: u64) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(key);
    }

    /// Says whether they are.
    pub(crate) fn has(&self, key: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }
}

//! Leases inside one process.

use super::lock;
use crate::clock::{Clock, RealClock};
use crate::lease::{LeaseError, LeaseStore, Revision};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keys that expire by a clock.
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    last: u64,
    held: HashMap<String, Held>,
}

struct Held {
    revision: Revision,
    value: Bytes,
    ends: Duration,
}

impl fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLeases").finish_non_exhaustive()
    }
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::with_clock(Arc::new(RealClock::start()))
    }
}

impl MemoryLeases {
    /// Makes a store whose leases end by `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, keys: Mutex::default() }
    }
}

impl Keys {
    fn forget_ended(&mut self, now: Duration) {
        self.held.retain(|_, held| held.ends > now);
    }

    fn write(&mut self, key: &str, value: Bytes, ends: Duration) -> Revision {
        self.last += 1;
        let revision = Revision(self.last);
        self.held.insert(key.to_owned(), Held { revision, value, ends });
        revision
    }

    fn check(&self, key: &str, revision: Revision) -> Result<(), LeaseError> {
        match self.held.get(key) {
            Some(held) if held.revision == revision => Ok(()),
            Some(_) | None => Err(LeaseError::Changed { key: key.to_owned() }),
        }
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn create(&self, key: &str, value: Bytes, ttl: Duration) -> Result<Revision, LeaseError> {
        let now = self.clock.now();
        let mut keys = lock(&self.keys);
        keys.forget_ended(now);
        if keys.held.contains_key(key) {
            return Err(LeaseError::Held { key: key.to_owned() });
        }
        Ok(keys.write(key, value, now.saturating_add(ttl)))
    }

    async fn renew(
        &self,
        key: &str,
        revision: Revision,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Revision, LeaseError> {
        let now = self.clock.now();
        let mut keys = lock(&self.keys);
        keys.forget_ended(now);
        keys.check(key, revision)?;
        Ok(keys.write(key, value, now.saturating_add(ttl)))
    }

    async fn release(&self, key: &str, revision: Revision) -> Result<(), LeaseError> {
        let now = self.clock.now();
        let mut keys = lock(&self.keys);
        keys.forget_ended(now);
        keys.check(key, revision)?;
        keys.held.remove(key);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<(Revision, Bytes)>, LeaseError> {
        let now = self.clock.now();
        let keys = lock(&self.keys);
        let held = keys.held.get(key).filter(|held| held.ends > now);
        Ok(held.map(|held| (held.revision, held.value.clone())))
    }
}

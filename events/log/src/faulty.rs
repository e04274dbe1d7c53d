//! A log that misbehaves as networks and servers do, by a seed: for tests of whoever writes to one.
//!
//! It never breaks a promise of [`EventLog`]: whatever it does is what the contract allows to happen.

use crate::event_log::{AppendError, Appended, Cursor, EventLog, Followed, ReadError};
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use skein_model::{Category, Envelope, Head, JournalId, Record, Version};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often each fault happens, in appends of a thousand. What is left over goes well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The record is written, the answer is lost.
    pub lost_acknowledgements: u16,
    /// The record is lost on its way, and so no answer comes.
    pub lost_appends: u16,
    /// The record waits on its way, as long as the delay that was given makes it.
    pub delays: u16,
}

/// What was done to one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Written, but answered with [`AppendError::Unknown`].
    LostAcknowledgement,
    /// Not written, and answered with [`AppendError::Unknown`].
    LostAppend,
    /// Delayed, then written.
    Delay,
}

/// One append and what was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The journal.
    pub journal: JournalId,
    /// The version that the record would get.
    pub version: Version,
    /// What was done.
    pub fault: Fault,
}

/// Makes an append wait; is given the number of the append, from 0. A simulation lets its own time pass here.
pub type Delay = Arc<dyn Fn(u64) -> BoxFuture<'static, ()> + Send + Sync>;

/// A log whose appends meet faults. The same seed and the same order of appends give the same faults.
pub struct FaultyLog<L> {
    inner: L,
    seed: u64,
    faults: Faults,
    delay: Delay,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    steps: Vec<Step>,
}

impl<L> fmt::Debug for FaultyLog<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLog")
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl<L: EventLog> FaultyLog<L> {
    /// Puts faults before `inner`, by `seed`. A delay lets every other task run once.
    pub fn new(inner: L, seed: u64, faults: Faults) -> Self {
        Self::with_delay(inner, seed, faults, Arc::new(|_| Box::pin(tokio::task::yield_now())))
    }

    /// Puts faults before `inner`, by `seed`, with delays made by `delay`.
    pub fn with_delay(inner: L, seed: u64, faults: Faults, delay: Delay) -> Self {
        let state = Mutex::new(State { dice: Dice(seed), steps: Vec::new() });
        Self { inner, seed, faults, delay, state }
    }

    /// Answers the seed, to be printed when a test fails.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Answers what was done so far, in order.
    pub fn steps(&self) -> Vec<Step> {
        self.state().steps.clone()
    }

    /// Answers the log behind the faults.
    pub const fn inner(&self) -> &L {
        &self.inner
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what happens to an append; answers its number too.
    fn next(&self, journal: &JournalId, version: Version) -> (u64, Fault) {
        let mut state = self.state();
        let roll = state.dice.below(1000);
        let Faults { lost_acknowledgements, lost_appends, delays } = self.faults;
        let lost_appends = u64::from(lost_acknowledgements) + u64::from(lost_appends);
        let fault = if roll < u64::from(lost_acknowledgements) {
            Fault::LostAcknowledgement
        } else if roll < lost_appends {
            Fault::LostAppend
        } else if roll < lost_appends + u64::from(delays) {
            Fault::Delay
        } else {
            Fault::None
        };
        state.steps.push(Step { journal: journal.clone(), version, fault });
        (state.steps.len() as u64 - 1, fault)
    }
}

#[async_trait]
impl<L: EventLog> EventLog for FaultyLog<L> {
    async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        let unknown = || AppendError::Unknown { journal: journal.clone(), waited: Duration::ZERO };
        let (number, fault) = self.next(journal, after.version.next());
        match fault {
            Fault::LostAppend => return Err(unknown()),
            Fault::Delay => (self.delay)(number).await,
            Fault::None | Fault::LostAcknowledgement => {}
        }
        let appended = self.inner.append(journal, after, record).await;
        match fault {
            Fault::LostAcknowledgement => Err(unknown()),
            Fault::None | Fault::LostAppend | Fault::Delay => appended,
        }
    }

    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError> {
        self.inner.read(journal, after).await
    }

    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError> {
        self.inner.head(journal).await
    }

    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>> {
        self.inner.follow(category, from)
    }

    async fn end(&self, category: Category) -> Result<Cursor, ReadError> {
        self.inner.end(category).await
    }

    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError> {
        self.inner.open_journals(category).await
    }
}

/// SplitMix64: small, and the same on every machine for ever, so that a seed in a list of old failures stays good.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::event_log::record;
    use crate::memory::MemoryLog;

    fn journal() -> JournalId {
        JournalId::from_parts(Category::Execution, "p/d/x")
    }

    /// Writes ten records as an owner does: what is unclear is resolved by reading the journal.
    async fn write_ten(seed: u64) -> (Vec<Envelope>, Vec<Step>) {
        let faults = Faults { lost_acknowledgements: 250, lost_appends: 250, delays: 250 };
        let log = FaultyLog::new(MemoryLog::default(), seed, faults);
        let mut head = Head::EMPTY;
        while head.version < Version(10) {
            head = match log.append(&journal(), head, record(&head.version.to_string())).await {
                Ok(appended) => appended.head,
                Err(AppendError::Unknown { .. }) => log.head(&journal()).await.unwrap(),
                Err(other) => panic!("seed {seed}: {other}"),
            };
        }
        (log.read(&journal(), Head::EMPTY).await.unwrap(), log.steps())
    }

    #[tokio::test]
    async fn an_owner_that_reads_after_an_unclear_answer_writes_every_record_once() {
        for seed in 0..50 {
            let (written, _) = write_ten(seed).await;
            let bodies: Vec<_> = written.iter().map(|envelope| envelope.record.body.clone()).collect();
            let expected: Vec<_> = (0..10).map(|n| bytes::Bytes::from(n.to_string())).collect();
            assert_eq!(bodies, expected, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn a_seed_gives_the_same_faults_again_and_every_kind_of_them() {
        let (_, steps) = write_ten(3).await;
        assert_eq!(write_ten(3).await.1, steps);
        assert_ne!(write_ten(4).await.1, steps);
        for fault in [Fault::None, Fault::LostAcknowledgement, Fault::LostAppend, Fault::Delay] {
            assert!(steps.iter().any(|step| step.fault == fault), "{fault:?} in {steps:?}");
        }
    }

    #[tokio::test]
    async fn a_log_without_faults_keeps_the_contract() {
        let log = std::sync::Arc::new(FaultyLog::new(MemoryLog::default(), 1, Faults::default()));
        crate::conformance::event_log(async || Arc::clone(&log) as Arc<dyn EventLog>).await;
    }
}

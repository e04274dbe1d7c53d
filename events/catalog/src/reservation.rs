//! Who computes what a key stands for, so that others wait instead of computing it too.

use crate::writer::{TRIES_MAX, record};
use crate::{Catalog, CatalogError};
use skein_log::AppendError;
use skein_model::{
    CacheKey, CacheSource, CatalogEvent, Dataset, Envelope, Head, JournalId, Timestamp, codec,
};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What became of the wish to be the one who computes a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The caller is, until the time that it gave.
    Ours,
    /// Somebody else is.
    Theirs {
        /// Whoever is.
        owner: CacheSource,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
}

/// How many reservations are remembered; beyond that all are forgotten, and read again.
const REMEMBERED_MAX: usize = 10_000;

/// A reservation as its journal says.
#[derive(Clone)]
struct Standing {
    head: Head,
    holder: Option<(CacheSource, Timestamp)>,
}

/// What is known of reservations: who renews one for hours must not read all that it wrote each time.
#[derive(Default)]
pub(crate) struct Standings(Mutex<HashMap<JournalId, Standing>>);

impl Standings {
    fn get(&self, journal: &JournalId) -> Option<Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(journal).cloned()
    }

    fn put(&self, journal: &JournalId, standing: Standing) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(journal.clone(), standing);
    }
}

impl Catalog {
    /// Reserves a key, or renews the reservation: the caller's own, one that has expired, or none. The try is no part of who
    /// owns it: a node keeps its reservation from try to try.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn reserve(
        &self,
        dataset: &Dataset,
        key: CacheKey,
        owner: &CacheSource,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Reserved, CatalogError> {
        let journal = JournalId::reservation(dataset, key);
        for _ in 0..TRIES_MAX {
            let Standing { head, holder } = self.standing(&journal).await?;
            if let Some((other, until)) = holder
                && !is_same(&other, owner)
                && until > now
            {
                return Ok(Reserved::Theirs { owner: other, until });
            }
            let event = CatalogEvent::Reserved { owner: owner.clone(), until };
            match self.log.append(&journal, head, record(&[event], now, false)?).await {
                Ok(_) => return Ok(Reserved::Ours),
                Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(CatalogError::Contended { journal })
    }

    /// Gives a reservation up, if it is still the owner's.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn release(
        &self,
        dataset: &Dataset,
        key: CacheKey,
        owner: &CacheSource,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let journal = JournalId::reservation(dataset, key);
        for _ in 0..TRIES_MAX {
            let Standing { head, holder } = self.standing(&journal).await?;
            if !holder.is_some_and(|(holder, _)| is_same(&holder, owner)) {
                return Ok(());
            }
            match self.log.append(&journal, head, record(&[CatalogEvent::Released], now, true)?).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(CatalogError::Contended { journal })
    }

    /// Reads the last record of a journal: each says all there is to say.
    async fn standing(&self, journal: &JournalId) -> Result<Standing, CatalogError> {
        let known = self.standings.get(journal);
        let known = known.unwrap_or(Standing { head: Head::EMPTY, holder: None });
        loop {
            let head = self.log.head(journal).await?;
            if head.version == known.head.version {
                return Ok(known);
            }
            let envelopes = self.log.read(journal, known.head).await?;
            // Not if somebody has appended in between.
            if let Some(last) = envelopes.last().filter(|last| last.version == head.version) {
                let standing = Standing { head, holder: holder(last)? };
                self.standings.put(journal, standing.clone());
                return Ok(standing);
            }
        }
    }
}

fn holder(last: &Envelope) -> Result<Option<(CacheSource, Timestamp)>, CatalogError> {
    let events: Vec<CatalogEvent> = codec::decode(last.schema, &last.record.body)?;
    Ok(events.into_iter().next_back().and_then(|event| match event {
        CatalogEvent::Reserved { owner, until } => Some((owner, until)),
        CatalogEvent::Released
        | CatalogEvent::Opened { .. }
        | CatalogEvent::Stored { .. }
        | CatalogEvent::Evicted { .. } => None,
    }))
}

fn is_same(one: &CacheSource, other: &CacheSource) -> bool {
    one.execution == other.execution && one.node == other.node
}

//! The secrets of a log, and the keys to them.

use crate::key::{Keys, KeysError};
use crate::seal::{OpenError, open, seal};
use crate::source::{KeyError, KeySource};
use crate::state::{Stored, fold, keys_used};
use skein_log::{AppendError, EventLog, ReadError};
use skein_model::codec::{self, CodecError};
use skein_model::envelope::TraceContext;
use skein_model::{CauseId, Head, JournalId, Record, RegistryEvent, SecretId, SecretKind, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use zeroize::Zeroizing;

/// How many secrets are remembered as they stand in the log, encrypted.
const KNOWN_MAX: usize = 1024;
/// How often a record is written anew that somebody else was faster with.
pub(crate) const TRIES_MAX: usize = 16;

/// A secret that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is one of that name in that scope already.
    #[error("the secret {0} already exists")]
    Exists(SecretId),
    /// There is none of that name in that scope.
    #[error("there is no secret {0}")]
    Absent(SecretId),
    /// The keys cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key can be made, or nothing encrypted.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// No setting says where keys are.
    #[error("the secret {0} cannot be read: this process has no key for secrets")]
    NoKey(SecretId),
    /// A value cannot be decrypted.
    #[error("{error} in {origin}")]
    Open {
        /// Why not.
        error: OpenError,
        /// The setting that names the keys.
        origin: String,
    },
    /// The secrets need another key than what there is.
    #[error(
        "the secrets of this log are encrypted by the key {needs}, but {origin} has {}: put the right one there, \
         or before the other ones; nothing was changed", has.join(", ")
    )]
    OtherKey {
        /// The name of the key.
        needs: String,
        /// The names of those that are there.
        has: Vec<String>,
        /// The setting that names them.
        origin: String,
    },
    /// The file with the key is gone.
    #[error(
        "the secrets of this log are encrypted by the key {needs}, which was in {origin}, and that is gone: \
         put it back; nothing was changed"
    )]
    KeyGone {
        /// The name of the key.
        needs: String,
        /// The setting.
        origin: String,
    },
    /// Rotation needs a new key, and this setting gives none.
    #[error(
        "{origin} gives no new key: put the new one there, before the old one, with a space between (for a variable, start \
         again with it); then rotate again"
    )]
    NoNewKey {
        /// The setting.
        origin: String,
    },
    /// The log does not take a record.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record cannot be written or read.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Who writes, and when.
#[derive(Clone, Debug)]
pub struct By {
    /// Who asked.
    pub principal: String,
    /// What time it is.
    pub at: Timestamp,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

/// What a secret has to be before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Not there.
    Absent,
    /// There.
    Present,
}

/// A secret that was found, and its value.
pub struct Found {
    /// In which scope.
    pub id: SecretId,
    /// What it holds.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The secrets of a log.
pub struct Vault {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) source: Option<KeySource>,
    keys: RwLock<Option<Arc<Keys>>>,
    /// Held while a secret is written, so that no old key is let go meanwhile; whoever changes keys holds it alone.
    pub(crate) writing: tokio::sync::RwLock<()>,
    /// Held by whoever rotates: of two at once each would let go the key that the other encrypts by.
    pub(crate) rotating: tokio::sync::Mutex<()>,
    known: Mutex<HashMap<JournalId, (Head, Option<Stored>)>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the secrets of a log for writing. Makes a key when there is neither a key nor a secret yet.
    ///
    /// # Errors
    /// When the key is not to be had, or is not the one that the secrets need; the text says what to do.
    pub async fn open(log: Arc<dyn EventLog>, source: KeySource) -> Result<Self, VaultError> {
        let used = keys_used(&log.read(&JournalId::secret_keys(), Head::EMPTY).await?)?;
        let origin = source.to_string();
        let keys = match (source.load().await?, source.file(), used.first()) {
            (Some(keys), ..) => keys,
            (None, _, Some(needs)) => return Err(VaultError::KeyGone { needs: needs.clone(), origin }),
            (None, file, None) => {
                let keys = Keys::generate()?;
                if let Some(file) = file {
                    source.write(file, &keys)?;
                }
                keys
            }
        };
        let has = keys.names();
        if let Some(needs) = used.into_iter().find(|name| !has.contains(name)) {
            return Err(VaultError::OtherKey { needs, has, origin });
        }
        Ok(Self::over(log, Some(source), Some(keys)))
    }

    /// Opens the secrets of a log to read them; without a source of keys none can be.
    ///
    /// # Errors
    /// When the key that is named is not to be had.
    pub async fn open_to_read(log: Arc<dyn EventLog>, source: Option<KeySource>) -> Result<Self, VaultError> {
        let keys = match &source {
            Some(source) => source.load().await?,
            None => None,
        };
        Ok(Self::over(log, source, keys))
    }

    fn over(log: Arc<dyn EventLog>, source: Option<KeySource>, keys: Option<Keys>) -> Self {
        let (keys, writing) = (RwLock::new(keys.map(Arc::new)), tokio::sync::RwLock::new(()));
        let (rotating, known) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { log, source, keys, writing, rotating, known }
    }

    /// Writes a secret; it is durable when this answers. Of one that is there already, what it is for stays as it is.
    ///
    /// # Errors
    /// When it is not as expected, or cannot be written.
    pub async fn put(
        &self,
        id: &SecretId,
        kind: SecretKind,
        value: &[u8],
        expect: Expect,
        by: &By,
    ) -> Result<(), VaultError> {
        let _writing = self.writing.read().await;
        let keys = self.keys().ok_or_else(|| VaultError::NoKey(id.clone()))?;
        self.note_used(&keys, by).await?;
        for _ in 0..TRIES_MAX {
            let (head, stored) = self.state(id).await?;
            let (kind, created) = match (expect, stored) {
                (Expect::Absent, Some(_)) => return Err(VaultError::Exists(id.clone())),
                (Expect::Present, None) => return Err(VaultError::Absent(id.clone())),
                (Expect::Absent, None) => (kind, by.at),
                (Expect::Present, Some(stored)) => (stored.kind, stored.created),
            };
            if self.write(id, head, &Written { kind, created, value }, &keys, by).await? {
                return Ok(());
            }
        }
        Err(given_up(JournalId::secret(id)))
    }

    /// Removes a secret; that is durable when this answers.
    ///
    /// # Errors
    /// When it is not there, or the log does not take it.
    pub async fn delete(&self, id: &SecretId, by: &By) -> Result<(), VaultError> {
        for _ in 0..TRIES_MAX {
            let (head, stored) = self.state(id).await?;
            if stored.is_none() {
                return Err(VaultError::Absent(id.clone()));
            }
            let event = RegistryEvent::SecretDeleted { id: id.clone(), principal: by.principal.clone() };
            let cause = CauseId(head.digest.0);
            if self.append(&JournalId::secret(id), head, event, cause, by).await? {
                return Ok(());
            }
        }
        Err(given_up(JournalId::secret(id)))
    }

    /// Finds a secret: in the scope that `id` names, then in wider ones.
    ///
    /// # Errors
    /// When it cannot be read or decrypted.
    pub async fn find(&self, id: &SecretId) -> Result<Option<Found>, VaultError> {
        let mut scope = Some(id.clone());
        while let Some(id) = scope {
            if let (_, Some(stored)) = self.state(&id).await? {
                let value = self.value(&id, &stored).await?;
                return Ok(Some(Found { id, value }));
            }
            scope = id.wider();
        }
        Ok(None)
    }

    /// Decrypts a value. A key that is not known may have come since the keys were read, so they are read again.
    pub(crate) async fn value(
        &self,
        id: &SecretId,
        stored: &Stored,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let Some(source) = &self.source else { return Err(VaultError::NoKey(id.clone())) };
        let opened = |keys: &Keys| open(keys, id, stored.kind, &stored.sealed);
        let failed = |error| VaultError::Open { error, origin: source.to_string() };
        match self.keys().map(|keys| opened(&keys)) {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error @ OpenError::Damaged { .. })) => return Err(failed(error)),
            Some(Err(OpenError::OtherKey { .. })) | None => {}
        }
        let keys = source.load().await?.ok_or_else(|| VaultError::NoKey(id.clone()))?;
        let value = opened(&keys).map_err(failed)?;
        self.set_keys(keys);
        Ok(value)
    }

    /// Answers a secret as it stands in the log, and where its journal ends.
    pub(crate) async fn state(&self, id: &SecretId) -> Result<(Head, Option<Stored>), VaultError> {
        let journal = JournalId::secret(id);
        let (seen, state) = self.known().get(&journal).cloned().unwrap_or((Head::EMPTY, None));
        loop {
            let head = self.log.head(&journal).await?;
            if head == seen {
                return Ok((seen, state));
            }
            let records = self.log.read(&journal, seen).await?;
            // What was appended in between is read from the beginning of this turn again.
            if records.last().is_none_or(|last| last.digest != head.digest) {
                continue;
            }
            let state = fold(state, &records)?;
            let mut known = self.known();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(journal, (head, state.clone()));
            return Ok((head, state));
        }
    }

    /// Writes a value; says whether it did, or somebody else was faster.
    pub(crate) async fn write(
        &self,
        id: &SecretId,
        head: Head,
        written: &Written<'_>,
        keys: &Keys,
        by: &By,
    ) -> Result<bool, VaultError> {
        let Written { kind, created, value } = *written;
        let sealed = seal(keys, id, kind, value)?;
        // By what was drawn, and not by the value, of which nothing is to be told.
        let cause = CauseId(u64::from_le_bytes(sealed.nonce[..8].try_into().expect("a nonce has 24 bytes")));
        let principal = by.principal.clone();
        let event = RegistryEvent::SecretPut { id: id.clone(), kind, created, sealed, principal };
        self.append(&JournalId::secret(id), head, event, cause, by).await
    }

    /// Appends one event; says whether it did, or somebody else was faster.
    pub(crate) async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        event: RegistryEvent,
        cause: CauseId,
        by: &By,
    ) -> Result<bool, VaultError> {
        let body = codec::encode(&[event])?;
        let record = Record { time: by.at, cause, trace: by.trace, closes: true, body: body.clone() };
        match self.log.append(journal, after, record).await {
            Ok(_) => Ok(true),
            Err(AppendError::Conflict { .. }) => Ok(false),
            Err(unknown @ AppendError::Unknown { .. }) => {
                let records = self.log.read(journal, Head::EMPTY).await?;
                let is_there = records.iter().any(|read| read.record.body == body);
                if is_there { Ok(true) } else { Err(unknown.into()) }
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Has the log say that the first of the keys is needed, before something is encrypted by it.
    async fn note_used(&self, keys: &Keys, by: &By) -> Result<(), VaultError> {
        let first = &keys.first().name;
        for _ in 0..TRIES_MAX {
            let (head, used) = self.used().await?;
            if used.contains(first) || self.say_used(head, std::iter::once(first).chain(&used), by).await? {
                return Ok(());
            }
        }
        Err(given_up(JournalId::secret_keys()))
    }

    /// Answers the names of the keys that are needed, and where their journal ends.
    pub(crate) async fn used(&self) -> Result<(Head, Vec<String>), VaultError> {
        let journal = JournalId::secret_keys();
        loop {
            let head = self.log.head(&journal).await?;
            let records = self.log.read(&journal, Head::EMPTY).await?;
            if records.last().map_or(0, |last| last.version.0) == head.version.0 {
                return Ok((head, keys_used(&records)?));
            }
        }
    }

    /// Has the log say which keys are needed; says whether it did, or somebody else was faster.
    pub(crate) async fn say_used(
        &self,
        head: Head,
        names: impl Iterator<Item = &String>,
        by: &By,
    ) -> Result<bool, VaultError> {
        let event = RegistryEvent::SecretKeysUsed { keys: names.cloned().collect() };
        self.append(&JournalId::secret_keys(), head, event, CauseId(head.digest.0), by).await
    }

    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<JournalId, (Head, Option<Stored>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn given_up(journal: JournalId) -> VaultError {
    let reason = format!("others wrote there {TRIES_MAX} times meanwhile");
    AppendError::Unavailable { journal, reason }.into()
}

/// What is written of a secret.
pub(crate) struct Written<'a> {
    pub(crate) kind: SecretKind,
    pub(crate) created: Timestamp,
    pub(crate) value: &'a [u8],
}

//! Takes a new key, encrypts every secret by it, and lets the old ones go.
//!
//! At each moment every key that a secret needs is both in the log's list and where keys come from: whatever ends this, the
//! next start has all it needs, and whoever rotates again ends it.

use crate::key::Keys;
use crate::source::KeySource;
use crate::vault::{By, TRIES_MAX, Vault, VaultError, Written, given_up};
use futures::StreamExt as _;
use skein_log::{Cursor, ReadError};
use skein_model::codec;
use skein_model::{Category, JournalId, RegistryEvent, SecretId};
use std::collections::BTreeSet;

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// How many secrets there are, all encrypted by the new key.
    pub secrets: usize,
    /// The name of the new key.
    pub key: String,
    /// The names of the keys that nothing needs any more.
    pub released: Vec<String>,
    /// Where the keys come from, in words.
    pub origin: String,
    /// Whether the old keys are still there, because only a person can take them away.
    pub is_old_kept: bool,
}

impl Vault {
    /// Rotates. A file gets a new key; a variable or a command has to give one itself, before the old one.
    ///
    /// # Errors
    /// When there is no new key, a secret cannot be decrypted, or log or file take nothing. Whatever was done by then
    /// stands, and nothing is lost.
    pub async fn rotate(&self, by: &By) -> Result<Rotated, VaultError> {
        let Some(source) = &self.source else { return Err(VaultError::NoKey(nameless())) };
        let _alone = self.rotating.lock().await;
        // Whoever writes a secret has ended, and the next one takes the new key.
        let writing = self.writing.write().await;
        let keys = self.with_new_first(source).await?;
        let (head, used) = self.used().await?;
        let first = keys.first().name.clone();
        let all: BTreeSet<&String> = used.iter().filter(|name| **name != first).collect();
        if !self.say_used(head, std::iter::once(&first).chain(all), by).await? {
            return Err(given_up(JournalId::secret_keys()));
        }
        self.set_keys(keys.clone());
        drop(writing);
        let mut secrets = 0;
        for id in self.all().await? {
            secrets += usize::from(self.encrypt_anew(&id, &keys, by).await?);
        }
        self.release(source, &keys, secrets, by).await
    }

    /// Answers the keys with the new one first; where they come from has it by then.
    async fn with_new_first(&self, source: &KeySource) -> Result<Keys, VaultError> {
        let (_, used) = self.used().await?;
        let loaded = source.load().await?.or_else(|| self.keys().map(|keys| Keys::clone(&keys)));
        let loaded = loaded.ok_or_else(|| VaultError::NoKey(nameless()))?;
        let origin = || source.to_string();
        let has = loaded.names();
        if let Some(needs) = used.iter().find(|name| !has.contains(name)) {
            return Err(VaultError::OtherKey { needs: needs.clone(), has, origin: origin() });
        }
        match source.file() {
            Some(file) => {
                let keys = Keys::generate()?.before(&loaded);
                source.write(file, &keys)?;
                Ok(keys)
            }
            // Of a rotation that was broken off, the new key is among those that are needed, and others are too.
            None if used.first() == has.first() && used.len() < 2 => {
                Err(VaultError::NoNewKey { origin: origin() })
            }
            None => Ok(loaded),
        }
    }

    /// Encrypts a secret by the first key; says whether it is there.
    async fn encrypt_anew(&self, id: &SecretId, keys: &Keys, by: &By) -> Result<bool, VaultError> {
        for _ in 0..TRIES_MAX {
            let (head, stored) = self.state(id).await?;
            let Some(stored) = stored else { return Ok(false) };
            if stored.sealed.key == keys.first().name {
                return Ok(true);
            }
            let value = self.value(id, &stored).await?;
            let written = Written { kind: stored.kind, created: stored.created, value: &value };
            if self.write(id, head, &written, keys, by).await? {
                return Ok(true);
            }
        }
        Err(given_up(JournalId::secret(id)))
    }

    /// Lets the old keys go.
    async fn release(
        &self,
        source: &KeySource,
        keys: &Keys,
        secrets: usize,
        by: &By,
    ) -> Result<Rotated, VaultError> {
        let _writing = self.writing.write().await;
        let first = &keys.first().name;
        let (head, _) = self.used().await?;
        if !self.say_used(head, std::iter::once(first), by).await? {
            return Err(given_up(JournalId::secret_keys()));
        }
        if let Some(file) = source.file() {
            source.write(file, &keys.only_first())?;
        }
        self.set_keys(keys.only_first());
        Ok(Rotated {
            secrets,
            key: first.clone(),
            released: keys.names().split_off(1),
            origin: source.to_string(),
            is_old_kept: source.file().is_none(),
        })
    }

    /// Lists every secret that ever was, by reading the registry once.
    async fn all(&self) -> Result<BTreeSet<SecretId>, VaultError> {
        let end = self.log.end(Category::Registry).await?;
        let mut records = self.log.follow(Category::Registry, Cursor::default());
        let (mut seen, mut ids) = (Cursor::default(), BTreeSet::new());
        while !has_reached(&seen, &end) {
            let Some(followed) = records.next().await else {
                let reason = "it ended before its end".to_owned();
                return Err(ReadError::Unavailable { reason }.into());
            };
            let followed = followed?;
            let envelope = &followed.envelope;
            if envelope.journal.key().starts_with("secret/") {
                for event in codec::decode(envelope.schema, &envelope.record.body)? {
                    if let RegistryEvent::SecretPut { id, .. } = event {
                        ids.insert(id);
                    }
                }
            }
            seen.advance(followed.position);
        }
        Ok(ids)
    }
}

fn has_reached(seen: &Cursor, end: &Cursor) -> bool {
    end.0.iter().enumerate().all(|(shard, last)| seen.0.get(shard).copied().unwrap_or(0) >= *last)
}

/// Stands for all secrets in an error that is about none of them.
fn nameless() -> SecretId {
    SecretId { project: String::new(), domain: String::new(), name: "*".to_owned() }
}

//! What a cached task's outputs are kept under, and what is recorded of it (contract 6.3).
//!
//! A *dataset* is what may share results: a task's name in its project and domain, its interface, and the cache version
//! that its author gave it; the version of its code is not part. A *key* is a hash of one set of inputs. Journals of the
//! category [`crate::Category::Catalog`] hold what is kept, one for each dataset; whoever wants to know something folds them.

mod keys;
mod rule;

pub use keys::{KeyError, dataset_of, key_of_entries, key_of_inputs};
pub use rule::CacheRule;

use crate::data::DataRef;
use crate::ids::{Attempt, ExecutionId, NodeId};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A hash of one set of inputs, xxh3-128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(pub u128);

impl CacheKey {
    /// How many bytes a key has.
    pub const BYTES: usize = 16;

    /// Writes keys one after the other, as a record holds them.
    pub fn join(keys: impl IntoIterator<Item = Self>) -> Bytes {
        keys.into_iter().flat_map(|key| key.0.to_be_bytes()).collect::<Vec<u8>>().into()
    }

    /// Reads what [`CacheKey::join`] wrote; a rest that is no whole key is left out.
    pub fn split(joined: &[u8]) -> impl ExactSizeIterator<Item = Self> + '_ {
        let (keys, _) = joined.as_chunks::<{ Self::BYTES }>();
        keys.iter().map(|bytes| Self(u128::from_be_bytes(*bytes)))
    }

    /// Reads the 32 hexadecimal digits that a key is shown as; none when they are something else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == Self::BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What may share results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dataset {
    /// The task's project.
    pub project: String,
    /// Its domain.
    pub domain: String,
    /// Its name.
    pub task: String,
    /// The cache version that the author gave it.
    pub version: String,
    /// xxh3-128 of its interface, without what only people read.
    pub interface: u128,
}

impl Dataset {
    /// Answers the name under which its version is shown and kept: the author's, and the hash of the interface.
    pub fn full_version(&self) -> String {
        format!("{}-{:032x}", self.version, self.interface)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{} version {:?}", self.project, self.domain, self.task, self.version)
    }
}

/// Whose outputs an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSource {
    /// The execution.
    pub execution: ExecutionId,
    /// The node.
    pub node: NodeId,
    /// The try that produced them.
    pub attempt: Attempt,
    /// The version of the task that ran.
    pub task_version: String,
}

impl fmt::Display for CacheSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.execution, self.node, self.attempt)
    }
}

/// What the catalog answered for a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CacheFound {
    /// It has outputs.
    Hit {
        /// Whose they are.
        source: CacheSource,
        /// They, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// It has none, or none that can still be read.
    Missing {
        /// Why an entry that is there does not count, such as blobs that are gone; empty when there is no entry.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// Whether the node holds the reservation of its key, so that others wait for it.
        #[serde(default, skip_serializing_if = "is_false")]
        reserved: bool,
    },
    /// Somebody else holds the reservation of the key: the node waits for the entry, or for the reservation's end.
    Waiting {
        /// Whoever holds it.
        owner: CacheSource,
    },
    /// It was not asked for an entry, because the execution overwrites the cache.
    Skipped {
        /// Whether the node holds the reservation of its key.
        #[serde(default, skip_serializing_if = "is_false")]
        reserved: bool,
    },
    /// It cannot be asked.
    Failed {
        /// Why.
        reason: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(is: &bool) -> bool {
    !*is
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One change of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CatalogEvent {
    /// The dataset came to be; always the first event of its journal.
    Opened {
        /// What it is.
        dataset: Dataset,
    },
    /// Outputs are kept. Replaces what was kept under the same keys.
    Stored {
        /// The keys, [`CacheKey::join`]ed: one, or those of the items of a map that ran together.
        keys: Bytes,
        /// For a task an encoded `LiteralMap`; for items one whose every value is a collection, with an element for each key.
        outputs: DataRef,
        /// The place of the first key's element in the collections; those of the others follow.
        #[serde(default, skip_serializing_if = "is_zero")]
        first: u32,
        /// Whose outputs they are.
        source: CacheSource,
        /// Whether they are of items.
        #[serde(default, skip_serializing_if = "is_false")]
        items: bool,
    },
    /// Entries no longer count.
    Evicted {
        /// Their keys, [`CacheKey::join`]ed; none for all there are.
        keys: Option<Bytes>,
        /// Who asked.
        principal: String,
    },
    /// Somebody computes what a key stands for; in a journal of the key's own.
    Reserved {
        /// Whoever does.
        owner: CacheSource,
        /// Until when it counts unless it is renewed.
        until: Timestamp,
    },
    /// Nobody does any more.
    Released,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_the_bytes_of_a_record() {
        let keys = [CacheKey(1), CacheKey(u128::MAX), CacheKey(7 << 64)];
        let joined = CacheKey::join(keys);
        assert_eq!(joined.len(), 48);
        assert_eq!(CacheKey::split(&joined).collect::<Vec<_>>(), keys);
        assert_eq!(CacheKey::split(&joined[..40]).len(), 2, "a torn key is none");
    }

    #[test]
    fn a_key_is_read_as_it_is_shown() {
        let key = CacheKey(0xabc);
        assert_eq!(CacheKey::parse(&key.to_string()), Some(key));
        assert_eq!(CacheKey::parse("abc"), None);
        assert_eq!(CacheKey::parse(&"g".repeat(32)), None);
        assert_eq!(CacheKey::parse(&format!("+{}", "0".repeat(31))), None);
    }
}

//! Names of streams and subjects, and journal keys as tokens of subjects.

use skein_model::{Category, ExecutionId, JournalId, NodeId, PoolId, WorkId};
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The longest subject, in bytes: a server ends a connection over a protocol line of more than 4096.
pub(super) const SUBJECT_BYTES_MAX: usize = 3500;

/// Names within one region and epoch.
#[derive(Clone, Debug)]
pub(super) struct Names {
    region: String,
    epoch: u32,
}

impl Names {
    pub(super) fn new(region: &str, epoch: u32) -> Self {
        Self { region: region.to_owned(), epoch }
    }

    pub(super) fn log_stream(&self, category: Category, shard: u16) -> String {
        format!("SKEIN_{}_{}_{}_{shard}", self.region, self.epoch, category.word().to_ascii_uppercase())
    }

    fn log_prefix(&self, category: Category, shard: u16) -> String {
        format!("skein.{}.{}.{}.{shard}.", self.region, self.epoch, category.word())
    }

    /// All subjects of a log stream.
    pub(super) fn log_subjects(&self, category: Category, shard: u16) -> String {
        self.log_prefix(category, shard) + ">"
    }

    pub(super) fn journal_subject(&self, journal: &JournalId, shard: u16) -> String {
        self.log_prefix(journal.category(), shard) + &token(journal.key())
    }

    /// The journal whose subject this is; none when it is none of ours.
    pub(super) fn journal_of(&self, category: Category, shard: u16, subject: &str) -> Option<JournalId> {
        let key = key(subject.strip_prefix(&self.log_prefix(category, shard))?)?;
        Some(JournalId::from_parts(category, key.as_str()))
    }

    pub(super) fn inbox_subject(&self, shard: u16) -> String {
        format!("skein.{}.inbox.{shard}", self.region)
    }

    pub(super) fn stop_subject(&self) -> String {
        format!("skein.{}.stop", self.region)
    }

    /// Where work is announced that may be offered to a pool; no stream keeps it.
    pub(super) fn announce_subject(&self, pool: &PoolId) -> String {
        format!("skein.{}.soon.{}", self.region, token(&pool.0))
    }

    pub(super) fn work_stream(&self) -> String {
        format!("SKEIN_{}_WORK", self.region)
    }

    pub(super) fn lease_bucket(&self) -> String {
        format!("SKEIN_{}_LEASES", self.region)
    }

    /// The subject of one piece of work; hashes, because names of executions and nodes are long.
    pub(super) fn work_subject(&self, pool: &PoolId, work: &WorkId) -> String {
        let (execution, node) = (hash_execution(&work.execution), hash_node(&work.node));
        format!(
            "skein.{}.work.{}.{execution}.{node}.{}",
            self.region,
            token(&pool.0),
            hash(&work.to_string())
        )
    }

    pub(super) fn pool_subjects(&self, pool: &PoolId) -> String {
        format!("skein.{}.work.{}.>", self.region, token(&pool.0))
    }

    /// Work of every pool, of an execution, of one of its nodes, or one piece of it.
    pub(super) fn work_filter(
        &self,
        execution: &ExecutionId,
        node: Option<&NodeId>,
        work: Option<&WorkId>,
    ) -> String {
        let node = node.map_or_else(|| "*".to_owned(), hash_node);
        let work = work.map_or_else(|| "*".to_owned(), |work| hash(&work.to_string()));
        format!("skein.{}.work.*.{}.{node}.{work}", self.region, hash_execution(execution))
    }

    pub(super) fn work_subjects(&self) -> String {
        format!("skein.{}.work.>", self.region)
    }
}

/// The shard of a key among `shards`.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a division by a u16 fits one")]
pub(super) fn shard_of(key: &str, shards: u16) -> u16 {
    (xxh3_64(key.as_bytes()) % u64::from(shards)) as u16
}

pub(super) fn hash(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

fn hash_execution(id: &ExecutionId) -> String {
    hash(&id.to_string())
}

fn hash_node(id: &NodeId) -> String {
    hash(id.as_str())
}

/// Writes any text as one token: letters, digits, `-`, `_` and `/` stand for themselves, every other byte becomes `=`
/// and two hexadecimal digits; no text at all is a lone `=`.
pub(super) fn token(text: &str) -> String {
    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/') {
            token.push(char::from(byte));
        } else {
            write!(token, "={byte:02x}").expect("a string takes whatever is written");
        }
    }
    token
}

/// Reads what [`token`] wrote; none for a token that it would not have written.
pub(super) fn key(written: &str) -> Option<String> {
    if written == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'=' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (token(&text) == written).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back_from_its_token_and_the_token_has_nothing_that_a_subject_forbids() {
        for text in ["", "p/d/abc-1", "task/p/d/a.b.c/v 1", "ü*>/=.\t\0", "=", "a=2e", "日本"] {
            let token = token(text);
            assert!(!token.is_empty());
            assert!(
                !token.chars().any(|c| matches!(c, '.' | '*' | '>') || c.is_whitespace() || !c.is_ascii()),
                "{token}"
            );
            assert_eq!(key(&token).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_token_that_was_not_written_here_is_no_key() {
        for written in ["", "a=", "a=2", "a=zz", "=61", "=FF", "a b"] {
            assert!(written.is_empty() || key(written).is_none(), "{written}");
        }
    }

    #[test]
    fn a_journal_is_found_again_from_its_subject() {
        let names = Names::new("eu", 3);
        let journal = JournalId::from_parts(Category::Execution, "p/d/x.y");
        let subject = names.journal_subject(&journal, 7);
        assert_eq!(subject, "skein.eu.3.execution.7.p/d/x=2ey");
        assert_eq!(names.journal_of(Category::Execution, 7, &subject), Some(journal));
        assert_eq!(names.journal_of(Category::Execution, 8, &subject), None);
    }
}

//! What keeps a log from being opened, what can be wrong inside it, and what ends it.

use skein_model::envelope::ChainError;
use std::io;
use std::path::PathBuf;

/// A log that was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open; it alone may write.
    #[error("{} is in use by process {pid}; stop that one first, or use another folder", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process's id, as it wrote it down.
        pid: String,
    },
    /// What is stored is not what was written. It is never repaired; restore a copy.
    #[error("{} is damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        #[source]
        damage: Damage,
    },
    /// A newer program has written it.
    #[error("{} was written by a newer program (layout {found}, known here up to {known})", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The number of the file's layout.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The file is a database, but not a log.
    #[error("{} is not a log of Skein", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// There is no log to be read.
    #[error("there is no log at {}", file.display())]
    Absent {
        /// The file that was looked for.
        file: PathBuf,
    },
    /// The folder or the file cannot be used.
    #[error("{} cannot be used", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One thing that is wrong in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A record is not the next of its journal, or not what was written.
    #[error("record at sequence {sequence}: {wrong}")]
    Chain {
        /// Its sequence in the log.
        sequence: u64,
        /// Which journal and version, and what does not match.
        wrong: ChainError,
    },
    /// Records are missing.
    #[error("records are missing: sequence {found} follows sequence {after}")]
    Gap {
        /// The last sequence before the gap.
        after: u64,
        /// The first one after it.
        found: u64,
    },
    /// A row that is no record.
    #[error("record at sequence {sequence} of journal {journal:?}: {reason}")]
    Unreadable {
        /// Its sequence in the log.
        sequence: u64,
        /// The journal that it names, as far as that can be read.
        journal: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file itself is broken.
    #[error("the file cannot be read after sequence {after}: {reason}")]
    File {
        /// The last sequence that was read.
        after: u64,
        /// What SQLite says.
        reason: String,
    },
}

/// Why a log that was open can take no more: nothing is known of what the disk holds once it has refused a sync.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} cannot be written ({during}: {reason}). What was acknowledged is kept, nothing else may be relied upon. \
     Make room in {} if its disk is full, else see to the disk; then start again",
    file.display(),
    file.parent().unwrap_or(file).display()
)]
pub struct Fatal {
    /// The file.
    pub file: PathBuf,
    /// What failed.
    pub during: &'static str,
    /// What SQLite says.
    pub reason: String,
}

//! Why there is no zygote.

use std::io;
use std::time::Duration;

/// An interpreter or a program that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program cannot be run at all.
    #[error("{origin} cannot be started")]
    Spawn {
        /// What it is.
        origin: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready, mostly because a package is missing.
    #[error("{origin} ended and did not {task}: {complaint}")]
    Ended {
        /// What it is.
        origin: String,
        /// What it had to do first.
        task: &'static str,
        /// The end of what it printed.
        complaint: String,
        /// Whether it was killed, as the kernel does where memory is short.
        is_killed: bool,
    },
    /// It says something else than what speaks this worker's version of the protocol.
    #[error("{origin} does not speak as this worker does: {said}")]
    Foreign {
        /// What it is.
        origin: String,
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("{origin} did not {task} within {waited:?}")]
    Slow {
        /// What it is.
        origin: String,
        /// What it had to do first.
        task: &'static str,
        /// How long it had.
        waited: Duration,
    },
}

impl StartError {
    /// Says whether the file that was to run is the reason: another machine, or another time, would make no difference.
    pub(crate) fn is_the_programs(&self) -> bool {
        match self {
            // Whatever else the system says may be about the folders that a process needs.
            Self::Spawn { source, .. } => {
                source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
            }
            Self::Ended { is_killed, .. } => !is_killed,
            Self::Foreign { .. } => true,
            Self::Slow { .. } => false,
        }
    }
}

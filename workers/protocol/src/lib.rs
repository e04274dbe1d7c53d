//! What workers and the processes that run user code say to each other: frames, messages, plain values, and the command
//! line by which a task of a program of its own is known. `workers/PROTOCOL.md` is the same in prose, for whoever
//! writes the next implementation.
//!
//! ```
//! use skein_protocol::{Control, frames};
//!
//! let frame = frames::encode(&Control::Fork { fork: 7 })?;
//! assert_eq!(frames::read(&mut frame.as_ref())?, Some(Control::Fork { fork: 7 }));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Never
//!
//! - It imports nothing of ours: both sides depend on it, and one of them is users' programs.
//! - It opens no socket and starts no process.
//! - A message never changes its meaning under one [`VERSION`].

pub mod frames;
pub mod messages;
pub mod native;
mod plain;

pub use messages::{Control, Said};
pub use native::{MissingWord, NativeCommand};
pub use plain::Plain;

/// The version of the protocol: counted up when one side could misunderstand the other.
pub const VERSION: u32 = 1;
/// The name under which a zygote that is ready tells the version that it speaks.
pub const PROTOCOL: &str = "protocol";

//! Secrets in the log: encrypted before they are written, decrypted for the attempts that ask.
//!
//! ```text
//!  gateway ──put──► seal ──► journal of the secret ──► fold ──► open ──► worker, for one attempt
//!                    │                                            │
//!                    └────────────── keys: file, variable, command┘
//! ```
//!
//! A secret is the last record of a journal of its own, so whoever creates it first has the name. One more journal says
//! which keys are needed to read what there is: a server that has others does not start. A value is bound to its secret: moved
//! to another name or scope it cannot be decrypted.
//!
//! # Never
//!
//! - It never writes a value anywhere but encrypted, and never says one in an error, a log line or a `Debug` form.
//! - It never takes a key that other users of the machine can read.
//! - It never lets go of a key while a secret needs it.

mod key;
mod rotate;
mod seal;
mod source;
mod state;
mod vault;

pub use key::{Keys, KeysError};
pub use rotate::Rotated;
pub use seal::{OpenError, open, seal};
pub use source::{KeyError, KeySource};
pub use state::Stored;
pub use vault::{By, Expect, Found, Vault, VaultError};

#[cfg(test)]
mod tests;

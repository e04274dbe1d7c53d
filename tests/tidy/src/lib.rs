//! Reads the repository as a reviewer would, so that the tests can hold its rules.
//!
//! # Never
//!
//! - changes a file
//! - knows a rule itself: each rule is a test, and says what to do about a breach

mod manifest;
mod tracked;

pub use manifest::Manifest;
pub use tracked::{Source, files, root};

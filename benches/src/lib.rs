//! What the benches share: how a figure is taken, an engine with simulated workers, workflows and values of any size.
//!
//! # Never
//!
//! - A bench asserts no figure: machines differ. It compares only what one run has taken.

pub mod curve;
pub mod figures;
pub mod point;
pub mod process;
pub mod simulation;

use std::path::Path;
use tempfile::TempDir;

/// Makes a folder that goes away again, on the disk where the sources are: the one for temporary files may be in memory.
///
/// # Panics
/// When it cannot be made.
pub fn folder() -> TempDir {
    let built = Path::new("target");
    let beside = if built.is_dir() { built } else { Path::new(".") };
    TempDir::new_in(beside).expect("a folder can be made beside the sources")
}

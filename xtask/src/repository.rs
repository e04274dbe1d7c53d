//! Where things are in the repository.

use crate::steps::loud;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the root manifest.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

/// The folder for everything that is made and may be deleted.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |named| root().join(named))
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds the program as users get it, and answers where it is.
///
/// # Errors
///
/// When it cannot be built; cargo has said why.
pub(crate) fn release() -> Result<PathBuf> {
    println!("building skein (the first time takes some minutes)");
    loud(Command::new(cargo()).current_dir(root()).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "skein",
    ]))?;
    Ok(target().join("release/skein"))
}

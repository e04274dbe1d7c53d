//! The files that belong to the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the root manifest.
///
/// # Panics
///
/// Never: this crate lies two folders below it.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/tidy is two folders below the root")
}

/// A file, by its path below the root, with its text where it is text.
#[derive(Debug)]
pub struct Source {
    /// The path below the root.
    pub path: PathBuf,
    /// The content; `None` for files that are not UTF-8.
    pub text: Option<String>,
}

impl Source {
    /// The lines with their numbers, from 1; none for a file that is not text.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.iter().flat_map(|text| text.lines()).enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether the file's name ends like this.
    #[must_use]
    pub fn is(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|found| found == ending)
    }
}

/// Every file that git tracks or would track.
///
/// # Panics
///
/// When git is missing or the folder is no repository: the rules cannot be held without it.
#[must_use]
pub fn files() -> Vec<Source> {
    let answer = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git must be installed");
    assert!(answer.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&answer.stderr));
    let listed = String::from_utf8(answer.stdout).expect("paths are UTF-8");
    let mut paths: Vec<PathBuf> =
        listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| root().join(path).is_file())
        .map(|path| Source { text: std::fs::read_to_string(root().join(&path)).ok(), path })
        .collect()
}

//! The interpreter side of the worker, which travels inside this program.

use std::io;
use std::path::{Path, PathBuf};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../python/skein_worker/", $name)))),*]
    };
}

const FILES: [(&str, &str); 22] = files![
    "__init__.py",
    "attempt.py",
    "child.py",
    "chunk.py",
    "context.py",
    "copies.py",
    "direct.py",
    "dispatch.py",
    "frames.py",
    "items.py",
    "loops.py",
    "marks.py",
    "nest.py",
    "outcome.py",
    "plain.py",
    "processes.py",
    "progress.py",
    "room.py",
    "single.py",
    "surroundings.py",
    "warming.py",
    "zygote.py",
];

/// What the interpreter runs; its arguments are the folder that [`write_out`] answers, and the version of the protocol.
pub(crate) const START: &str =
    "import sys; sys.path.insert(0, sys.argv[1]); from skein_worker.zygote import main; main(sys.argv[2])";

/// The module that makes rooms, which says by itself, run on its own with a folder, whether the machine allows them.
pub(crate) const ROOM: &str = include_str!("../python/skein_worker/room.py");

/// Writes the package into `scratch` and answers the folder to put on the module path.
///
/// # Errors
/// Those of writing files.
pub(crate) fn write_out(scratch: &Path) -> io::Result<PathBuf> {
    let path = scratch.join("python");
    let package = path.join("skein_worker");
    std::fs::create_dir_all(&package)?;
    for (name, text) in FILES {
        std::fs::write(package.join(name), text)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_package_travels_with_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/skein_worker");
        let entries = std::fs::read_dir(folder).expect("the package is there");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".py")).collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }
}

//! Code archives.

use flate2::Compression;
use flate2::write::GzEncoder;
use skein_workers::{ArchiveLimits, unpack};
use std::io::Write;
use std::path::Path;

const LIMITS: ArchiveLimits =
    ArchiveLimits { bytes_max: 1 << 20, unpacked_bytes_max: 1 << 20, entries_max: 1000 };

/// Unpacks the bytes, as they are and compressed, into a folder that nothing may leave. Compressed as well, because
/// what a fuzzer changes in a compressed file rarely gets past its checksum.
///
/// # Panics
///
/// When anything lands outside of the folder, or a link in it leads out.
pub fn archive(bytes: &[u8]) {
    unpack_beside(bytes);
    let mut compressor = GzEncoder::new(Vec::new(), Compression::fast());
    compressor.write_all(bytes).expect("a vector takes all");
    unpack_beside(&compressor.finish().expect("a vector takes all"));
}

fn unpack_beside(bytes: &[u8]) {
    let around = tempfile::tempdir().expect("there is a folder for temporary files");
    let target = around.path().join("inside").join("target");
    let unpacked = unpack(bytes, LIMITS, &target).is_ok();
    assert_eq!(target.exists(), unpacked, "a folder appears whole or not at all");
    let names = |folder: &Path| {
        std::fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
            .unwrap_or_else(|_| Vec::new())
    };
    assert!(names(around.path()).iter().all(|name| name == "inside"), "something was written outside");
    if unpacked {
        check_links(&target, &target.canonicalize().expect("it is there"));
    }
}

fn check_links(folder: &Path, root: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            if let Ok(leads_to) = path.canonicalize() {
                assert!(leads_to.starts_with(root), "{} leads to {}", path.display(), leads_to.display());
            }
        } else if path.is_dir() {
            check_links(&path, root);
        }
    }
}

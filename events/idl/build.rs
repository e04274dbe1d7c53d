//! Compiles every file under `proto/`: messages, servers, clients, and the descriptors for reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message as _;

const PROTO_ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);

    let mut sources = Vec::new();
    find_sources(Path::new(PROTO_ROOT), &mut sources)?;
    // The order of files decides the order of generated items, and folders list in any order.
    sources.sort();

    let mut compiler = protox::Compiler::new([PROTO_ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(sources)?;
    let descriptors = compiler.file_descriptor_set();

    // Comments become rustdoc, but a reflection client has no use for source positions.
    let mut for_reflection = descriptors.clone();
    for file in &mut for_reflection.file {
        file.source_code_info = None;
    }
    fs::write(out_dir.join("descriptors.bin"), for_reflection.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".")
        // Maps of one content must always encode to the same bytes: digests are taken of them.
        .btree_map(".")
        // Its value is for nobody to read: `src/hidden.rs` says what is printed instead.
        .skip_debug(["cloudidl.secret.SecretSpec"])
        .compile_fds(descriptors)?;
    Ok(())
}

fn find_sources(folder: &Path, sources: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            sources.push(path);
        }
    }
    Ok(())
}

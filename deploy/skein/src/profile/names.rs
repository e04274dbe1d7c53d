//! The full names of functions.
//!
//! A release knows the lines of its code and not the types: where a function was inlined, all that is left of its name is
//! the last part. The file that it is in tells the rest.

use pprof::{Frames, Symbol};

/// The folders of our crates, as their paths end, and the crates' names.
const OURS: [(&str, &str); 10] = [
    ("actors/core", "skein_core"),
    ("actors/runtime", "skein_runtime"),
    ("deploy/skein", "skein"),
    ("events/idl", "skein_idl"),
    ("events/log", "skein_log"),
    ("events/model", "skein_model"),
    ("events/telemetry", "skein_telemetry"),
    ("gateway", "skein_gateway"),
    ("workers/protocol", "skein_protocol"),
    ("workers", "skein_workers"),
];

/// Lists the names of a stack's functions, the innermost first, those that were inlined too.
pub fn names(frames: &Frames) -> Vec<String> {
    frames.frames.iter().flatten().map(name_of).collect()
}

fn name_of(symbol: &Symbol) -> String {
    qualified(symbol.name(), &symbol.filename())
}

/// Puts the path of the module in `file` before `name`, if it has none.
fn qualified(name: String, file: &str) -> String {
    let last = name.split('<').next().unwrap_or_default();
    if last.is_empty() || last.contains("::") {
        return name;
    }
    match module_of(file) {
        Some(module) => format!("{module}::{name}"),
        None => name,
    }
}

/// Answers the path of the module that a Rust file is; none for what is no Rust file of a crate.
fn module_of(file: &str) -> Option<String> {
    let (folder, file) = file.strip_suffix(".rs")?.rsplit_once("/src/")?;
    let ours = OURS.iter().find(|(of, _)| folder.strip_suffix(of).is_some_and(at_end_of_name));
    let name = match ours {
        Some((_, name)) => (*name).to_owned(),
        None => without_version(folder.rsplit('/').next().unwrap_or(folder)).replace('-', "_"),
    };
    let modules = file.split('/').filter(|part| !matches!(*part, "lib" | "main" | "mod"));
    Some(std::iter::once(name.as_str()).chain(modules).collect::<Vec<_>>().join("::"))
}

fn at_end_of_name(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}

/// Takes the version off the folder of a crate.
fn without_version(folder: &str) -> &str {
    let is_version = |version: &str| version.starts_with(|first: char| first.is_ascii_digit());
    let mut cuts = folder.match_indices('-').map(|(at, _)| at);
    cuts.find(|at| is_version(&folder[at + 1..])).map_or(folder, |at| &folder[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inlined_function_is_named_by_its_file() {
        for (file, name, full) in [
            ("actors/core/src/execution/map.rs", "apply", "skein_core::execution::map::apply"),
            ("./skein/gateway/src/views.rs", "find<u8>", "skein_gateway::views::find<u8>"),
            ("./skein/workers/src/lib.rs", "run", "skein_workers::run"),
            ("./skein/workers/protocol/src/frames.rs", "run", "skein_protocol::frames::run"),
            ("/x/registry/src/index-1949cf/tokio-1.54.1/src/runtime/mod.rs", "poll", "tokio::runtime::poll"),
            ("/x/registry/src/index-1949cf/async-nats-0.51.0-rc.1/src/lib.rs", "poll", "async_nats::poll"),
            ("/rustc/5980/library/core/src/slice/iter.rs", "next<u8>", "core::slice::iter::next<u8>"),
            ("/rustc/5980/library/alloc/src/vec/mod.rs", "drop<a::B>", "alloc::vec::drop<a::B>"),
        ] {
            assert_eq!(qualified(name.to_owned(), file), full, "{file}");
        }
    }

    #[test]
    fn what_has_its_full_name_keeps_it() {
        for name in ["skein_core::decide", "<skein_core::Plan as Clone>::clone", "main", "__memcpy_avx"] {
            assert_eq!(qualified(name.to_owned(), "../sysdeps/x86_64/start.S"), name);
        }
        assert_eq!(
            qualified("skein_core::decide".to_owned(), "actors/core/src/lib.rs"),
            "skein_core::decide"
        );
    }
}

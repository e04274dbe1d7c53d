//! How files look: their names, their length, and what must not stand in them.

use skein_tidy::{Manifest, Source, files, root};
use std::path::Path;

const LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

fn rust_files() -> Vec<Source> {
    files().into_iter().filter(|source| source.is("rs")).collect()
}

/// This crate names what it forbids, so it is not searched.
fn searched(source: &Source) -> bool {
    !source.path.starts_with("tests/tidy")
}

fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

/// The lines of a Rust file before its test module.
fn lines_without_tests(source: &Source) -> Vec<(usize, &str)> {
    source.lines().take_while(|(_, line)| !line.starts_with("#[cfg(test)]")).collect()
}

/// Whether the whole file is a test: integration tests, benches, and modules that only tests include.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches")
        || path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
}

#[test]
fn a_module_file_carries_the_name_of_its_module() {
    let breaches: Vec<String> = rust_files()
        .iter()
        .filter(|source| source.path.file_name().is_some_and(|name| name == "mod.rs"))
        .map(|source| format!("{}: name it after its folder, beside the folder", source.path.display()))
        .collect();
    assert_none(&breaches);
}

#[test]
fn a_file_has_at_most_five_hundred_lines_tests_not_counted() {
    let breaches: Vec<String> = rust_files()
        .iter()
        .filter(|source| !is_test(&source.path))
        .map(|source| (source, lines_without_tests(source).len()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| {
            format!("{} has {lines} lines: split it where a name appears", source.path.display())
        })
        .collect();
    assert_none(&breaches);
}

#[test]
fn a_function_has_at_most_seventy_lines() {
    let mut breaches = Vec::new();
    for source in rust_files().iter().filter(|source| !is_test(&source.path)) {
        let mut begun: Option<(usize, String)> = None;
        for (number, line) in lines_without_tests(source) {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            if begun.is_none() && is_function(code) && !code.ends_with(';') {
                begun = Some((number, " ".repeat(indent) + "}"));
            } else if let Some((first, _)) = begun.take_if(|(_, end)| line == end.as_str()) {
                let lines = number - first + 1;
                if lines > FUNCTION_LINES_MAX {
                    breaches.push(format!(
                        "{}:{first} is a function of {lines} lines: name its parts",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert_none(&breaches);
}

fn is_function(code: &str) -> bool {
    let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "];
    let mut rest = code;
    while let Some(word) = words.iter().find(|word| rest.starts_with(**word)) {
        rest = &rest[word.len()..];
    }
    rest.starts_with("fn ")
}

#[test]
fn nothing_is_left_for_later_and_no_lint_is_switched_off_in_silence() {
    let forbidden = [
        ("todo!(", "write it, or leave it out"),
        ("unimplemented!(", "write it, or leave it out"),
        ("#[allow(", "use #[expect(…, reason = \"…\")]"),
        ("#![allow(", "use #[expect(…, reason = \"…\")]"),
        ("dbg!(", "use tracing"),
    ];
    let mut breaches = Vec::new();
    for source in rust_files().iter().filter(|source| searched(source)) {
        for (number, line) in source.lines() {
            for (word, advice) in forbidden.iter().filter(|(word, _)| line.contains(word)) {
                breaches.push(format!("{}:{number} has {word}…: {advice}", source.path.display()));
            }
        }
    }
    for source in files().iter().filter(|source| searched(source) && (source.is("rs") || source.is("py"))) {
        for (number, line) in source.lines() {
            for word in ["TODO", "FIXME", "XXX"].iter().filter(|word| line.contains(**word)) {
                breaches.push(format!("{}:{number} has {word}: do it, or file it", source.path.display()));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn an_expectation_gives_its_reason() {
    let mut breaches = Vec::new();
    for source in rust_files().iter().filter(|source| searched(source)) {
        let text = source.text.as_deref().unwrap_or_default();
        for (at, _) in text.match_indices("#[expect(") {
            let attribute = text[at..].split(")]").next().unwrap_or_default();
            if !attribute.contains("reason") {
                let line = text[..at].lines().count();
                breaches.push(format!("{}:{line}: say why, with reason = \"…\"", source.path.display()));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn no_text_names_a_place_that_only_one_machine_has() {
    let places = ["/work/", "/root/.", "/home/", "/Users/", "/tmp/sdk"];
    let mut breaches = Vec::new();
    for source in files().iter().filter(|source| searched(source)) {
        for (number, line) in source.lines() {
            for place in places.iter().filter(|place| line.contains(**place)) {
                breaches.push(format!(
                    "{}:{number} names {place}: use a path below the repository, or a temporary folder",
                    source.path.display()
                ));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn every_crate_says_what_it_never_does() {
    let mut breaches = Vec::new();
    for manifest in Manifest::all() {
        let top = ["src/lib.rs", "src/main.rs"].map(|name| root().join(&manifest.folder).join(name));
        let text = top.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let docs: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if !docs.contains(&"//! # Never") {
            breaches.push(format!(
                "{}: open lib.rs or main.rs with what it answers for, then a list under `# Never`",
                manifest.name
            ));
        }
    }
    assert_none(&breaches);
}

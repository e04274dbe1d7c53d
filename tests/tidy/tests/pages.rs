//! Pages: their links lead somewhere, and the reader finds what is promised.

use skein_tidy::{Source, files, root};

fn pages() -> Vec<Source> {
    files().into_iter().filter(|source| source.is("md")).collect()
}

/// The targets of all links of a page, code blocks and code spans left out.
fn links(source: &Source) -> Vec<(usize, String)> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in source.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        for part in prose.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut breaches = Vec::new();
    for page in pages() {
        let folder = root().join(&page.path);
        let folder = folder.parent().expect("a file lies in a folder");
        for (number, target) in links(&page) {
            let outside = target.contains("://") || target.starts_with("mailto:");
            let path = target.split('#').next().unwrap_or_default();
            if !outside && !path.is_empty() && !folder.join(path).exists() {
                breaches
                    .push(format!("{}:{number} links to {target}, which is not there", page.path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn the_pages_that_a_newcomer_looks_for_are_there() {
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"] {
        assert!(root().join(name).is_file(), "{name} is missing at the root");
    }
}

#[test]
fn the_readme_names_only_commands_that_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the root has a README.md");
    let commands = ["bench", "demo", "test", "tidy"];
    for part in readme.split("cargo xtask ").skip(1) {
        let word: String = part.chars().take_while(char::is_ascii_lowercase).collect();
        assert!(
            commands.contains(&word.as_str()),
            "README.md names `cargo xtask {word}`, which does not exist"
        );
    }
}

//! The manifests of the workspace's crates.

use crate::tracked::root;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One crate of ours: its name, its folder below the root, and what it depends on.
#[derive(Debug)]
pub struct Manifest {
    /// The package's name.
    pub name: String,
    /// The folder below the root.
    pub folder: PathBuf,
    /// The names under `[dependencies]`.
    pub dependencies: Vec<String>,
    /// The names under `[dev-dependencies]`.
    pub dev_dependencies: Vec<String>,
    /// The names under `[build-dependencies]`.
    pub build_dependencies: Vec<String>,
    table: Table,
}

impl Manifest {
    /// Reads the manifests of all members.
    ///
    /// # Panics
    ///
    /// When a manifest is missing or is not TOML: cargo would refuse it too.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let workspace = read(Path::new(""));
        let members = workspace["workspace"]["members"].as_array().expect("the members are a list");
        members
            .iter()
            .map(|member| Self::of(PathBuf::from(member.as_str().expect("a member is a path"))))
            .collect()
    }

    fn of(folder: PathBuf) -> Self {
        let table = read(&folder);
        Self {
            name: table["package"]["name"].as_str().expect("a package has a name").to_owned(),
            dependencies: names(&table, "dependencies"),
            dev_dependencies: names(&table, "dev-dependencies"),
            build_dependencies: names(&table, "build-dependencies"),
            folder,
            table,
        }
    }

    /// Whether the crate takes its lints from the root manifest.
    #[must_use]
    pub fn shares_lints(&self) -> bool {
        self.table.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool)
            == Some(true)
    }

    /// The names of dependencies whose version does not come from the root manifest.
    #[must_use]
    pub fn own_versions(&self) -> Vec<String> {
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| self.table.get(*section).and_then(Value::as_table))
            .flatten()
            .filter(|(_, value)| value.get("workspace").and_then(Value::as_bool) != Some(true))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn read(folder: &Path) -> Table {
    let text =
        std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a member has a manifest");
    text.parse().expect("a manifest is TOML")
}

fn names(table: &Table, section: &str) -> Vec<String> {
    table
        .get(section)
        .and_then(Value::as_table)
        .map(|found| found.keys().cloned().collect())
        .unwrap_or_default()
}

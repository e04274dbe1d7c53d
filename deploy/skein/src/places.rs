//! Where tasks run that ask for an image: the environments that stand for images, and what runs containers.

use crate::python::{self, Python};
use anyhow::{Context as _, bail};
use skein_model::task_rules::Pattern;
use skein_workers::{Config, Containers, ImageRule, Mode, container};
use std::path::{Path, PathBuf};

/// Where tasks run that ask for an image.
#[derive(Clone, Debug, clap::Args)]
pub struct Places {
    /// Run the Python tasks of an image in an environment of their own: PATTERN is the image's name, * in it any run of
    /// characters, VENV a virtual environment or an interpreter, with flytekit. May be said several times; the first that
    /// fits counts, and where none does, --python is used
    #[arg(long = "image", value_name = "PATTERN=VENV")]
    pub images: Vec<String>,
    /// What runs container tasks: docker (also Podman), host (commands on this machine itself, in a mount namespace,
    /// without their images), off, or auto, which takes the first of docker and host that there is [default: auto]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub containers: Option<Mode>,
}

/// What was found of them.
pub struct Found {
    /// The environments that images stand for, as they were named.
    images: Vec<(String, Python)>,
    containers: Containers,
}

fn mode(word: &str) -> Result<Mode, String> {
    match word {
        "auto" => Ok(Mode::Auto),
        "docker" => Ok(Mode::Docker),
        "host" => Ok(Mode::Host),
        "off" => Ok(Mode::Off),
        _ => Err("it has to be one of auto, docker, host and off".to_owned()),
    }
}

impl Places {
    /// Says whether something was said at all.
    pub fn is_said(&self) -> bool {
        !self.images.is_empty() || self.containers.is_some()
    }

    /// Looks for all that was asked for; `python` is the default environment.
    ///
    /// # Errors
    /// When something is not there, or said wrongly; the text says what and what to do.
    pub async fn find(&self, python: &Path) -> anyhow::Result<Found> {
        let given = self.images.clone();
        let images = tokio::task::spawn_blocking(move || {
            given.iter().map(|given| image(given)).collect::<anyhow::Result<Vec<_>>>()
        });
        let mode = self.containers.unwrap_or_default();
        let containers = container::find(mode, python).await.map_err(anyhow::Error::msg)?;
        Ok(Found { images: images.await??, containers })
    }
}

impl Found {
    /// Has workers use it.
    pub fn tell(&self, config: &mut Config) {
        config.containers = self.containers.clone();
        let rule = |(pattern, python): &(String, Python)| ImageRule {
            pattern: Pattern::of(pattern),
            interpreter: python.path.clone(),
        };
        config.images = self.images.iter().map(rule).collect();
    }

    /// Answers why container tasks cannot be run; none when they can.
    pub fn no_containers(&self) -> Option<String> {
        match &self.containers {
            Containers::Engine(_) | Containers::Host => None,
            Containers::None(why) => Some(why.clone()),
        }
    }

    /// Says for each thing found what it is, and what it is there for.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let image = |(pattern, python): &(String, Python)| {
            let Python { path, version, flytekit } = python;
            ("image", format!("{pattern} is {} (Python {version}, flytekit {flytekit})", path.display()))
        };
        let containers = ("containers", self.containers.words());
        self.images.iter().map(image).chain(std::iter::once(containers)).collect()
    }
}

fn image(given: &str) -> anyhow::Result<(String, Python)> {
    let Some((pattern, environment)) = given.split_once('=') else {
        bail!(
            "--image {given} has no =; say --image PATTERN=VENV, such as 'ghcr.io/me/train:*=/venvs/train'"
        );
    };
    let is_letter = |of: char| of.is_ascii_alphanumeric() || "*._-/:@+".contains(of);
    if pattern.is_empty() || !pattern.chars().all(is_letter) {
        bail!(
            "--image {given} has the pattern {pattern:?}; it has to be the name of an image, with * for any run of characters"
        );
    }
    if environment.is_empty() {
        bail!("--image {given} names no environment; say --image {pattern}=VENV, a folder or an interpreter");
    }
    let path = PathBuf::from(environment);
    let path = if path.is_dir() { path.join("bin/python") } else { path };
    let python = python::find(Some(&path)).with_context(|| format!("--image {given} cannot be used"))?;
    Ok((pattern.to_owned(), python))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_wrongly_of_an_image_is_refused_with_what_would_be_right() {
        for (given, expected) in [
            ("train", "has no ="),
            ("=/venv", "has the pattern \"\""),
            ("a b=/venv", "has the pattern \"a b\""),
            ("train:*=", "names no environment"),
            (
                "train:*=/nowhere/venv",
                "--image train:*=/nowhere/venv cannot be used: Python cannot be started",
            ),
        ] {
            let refused = format!("{:#}", image(given).expect_err("it is wrong"));
            assert!(refused.contains(expected), "{given}: {refused}");
        }
    }

    #[test]
    fn a_mode_is_named_by_its_word() {
        assert_eq!(mode("host"), Ok(Mode::Host));
        assert!(mode("podman").is_err_and(|right| right.contains("auto, docker, host and off")));
    }
}

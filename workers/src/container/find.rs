//! Finds what runs container tasks on this machine.

use super::engine::Engine;
use rustix::process::geteuid;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one engine may take to say what it is.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The variables that name an engine: Docker's, and Podman's.
const VARIABLES: [&str; 2] = ["DOCKER_HOST", "CONTAINER_HOST"];

/// What is to run container tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A container engine, and where there is none the machine itself.
    #[default]
    Auto,
    /// A container engine, Docker or Podman.
    Docker,
    /// The machine itself, in a mount namespace; images are not used.
    Host,
    /// Nothing.
    Off,
}

/// What runs container tasks.
#[derive(Clone, Debug)]
pub enum Containers {
    /// A container engine.
    Engine(Engine),
    /// The machine itself: commands run in mount namespaces, without their images.
    Host,
    /// Nothing, for this reason, which also says what to do.
    None(String),
}

impl Containers {
    /// Says in a few words what it is.
    pub fn words(&self) -> String {
        match self {
            Self::Engine(engine) => format!("{} at {}", engine.name, engine.address),
            Self::Host => "on this machine itself, without their images".to_owned(),
            Self::None(why) => format!("not run: {why}"),
        }
    }
}

/// Finds what `mode` asks for; `python` is any interpreter.
///
/// # Errors
/// What was looked for and what to do, when `mode` asks for something that is not there. With [`Mode::Auto`] that is no
/// error, but [`Containers::None`].
pub async fn find(mode: Mode, python: &Path) -> Result<Containers, String> {
    match mode {
        Mode::Off => Ok(Containers::None("they are turned off; say --containers auto".to_owned())),
        Mode::Docker => engine().await.map(Containers::Engine).map_err(|found| {
            format!(
                "there is no container engine: {found}. Start Docker or `podman system service`, or name its socket: DOCKER_HOST=unix:///PATH"
            )
        }),
        Mode::Host => host(python).await.map(|()| Containers::Host).map_err(|why| {
            format!("commands of containers cannot be run on this machine itself: {why}. {ALLOW}")
        }),
        Mode::Auto => {
            let found = match engine().await {
                Ok(engine) => return Ok(Containers::Engine(engine)),
                Err(found) => found,
            };
            Ok(match host(python).await {
                Ok(()) => Containers::Host,
                Err(why) => Containers::None(format!(
                    "there is no container engine ({found}), and no mount namespace ({why}). Start Docker or \
                     `podman system service`, or name its socket: DOCKER_HOST=unix:///PATH. {ALLOW}"
                )),
            })
        }
    }
}

const ALLOW: &str =
    "For mount namespaces run skein on Linux as root, or allow user namespaces (user.max_user_namespaces)";

/// Connects to the engine that is named, or to the first that answers.
async fn engine() -> Result<Engine, String> {
    for name in VARIABLES {
        if let Some(address) = std::env::var(name).ok().filter(|address| !address.is_empty()) {
            return Engine::connect(&address, ANSWER_MAX)
                .await
                .map_err(|why| format!("{name} names {address}, and that cannot be used ({why})"));
        }
    }
    let mut tried = Vec::new();
    for socket in sockets() {
        if !socket.exists() {
            tried.push(format!("{} is not there", socket.display()));
            continue;
        }
        match Engine::connect(&format!("unix://{}", socket.display()), ANSWER_MAX).await {
            Ok(engine) => return Ok(engine),
            Err(why) => tried.push(format!("{} does not answer ({why})", socket.display())),
        }
    }
    Err(format!("DOCKER_HOST is not set, {}", tried.join(", ")))
}

/// Where engines listen when nobody says otherwise: Docker, Podman of this user, Podman of the system, Docker of a desktop.
fn sockets() -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        sockets.push(PathBuf::from(folder).join("podman/podman.sock"));
    }
    sockets.push(PathBuf::from(format!("/run/user/{}/podman/podman.sock", geteuid().as_raw())));
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    if let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        sockets.push(PathBuf::from(home).join(".docker/run/docker.sock"));
    }
    let mut seen = std::collections::BTreeSet::new();
    sockets.retain(|socket| seen.insert(socket.clone()));
    sockets
}

/// Finds out whether commands can have mount namespaces.
async fn host(python: &Path) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("only Linux has them".to_owned());
    }
    let mut command = tokio::process::Command::new(python);
    command.args(["-I", "-S", "-c", crate::python::ROOM]).arg(std::env::temp_dir()).kill_on_drop(true);
    match tokio::time::timeout(ANSWER_MAX, command.output()).await {
        Ok(Ok(done)) if done.status.success() => Ok(()),
        Ok(Ok(done)) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
    }
}

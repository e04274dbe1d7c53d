//! Who owns the executions of a log in NATS, and what workers have to know of that process.

use anyhow::bail;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skein_log::jetstream::JetStreamLeases;
use skein_log::{LeaseError, LeaseStore as _, Revision};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

/// The key by which one process says that the executions of a region are its own.
const OWNER: &str = "owner";
/// How long it says so without saying it again. A process that died elsewhere keeps the next one waiting that long at most.
const OWNER_TTL: Duration = Duration::from_secs(5);
/// The wait before a key that is held is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Where the workers of a server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkersAre {
    /// In its own process; nobody else gets any of its work.
    Inside,
    /// In processes of their own.
    Apart,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The process.
    process: Process,
    /// The version of the program.
    pub version: String,
    /// The form in which it hands out work and takes results, see [`skein_model::work::PROTOCOL`].
    pub protocol: u16,
    /// Where its workers are.
    pub workers: WorkersAre,
    /// The URL under which its values are.
    pub blobs: String,
    /// Where it listens; none from a version that did not say.
    #[serde(default)]
    pub address: Option<SocketAddr>,
}

impl Server {
    /// Describes this process.
    pub fn this(workers: WorkersAre, blobs: &str, address: SocketAddr) -> Self {
        Self {
            process: Process::this(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: skein_model::work::PROTOCOL,
            workers,
            blobs: blobs.to_owned(),
            address: Some(address),
        }
    }

    /// Answers what the server of a log says of itself; none when there is none, or it says something else.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn find(leases: &JetStreamLeases) -> Result<Option<Self>, LeaseError> {
        let found = leases.get(OWNER).await?;
        Ok(found.and_then(|(_, value)| serde_json::from_slice(&value).ok()))
    }
}

/// A process, known among all that ran since the machine started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    /// The start of the machine and the namespace in which `id` means something; empty where that cannot be had.
    machine: String,
    id: u32,
    /// When it began, in the kernel's ticks.
    began: u64,
}

impl Process {
    fn this() -> Self {
        let id = std::process::id();
        Self { machine: machine().unwrap_or_default(), id, began: began(id).unwrap_or(0) }
    }

    /// Says whether it certainly runs no more. Of a process elsewhere nothing is certain.
    fn is_gone(&self) -> bool {
        machine().is_some_and(|machine| machine == self.machine) && began(self.id) != Some(self.began)
    }
}

fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Answers when a process began, by proc(5); none when there is none, or it has ended and waits for its parent.
fn began(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Says, again and again, that the executions of a region are this process's. A hint that keeps two engines from
/// working against each other; what keeps them from writing over each other is the log.
pub struct Ownership {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Ownership {
    /// Waits until nobody owns them, or whoever did is gone.
    ///
    /// # Errors
    /// When somebody does and goes on saying so, or the log is out of reach.
    pub async fn take(leases: JetStreamLeases, server: &Server) -> anyhow::Result<Self> {
        let value = Bytes::from(serde_json::to_vec(server)?);
        let mut waited = Duration::ZERO;
        let revision = loop {
            match leases.create(OWNER, value.clone(), OWNER_TTL).await {
                Ok(revision) => break revision,
                Err(LeaseError::Held { .. }) if waited <= OWNER_TTL => {
                    if !clear(&leases).await? {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    waited += LOOK_AGAIN;
                }
                Err(LeaseError::Held { .. }) => {
                    let holder = Server::find(&leases).await.ok().flatten();
                    let holder = holder.map_or_else(String::new, |server| {
                        format!(" (process {}, version {})", server.process.id, server.version)
                    });
                    bail!("the log in NATS is in use by another `skein up`{holder}; stop that one first");
                }
                Err(error) => return Err(error.into()),
            }
        };
        let (end, ended) = oneshot::channel();
        Ok(Self { task: tokio::spawn(keep(leases, value, revision, ended)), end })
    }

    /// Gives the ownership up, so that the next process need not wait.
    pub async fn release(self) {
        // The task may have ended by itself; there is nothing to give up then.
        let _ended = self.end.send(());
        drop(self.task.await);
    }
}

/// Gives up what a process of this machine holds that runs no more; says whether there was such.
async fn clear(leases: &JetStreamLeases) -> Result<bool, LeaseError> {
    let Some((revision, value)) = leases.get(OWNER).await? else { return Ok(false) };
    match serde_json::from_slice::<Server>(&value) {
        // Whoever was faster has done it.
        Ok(server) if server.process.is_gone() => Ok(leases.release(OWNER, revision).await.is_ok()),
        Ok(_) | Err(_) => Ok(false),
    }
}

async fn keep(
    leases: JetStreamLeases,
    value: Bytes,
    mut revision: Revision,
    mut ended: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = &mut ended => {
                drop(leases.release(OWNER, revision).await);
                return;
            }
            () = tokio::time::sleep(OWNER_TTL / 3) => {}
        }
        match leases.renew(OWNER, revision, value.clone(), OWNER_TTL).await {
            Ok(next) => revision = next,
            Err(LeaseError::Changed { .. }) => match leases.create(OWNER, value.clone(), OWNER_TTL).await {
                Ok(next) => revision = next,
                Err(error) => warn!(%error, "another process says that it owns the executions of this log"),
            },
            Err(error) => warn!(%error, "the ownership of this log cannot be renewed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_when_another_has_its_number_and_never_when_it_is_elsewhere() {
        let this = Process::this();
        assert!(!this.is_gone());
        let before = Process { began: this.began + 1, ..this.clone() };
        assert!(before.is_gone());
        assert!(!Process { machine: "elsewhere".to_owned(), ..before }.is_gone());
    }
}

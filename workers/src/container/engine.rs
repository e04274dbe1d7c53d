//! One container of an engine that speaks Docker's API: Docker's own, or Podman's.

use super::task::Task;
use crate::capture::Capture;
use crate::child::Exit;
use crate::config::Config;
use crate::failure;
use crate::usage::Target;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures::StreamExt as _;
use skein_log::BlobStore;
use skein_model::{Failure, Work};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

/// By which label a container is known as one of a worker's folder.
const SCRATCH_LABEL: &str = "dev.skein.scratch";
/// By which label it is known which process made it.
const WORKER_LABEL: &str = "dev.skein.worker";
/// What it runs, for whoever lists containers.
const WORK_LABEL: &str = "dev.skein.work";
/// How many processes one container may have: enough for every build, and not all that a machine has.
const PROCESSES_MAX: i64 = 4_096;
/// How long an engine may say nothing while it fetches an image.
const PULL_SILENCE_MAX: Duration = Duration::from_secs(180);
/// How long the last of what was printed may take to come after the end.
const LAST_OUTPUT_MAX: Duration = Duration::from_secs(5);
/// How long an engine that does not answer is asked again what became of a container.
const ASKED_AGAIN: u32 = 20;
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// What a container ends with that SIGKILL has ended.
const KILLED: i32 = 137;
const NOT_FOUND: u16 = 404;
const BAD_REQUEST: u16 = 400;

/// An engine.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) docker: bollard::Docker,
    /// Its name and version, as it says them itself.
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: String,
    /// What tells this process from every other that had the same folder: its number alone may come again.
    process: String,
}

/// What a container is made of beside its task.
pub(super) struct Order<'a> {
    pub task: &'a Task,
    pub work: &'a Work,
    /// Its command line, rendered.
    pub argv: &'a [String],
    pub env: BTreeMap<String, String>,
    /// The folder here that it sees as that of its inputs.
    pub inputs: &'a Path,
    /// The folder here that it sees as that of its outputs.
    pub outputs: &'a Path,
}

/// A container that runs. It is removed when this is dropped, if it was not before.
pub(super) struct Running {
    engine: Engine,
    name: String,
    is_removed: bool,
    capture: Capture,
    printing: JoinHandle<()>,
    memory_bytes: Option<u64>,
    /// How often the kernel had killed for want of memory before it began.
    kills_before: Option<u64>,
}

impl Engine {
    /// Makes and starts a container, and fetches its image first when it is not there.
    ///
    /// # Errors
    /// What the user is told when that cannot be done.
    pub(super) async fn start(
        &self,
        config: &Config,
        blobs: &Arc<BlobStore>,
        order: Order<'_>,
    ) -> Result<Running, Failure> {
        self.fetch(&order.task.image).await?;
        let name = name(config, order.work);
        // What an earlier process left of the same try has its name.
        self.remove(&name).await.map_err(|error| self.fault(&error))?;
        let (sender, log) = pipe::pipe().map_err(|error| failure::not_started(&error))?;
        let capture = Capture::start(log, Arc::clone(blobs), config.log);
        capture.begin(&order.work.output_prefix).await;
        // Before it is made: whoever stops the attempt meanwhile has it removed by this.
        let mut running = Running {
            engine: self.clone(),
            name,
            is_removed: false,
            capture,
            printing: tokio::spawn(std::future::ready(())),
            memory_bytes: order.task.limits.memory_bytes,
            kills_before: kills(),
        };
        let created = self.create(config, &running.name, &order).await;
        created.map_err(|error| self.refused(&order.task.image, &error))?;
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        // Podman makes all of a container ready for that, so that what cannot be started is refused here.
        let attached = self.docker.attach_container(&running.name, Some(options)).await;
        running.printing =
            tokio::spawn(print(attached.map_err(|error| self.refused(&order.task.image, &error))?, sender));
        match self.docker.start_container(&running.name, None).await {
            Ok(()) => Ok(running),
            Err(error) => Err(self.refused(&order.task.image, &error)),
        }
    }

    async fn create(&self, config: &Config, name: &str, order: &Order<'_>) -> Result<(), Error> {
        let Order { task, work, argv, env, inputs, outputs } = order;
        let (entrypoint, rest) = argv.split_at(task.command_words.min(argv.len()));
        let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        let mount = |here: &Path, there: &Path| Mount {
            typ: Some(MountType::BIND),
            source: Some(here.display().to_string()),
            target: Some(there.display().to_string()),
            ..Mount::default()
        };
        let bytes = task.limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        // More than the machine has is no limit, and refused.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64 * 1_000;
        let cores = task.limits.cpu_millis.and_then(|millis| i64::try_from(millis.min(cores)).ok());
        let label = |name: &str, value: String| (name.to_owned(), value);
        let body = ContainerCreateBody {
            image: Some(task.image.clone()),
            entrypoint: words(entrypoint),
            cmd: words(rest),
            env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(HashMap::from([
                label(SCRATCH_LABEL, config.scratch.display().to_string()),
                label(WORKER_LABEL, self.process.clone()),
                label(WORK_LABEL, work.id.to_string()),
            ])),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount(inputs, &task.inputs.path), mount(outputs, &task.outputs.path)]),
                memory: bytes,
                // As much again in swap would only make an end in thrashing of it.
                memory_swap: bytes,
                nano_cpus: cores.map(|millis| millis * 1_000_000),
                pids_limit: Some(PROCESSES_MAX),
                // What it prints is kept in the blob store, within bounds; the engine's own copy would have none.
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.docker.create_container(Some(options), body).await.map(drop)
    }

    /// Fetches an image when it is not there.
    async fn fetch(&self, image: &str) -> Result<(), Failure> {
        match self.docker.inspect_image(image).await {
            Ok(_) => return Ok(()),
            Err(Error::DockerResponseServerError { status_code: NOT_FOUND, .. }) => {}
            Err(error) => return Err(self.refused(image, &error)),
        }
        tracing::info!(image, engine = self.name, "an image is fetched");
        let options = CreateImageOptionsBuilder::new().from_image(&with_tag(image)).build();
        let mut steps = self.docker.create_image(Some(options), None, None);
        loop {
            match tokio::time::timeout(PULL_SILENCE_MAX, steps.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(self.not_pulled(image, &error)),
                Err(_) => {
                    let seconds = PULL_SILENCE_MAX.as_secs();
                    return Err(failure::image_pull(
                        image,
                        &format!("{} says nothing for {seconds} s", self.name),
                    ));
                }
            }
        }
        // An engine may end the stream well and have nothing to show for it.
        self.docker.inspect_image(image).await.map_err(|error| self.not_pulled(image, &error)).map(drop)
    }

    fn not_pulled(&self, image: &str, error: &Error) -> Failure {
        match error {
            Error::DockerResponseServerError { status_code: BAD_REQUEST, message } => {
                failure::image_name(image, message)
            }
            Error::DockerResponseServerError { message, .. }
            | Error::DockerStreamError { error: message } => failure::image_pull(image, message),
            error => self.fault(error),
        }
    }

    /// The engine answers that it cannot make or start the container: that lies in what was asked for.
    fn refused(&self, image: &str, error: &Error) -> Failure {
        match error {
            Error::DockerResponseServerError { message, .. } => failure::container_refused(image, message),
            error => self.fault(error),
        }
    }

    /// The engine does not answer.
    fn fault(&self, error: &Error) -> Failure {
        failure::engine(&format!("{} at {} cannot be used: {error}", self.name, self.address))
    }

    async fn remove(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(id, Some(options)).await {
            Err(Error::DockerResponseServerError { status_code: NOT_FOUND, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the containers that an earlier process of the same folder left.
    pub(super) async fn remove_orphans(&self, config: &Config) {
        let filters =
            HashMap::from([("label", vec![format!("{SCRATCH_LABEL}={}", config.scratch.display())])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = match self.docker.list_containers(Some(options)).await {
            Ok(found) => found,
            Err(error) => {
                return tracing::warn!(%error, "it is not known whether an earlier process left containers");
            }
        };
        for container in found {
            let maker = container.labels.unwrap_or_default().remove(WORKER_LABEL);
            let Some(id) = container.id.filter(|_| maker.as_ref() != Some(&self.process)) else { continue };
            match self.remove(&id).await {
                Ok(()) => tracing::info!(id, "a container that an earlier process left is removed"),
                Err(error) => tracing::warn!(id, %error, "a container that an earlier process left stays"),
            }
        }
    }
}

/// Names the container of a try, so that there cannot be two.
fn name(config: &Config, work: &Work) -> String {
    let of = format!("{}\0{}", config.scratch.display(), work.id);
    let digest = xxhash_rust::xxh3::xxh3_64(of.as_bytes());
    let execution: String = work
        .id
        .execution
        .name
        .chars()
        .filter(|of| of.is_ascii_alphanumeric() || *of == '-')
        .take(40)
        .collect();
    format!("skein-{execution}-{digest:016x}")
}

/// An image without a tag would be all of its tags.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Hands on what a container prints, until it has ended or nobody listens.
async fn print(mut attached: AttachContainerResults, mut sender: pipe::Sender) {
    while let Some(Ok(printed)) = attached.output.next().await {
        let (LogOutput::StdErr { message }
        | LogOutput::StdOut { message }
        | LogOutput::StdIn { message }
        | LogOutput::Console { message }) = printed;
        if sender.write_all(&message).await.is_err() {
            return;
        }
    }
}

impl Running {
    /// Waits until it has ended by itself. May be dropped while it waits.
    pub(super) async fn exited(&self) -> Result<Exit, Failure> {
        let mut tries = 0;
        loop {
            let mut wait = self.engine.docker.wait_container(&self.name, None::<WaitContainerOptions>);
            if let Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) = wait.next().await {
                return self.how().await;
            }
            // A wait that broke off says nothing of the container.
            match self.engine.docker.inspect_container(&self.name, None).await {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(false) => {
                    return self.how().await;
                }
                Ok(_) => tries = 0,
                Err(error) if tries >= ASKED_AGAIN => return Err(self.engine.fault(&error)),
                Err(Error::DockerResponseServerError { status_code: NOT_FOUND, .. }) => {
                    return Err(failure::engine("the container was removed by somebody else while it ran"));
                }
                Err(_) => tries += 1,
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Answers how it is looked at; none when its processes are not on this machine, where Docker runs one of its own.
    pub(super) async fn target(&self) -> Option<Target> {
        let found = self.engine.docker.inspect_container(&self.name, None).await.ok()?;
        let pid = u32::try_from(found.state?.pid?).ok().filter(|pid| *pid > 0)?;
        // Both engines name the control group of a container by its id.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(found.id.filter(|id| !id.is_empty())?.as_str()).then(|| Target::of_process(pid))
    }

    /// Answers how it ended, by what the engine knows of it.
    async fn how(&self) -> Result<Exit, Failure> {
        let found = self.engine.docker.inspect_container(&self.name, None).await;
        let state = found.map_err(|error| self.engine.fault(&error))?.state.unwrap_or_default();
        let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
        // Not every engine hears of it. Then the kernel has killed somebody since, and this one had a limit and was killed.
        let is_killed = code == Some(KILLED) && self.memory_bytes.is_some() && kills() > self.kills_before;
        if state.oom_killed == Some(true) || is_killed {
            return Err(failure::container_out_of_memory(self.memory_bytes));
        }
        Ok(code.map_or(Exit::Lost, Exit::Code))
    }

    /// Ends it: SIGTERM, and SIGKILL for all that is left after `grace`.
    pub(super) async fn end(&self, grace: Duration) {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        if self.engine.docker.stop_container(&self.name, Some(options)).await.is_err() {
            let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
            // One that has ended already cannot be killed; whatever it is, it is removed next.
            let _ = self.engine.docker.kill_container(&self.name, Some(options)).await;
        }
    }

    /// Takes the last of what it printed, and removes it.
    pub(super) async fn finish(mut self) -> String {
        if tokio::time::timeout(LAST_OUTPUT_MAX, &mut self.printing).await.is_err() {
            self.printing.abort();
        }
        let tail = self.capture.end().await.tail;
        match self.engine.remove(&self.name).await {
            Ok(()) => self.is_removed = true,
            Err(error) => tracing::warn!(name = self.name, %error, "a container is not removed yet"),
        }
        tail
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.printing.abort();
        if !self.is_removed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (engine, name) = (self.engine.clone(), std::mem::take(&mut self.name));
            runtime.spawn(async move {
                if let Err(error) = engine.remove(&name).await {
                    tracing::warn!(name, %error, "a container stays behind until the next start");
                }
            });
        }
    }
}

/// Says where Docker's API might be, and whether it is.
impl Engine {
    /// Connects to an engine at `address`, such as `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) async fn connect(address: &str, within: Duration) -> Result<Self, String> {
        let docker = if address.starts_with("unix://") {
            bollard::Docker::connect_with_unix(address, DEFAULT_SECONDS, bollard::API_DEFAULT_VERSION)
        } else if address.starts_with("tcp://") || address.starts_with("http://") {
            bollard::Docker::connect_with_http(address, DEFAULT_SECONDS, bollard::API_DEFAULT_VERSION)
        } else {
            return Err("it has to begin with unix://, tcp:// or http://".to_owned());
        };
        let docker = docker.map_err(|error| error.to_string())?;
        let asked = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok::<_, Error>((docker, version))
        };
        let (docker, said) = match tokio::time::timeout(within, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(words(&error)),
            Err(_) => return Err(format!("no answer within {} s", within.as_secs())),
        };
        let component = said.components.unwrap_or_default().into_iter().next();
        let name = component.map_or_else(|| "Engine".to_owned(), |component| component.name);
        let name = format!("{name} {}", said.version.unwrap_or_default()).trim().to_owned();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let process = format!("{}-{}", std::process::id(), since.as_nanos());
        Ok(Self { docker, name, address: address.to_owned(), process })
    }
}

/// Answers how often the kernel has killed a process for want of memory, in whichever group; none where it does not say.
fn kills() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// How long one answer of an engine may take to begin, in seconds.
const DEFAULT_SECONDS: u64 = 120;

/// Says why a connection failed, with its causes.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest_of_them() {
        for (image, expected) in [
            ("alpine", "alpine:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("a/b:1", "a/b:1"),
            ("a@sha256:00", "a@sha256:00"),
        ] {
            assert_eq!(with_tag(image), expected);
        }
    }
}

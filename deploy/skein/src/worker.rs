//! `skein worker`: workers in a process of their own, for a server that has none.

use crate::args::Worker;
use crate::client;
use crate::machine::Machine;
use crate::owner::{Server, WorkersAre};
use crate::parts;
use crate::places::Found;
use crate::python::{self, Python};
use crate::secrets;
use crate::signals::Signals;
use crate::up::{DRAIN, ENDED_AT_ONCE};
use anyhow::{Context as _, bail};
use skein_log::BlobStore;
use skein_log::jetstream::{self, JetStream, JetStreamLeases};
use skein_model::PoolId;
use skein_secrets::Vault;
use skein_telemetry::LogFormat;
use skein_workers::Workers;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How long the answer to a report is waited for before it is sent again: a server that died in between has to be asked
/// again soon after it is back.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The longest wait between two tries to report.
const REPORT_AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked for a server while there is none.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked whether the server is still one that this worker can work for.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// Runs workers until told to end.
///
/// # Errors
/// When they cannot be started, or the server is one that they cannot work for; the text says what to do.
pub async fn run(worker: Worker) -> anyhow::Result<ExitCode> {
    let _telemetry = skein_telemetry::start(&telemetry(&worker))?;
    let mut signals = Signals::take()?;
    let machine = Machine::find(&worker.given)?;
    let data = prepare(&worker.data)?;
    let _locked = lock(&data)?;
    let interpreter = worker.python.clone();
    let python = tokio::task::spawn_blocking(move || python::find(interpreter.as_deref())).await??;
    let found = worker.places.find(&python.path).await?;
    let settings = jetstream::Settings { answer_timeout: ANSWER_WITHIN, ..parts::settings() };
    let stream = jetstream::connect_to_existing(&worker.log, settings).await.with_context(|| {
        format!("the server's NATS at {} cannot be used; start it, or say --log URL", worker.log)
    })?;
    let leases = stream.leases();
    let server = tokio::select! {
        server = wait_for_server(&leases, &worker.log) => server?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    check(&server)?;
    let blobs = blobs(&worker, &server)?;
    let vault = secrets::to_read(&worker.secrets, Arc::new(stream.log())).await?;
    let places = (&python, &found);
    let workers = start(&worker, &data, places, &machine, (&stream, server.address), blobs, vault)?;
    announce(&worker, &server, places, &data, &machine)?;
    let ended = tokio::select! {
        () = signals.next() => Ok(ExitCode::SUCCESS),
        reason = no_longer_fits(&leases, &server) => Err(reason),
    };
    eprintln!("skein: ending; what runs has {} s, a second signal ends at once", DRAIN.as_secs());
    tokio::select! {
        () = workers.drain(DRAIN) => ended,
        () = signals.next() => std::process::exit(ENDED_AT_ONCE),
    }
}

fn telemetry(worker: &Worker) -> skein_telemetry::Settings {
    skein_telemetry::Settings {
        service: "skein-worker".to_owned(),
        filter: std::env::var("SKEIN_LOG").ok().filter(|filter| !filter.is_empty()),
        format: if worker.json_logs { LogFormat::Json } else { LogFormat::Text },
        otlp_endpoint: std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|at| !at.is_empty()),
    }
}

fn prepare(data: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(data).with_context(|| format!("the folder {} cannot be made", data.display()))?;
    data.canonicalize().with_context(|| format!("the folder {} cannot be used", data.display()))
}

/// Keeps the folder for this process: what another left there is removed at the start.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("worker.lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("the folder {} is in use by another `skein worker`; say another --data DIR", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Waits until there is a server: workers may be started first.
async fn wait_for_server(leases: &JetStreamLeases, url: &str) -> anyhow::Result<Server> {
    let mut is_told = false;
    loop {
        match Server::find(leases).await {
            Ok(Some(server)) => return Ok(server),
            Ok(None) => {}
            // The first server of all makes what is missing.
            Err(error) => debug!(%error, "the server cannot be looked for"),
        }
        if !is_told {
            println!("skein worker waits for a server; start one with `skein up --log {url} --no-workers`");
            std::io::stdout().flush()?;
            is_told = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Refuses a server that this worker cannot work for.
fn check(server: &Server) -> anyhow::Result<()> {
    let (own, version) = (skein_model::work::PROTOCOL, env!("CARGO_PKG_VERSION"));
    if server.protocol != own {
        bail!(
            "the server is version {} and hands out work in form {}, this worker is version {version} and knows form {own}; \
             run the same version of both",
            server.version,
            server.protocol
        );
    }
    if server.workers == WorkersAre::Inside {
        bail!("the server runs its own workers and hands no work to others; start it with --no-workers");
    }
    Ok(())
}

/// Opens the values of the server, which have to be there already.
fn blobs(worker: &Worker, server: &Server) -> anyhow::Result<Arc<BlobStore>> {
    let folder = server.blobs.strip_prefix("file://").map(PathBuf::from);
    let folder = worker.blobs.clone().or(folder).with_context(|| {
        format!("the server keeps its values at {}, which this worker cannot open", server.blobs)
    })?;
    if !folder.is_dir() {
        bail!(
            "{} is no folder here; the server keeps its values at {}: share that folder with this machine, under the same path",
            folder.display(),
            server.blobs
        );
    }
    let blobs = parts::blobs(&folder)?;
    if blobs.root() != server.blobs {
        bail!(
            "the server keeps its values at {}, --blobs says {}; both have to name the same folder by the same path",
            server.blobs,
            blobs.root()
        );
    }
    Ok(Arc::new(blobs))
}

fn slots(worker: &Worker) -> std::num::NonZeroUsize {
    worker
        .slots
        .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN))
}

fn start(
    worker: &Worker,
    data: &Path,
    (python, found): (&Python, &Found),
    given: &Machine,
    (stream, address): (&JetStream, Option<SocketAddr>),
    blobs: Arc<BlobStore>,
    vault: Arc<Vault>,
) -> anyhow::Result<Workers> {
    let pool = PoolId(worker.pool.clone());
    let mut config = skein_workers::Config::new(pool, python.path.clone(), data.join("scratch"));
    config.slots = slots(worker);
    config.bytecode = data.join("bytecode");
    config.report_delay_max = REPORT_AGAIN;
    config.secrets = Some(vault);
    config.env_added = address.map(client::variables).unwrap_or_default();
    given.settle(&mut config);
    found.tell(&mut config);
    if let Some(mib) = worker.keep_log_mib {
        config.log.bytes_max = u64::from(mib.get()) << 20;
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    config.worker = format!("worker-{}-{}", machine.trim(), std::process::id());
    Workers::start(config, Arc::new(stream.queue()), Arc::new(stream.inbox()), blobs)
        .context("the scratch folder cannot be set up")
}

fn announce(
    worker: &Worker,
    server: &Server,
    (python, found): (&Python, &Found),
    data: &Path,
    machine: &Machine,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "skein worker is ready: {} slots, pool {}", slots(worker), worker.pool)?;
    writeln!(out, "  server    {} (version {})", worker.log, server.version)?;
    writeln!(out, "  values    {}", server.blobs)?;
    writeln!(out, "  data      {}", data.display())?;
    let Python { path, version, flytekit } = python;
    writeln!(out, "  python    {} (Python {version}, flytekit {flytekit})", path.display())?;
    if !worker.secrets.is_given() {
        writeln!(
            out,
            "  secrets   no key: tasks that ask for secrets fail here; {}",
            secrets::HOW_TO_GIVE_A_KEY
        )?;
    }
    for (name, what) in found.lines().into_iter().chain(machine.told()) {
        writeln!(out, "  {name:<9} {what}")?;
    }
    out.flush()
}

/// Waits until the server is another than the one that was found and this worker cannot work for it; answers why. While
/// there is none, results wait.
async fn no_longer_fits(leases: &JetStreamLeases, first: &Server) -> anyhow::Error {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        let Ok(Some(server)) = Server::find(leases).await else { continue };
        if let Err(reason) = check(&server) {
            return reason;
        }
        if server.blobs != first.blobs {
            return anyhow::anyhow!(
                "the server keeps its values at {} now, not at {} any more; start the worker again",
                server.blobs,
                first.blobs
            );
        }
    }
}

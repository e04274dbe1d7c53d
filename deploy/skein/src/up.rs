//! `skein up`: gateway, engine and workers in one process, or without the workers.

use crate::args::{self, Up};
use crate::client;
use crate::config::{self, Config};
use crate::connectors::{self, Running};
use crate::machine::{Machine, kinds};
use crate::parts::{self, Parts};
use crate::places::{Found, Places};
use crate::profile::{Profile, Profiling};
use crate::python::{self, Python};
use crate::signals::Signals;
use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use skein_connectors::{Connector, Connectors};
use skein_gateway::Gateway;
use skein_log::UrlSigner;
use skein_model::{PoolId, Timestamp};
use skein_runtime::{Clock, Engine};
use skein_telemetry::LogFormat;
use skein_workers::Workers;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long what runs may take to end once the process is told to; afterwards it is handed back.
pub const DRAIN: Duration = Duration::from_secs(5);
/// What a process exits with that was told twice to end: as a shell reports one that SIGINT ended.
pub const ENDED_AT_ONCE: i32 = 130;
/// How many slots workers of their own are taken to have together when nobody says.
const SLOTS_APART: usize = 16;

/// What is said of tasks and of the machine.
struct Said<'a> {
    /// The configuration file, if there is one.
    config: Option<&'a Config>,
    /// The machine that runs attempts, if it is this one.
    machine: Option<Machine>,
    /// Who does tasks elsewhere.
    connectors: Vec<Connector>,
}

/// Everything that runs, in the order in which it is stopped.
struct System {
    stop_gateway: oneshot::Sender<()>,
    gateway: tokio::task::JoinHandle<anyhow::Result<()>>,
    workers: Option<Workers>,
    connectors: Connectors,
    engine: Engine,
    parts: Parts,
}

/// Starts everything, says so, and runs until told to end.
///
/// # Errors
/// When something cannot be started; the text says what to do.
pub async fn run(up: Up) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let _telemetry = skein_telemetry::start(&telemetry(&up))?;
    let mut signals = Signals::take()?;
    let config = config::read(&up)?;
    if !up.no_workers && config.as_ref().is_some_and(|config| config.interruptible.is_some()) {
        bail!(
            "interruptible.pool in the configuration is for workers that are apart; say --no-workers, and start \
             `skein worker --pool NAME` for it and `skein worker` for everything else"
        );
    }
    let named = config.as_ref().map(|config| config.connectors.clone()).unwrap_or_default();
    let named = connectors::with_named(named, &up.connector)?;
    let urls: Vec<_> = named.iter().map(|connector| connector.url.clone()).collect();
    let machine = (!up.no_workers).then(|| Machine::find(&up.given)).transpose()?;
    let data = prepare(&up)?;
    let workers = (!up.no_workers).then(|| tokio::spawn(look(up.python.clone(), up.places.clone())));
    let profile = up.profile.as_ref().map(|folder| profiled(folder.as_deref(), &data)).transpose()?;
    let listener = listen(&up).await?;
    let address = listener.local_addr()?;
    let parts = parts::open(&up, &data).await?;
    let workers = match workers {
        Some(workers) => Some(workers.await??),
        None => None,
    };
    let workers = workers.as_ref().map(|(python, found)| (python, found));
    let told = machine.as_ref().map(Machine::told).unwrap_or_default();
    let said = Said { config: config.as_ref(), machine, connectors: named };
    let system = start(&up, &data, workers, listener, address, parts, said).await?;
    let client = client::write(&data, address).context("the client's configuration cannot be written")?;
    let file = config.as_ref().map(|Config { path, rules, .. }| {
        ("config", format!("{} (rules for tasks: {})", path.display(), rules.len()))
    });
    let called = (!urls.is_empty()).then(|| ("connector", urls.join(", ")));
    let told: Vec<_> = file.into_iter().chain(called).chain(told).collect();
    announce(begun.elapsed(), address, &data, &up, workers, &told, &client)?;
    let code = wait(system, &mut signals).await;
    if let Some(profile) = profile {
        profile.end().await;
    }
    code
}

/// Looks for what workers need: the default environment, and where tasks run that ask for an image.
async fn look(given: Option<PathBuf>, places: Places) -> anyhow::Result<(Python, Found)> {
    let python = tokio::task::spawn_blocking(move || python::find(given.as_deref())).await??;
    let found = places.find(&python.path).await?;
    Ok((python, found))
}

/// Begins a profile, which is written on each SIGUSR1 until it ends.
fn profiled(folder: Option<&Path>, data: &Path) -> anyhow::Result<Profiling> {
    let folder = folder.map_or_else(|| data.join("profile"), Path::to_owned);
    Profiling::start(Profile::start(folder)?)
}

fn telemetry(up: &Up) -> skein_telemetry::Settings {
    skein_telemetry::Settings {
        service: "skein".to_owned(),
        filter: std::env::var("SKEIN_LOG").ok().filter(|filter| !filter.is_empty()),
        format: if up.json_logs { LogFormat::Json } else { LogFormat::Text },
        otlp_endpoint: std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|at| !at.is_empty()),
    }
}

fn prepare(up: &Up) -> anyhow::Result<PathBuf> {
    if !up.listen.ip().is_loopback() && !up.allow_remote {
        bail!(
            "{} can be reached by others, and there is no login: whoever reaches it can run code here. \
             Listen on 127.0.0.1, or say --allow-remote",
            up.listen
        );
    }
    if up.no_workers && up.places.is_said() {
        bail!(
            "--image and --containers are for workers, and --no-workers leaves them to others: say it to `skein worker`"
        );
    }
    let data = args::data_folder(up.data.clone())?;
    std::fs::create_dir_all(&data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))?;
    data.canonicalize().with_context(|| format!("the data folder {} cannot be used", data.display()))
}

async fn listen(up: &Up) -> anyhow::Result<TcpListener> {
    TcpListener::bind(up.listen).await.with_context(|| {
        format!(
            "{} cannot be listened on; end what does (perhaps another `skein up`), or say --listen 127.0.0.1:0",
            up.listen
        )
    })
}

async fn start(
    up: &Up,
    data: &Path,
    python: Option<(&Python, &Found)>,
    listener: TcpListener,
    address: SocketAddr,
    parts: Parts,
    Said { config, machine, connectors }: Said<'_>,
) -> anyhow::Result<System> {
    let signer =
        UrlSigner::load_or_create(&data.join("url.key")).context("the key for signed URLs cannot be had")?;
    let clock: Clock = Arc::new(now);
    let Running { connectors, to_engine, to_gateway } =
        connectors::start(connectors, data, &parts, Arc::clone(&clock)).await?;
    let mut registry = Registry::default();
    let metrics = skein_runtime::Metrics::default();
    metrics.register(&mut registry);
    let gateway = Gateway::new(
        skein_gateway::Config {
            public_url: format!("http://{address}"),
            offer: machine.as_ref().map(Machine::offer),
            // What workers of their own can run is for them to say.
            no_containers: python.and_then(|(_, found)| found.no_containers()),
            rules: config.map(|config| config.rules.clone()).unwrap_or_default(),
            connectors: Some(to_gateway),
            log_links: config.map(|config| config.log_links.clone()).unwrap_or_default(),
            ..skein_gateway::Config::default()
        },
        Arc::clone(&parts.log),
        parts.inbox.clone(),
        Arc::clone(&parts.blobs),
        signer,
        Arc::clone(&parts.vault),
        Arc::clone(&clock),
        &data.join("views"),
        registry,
    )
    .await?;
    let mut engine_config = engine_config(up, config, machine.as_ref());
    engine_config.connectors = Some(to_engine);
    if engine_config.notify.link.is_empty() {
        engine_config.notify.link =
            format!("http://{address}/api/v1/executions/{{project}}/{{domain}}/{{name}}/show");
    }
    let engine = Engine::start(
        engine_config,
        metrics,
        Arc::clone(&parts.log),
        parts.inbox.clone(),
        parts.queue.clone(),
        Arc::clone(&parts.blobs),
        clock,
    )
    .await?;
    let workers = python.zip(machine.as_ref());
    let workers = workers
        .map(|(python, machine)| workers_of(up, data, python, (machine, config), &parts))
        .transpose()?;
    let gateway = match &workers {
        Some(workers) => gateway.beside(workers.fast_task()),
        None => gateway,
    };
    let (stop_gateway, stopped) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let until = async move { drop(stopped.await) };
        Ok(gateway.serve(listener, until).await?)
    });
    Ok(System { stop_gateway, gateway: serving, workers, connectors, engine, parts })
}

/// What the engine hands out at once goes by the cores of this machine, or by the slots of the workers that are apart.
fn engine_config(up: &Up, given: Option<&Config>, machine: Option<&Machine>) -> skein_runtime::Config {
    let gpus = machine.and_then(|machine| machine.gpus.as_deref()).map(kinds).unwrap_or_default();
    let mut config = skein_runtime::Config {
        gpus,
        offer: machine.map(Machine::offer),
        ..skein_runtime::Config::default()
    };
    if let Some(Config { rules, execution_rules, interruptible, notify, .. }) = given {
        (config.rules, config.execution_rules) = (rules.clone(), execution_rules.clone());
        config.interruptible = interruptible.clone();
        config.notify = notify.clone();
    }
    if up.no_workers {
        let slots = up.slots.map_or(SLOTS_APART, std::num::NonZero::get);
        config.chunks_on_offer = u32::try_from(slots.saturating_mul(2)).unwrap_or(u32::MAX);
        config.handed_out_max = slots.saturating_mul(4);
    }
    config
}

fn workers_of(
    up: &Up,
    data: &Path,
    (python, found): (&Python, &Found),
    (machine, given): (&Machine, Option<&Config>),
    parts: &Parts,
) -> anyhow::Result<Workers> {
    let pool = PoolId("default".to_owned());
    let mut config = skein_workers::Config::new(pool, python.path.clone(), data.join("scratch"));
    config.log.bytes_max = given.and_then(|given| given.log_bytes_max).unwrap_or(config.log.bytes_max);
    config.slots = up.slots.unwrap_or(config.slots);
    // Outside of the scratch folder, which is emptied at every start: compiling the SDK takes two seconds.
    config.bytecode = data.join("bytecode");
    config.secrets = Some(Arc::clone(&parts.vault));
    machine.settle(&mut config);
    found.tell(&mut config);
    Workers::start(config, parts.queue.clone(), parts.inbox.clone(), Arc::clone(&parts.blobs))
        .context("the scratch folder cannot be set up")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn announce(
    took: Duration,
    address: SocketAddr,
    data: &Path,
    up: &Up,
    python: Option<(&Python, &Found)>,
    told: &[(&str, String)],
    client: &Path,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "skein is ready: http://{address}  ({:.2} s)", took.as_secs_f64())?;
    writeln!(out, "  data      {}", data.display())?;
    match python {
        Some((Python { path, version, flytekit }, found)) => {
            writeln!(out, "  python    {} (Python {version}, flytekit {flytekit})", path.display())?;
            for (name, what) in found.lines() {
                writeln!(out, "  {name:<9} {what}")?;
            }
        }
        None => writeln!(
            out,
            "  workers   none here; start some: skein worker --log {} --data DIR --python PATH",
            up.kept.log.as_deref().unwrap_or_default()
        )?,
    }
    for (name, what) in told {
        writeln!(out, "  {name:<9} {what}")?;
    }
    writeln!(out, "In another terminal, for pyflyte and for union:")?;
    writeln!(out, "  export FLYTECTL_CONFIG={}", client.display())?;
    writeln!(out, "  export UNION_CONFIG={}", client.display())?;
    out.flush()
}

async fn wait(mut system: System, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = &mut system.gateway => {
            ended??;
            bail!("the gateway has ended by itself");
        }
        () = signals.next() => {}
    }
    eprintln!("skein: ending; what runs has {} s, a second signal ends at once", DRAIN.as_secs());
    tokio::select! {
        () = system.stop() => Ok(ExitCode::SUCCESS),
        () = signals.next() => std::process::exit(ENDED_AT_ONCE),
    }
}

impl System {
    /// Lets no more in, lets what runs end, and hands back what does not.
    async fn stop(self) {
        // A gateway that has ended by itself has been reported.
        let _ended = self.stop_gateway.send(());
        if let Some(workers) = self.workers {
            workers.drain(DRAIN).await;
        }
        self.connectors.drain(DRAIN).await;
        drop(self.gateway.await);
        self.engine.stop().await;
        if let Some(owner) = self.parts.owner {
            owner.release().await;
        }
    }
}

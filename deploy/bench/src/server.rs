//! One `skein up` on a folder of its own.

use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const READY: &str = "skein is ready: ";
const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
/// Variables that would lead the SDK elsewhere, or make every start of Python slow.
const LEFT_OUT: [&str; 6] = [
    "FLYTECTL_CONFIG",
    "UNION_CONFIG",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// The functions that are measured, as files of a package.
const TASKS: [(&str, &str); 4] = [
    ("__init__.py", include_str!("../tasks/__init__.py")),
    ("chains.py", include_str!("../tasks/chains.py")),
    ("maps.py", include_str!("../tasks/maps.py")),
    ("swarm.py", include_str!("../tasks/swarm.py")),
];

/// In which processes they run: by their names, so that they are what anybody's are.
const RULES: &str = "[[tasks]]\nname = \"bench_tasks.*reused*\"\nisolation = \"reuse\"\n\n\
                     [[tasks]]\nname = \"bench_tasks.*forked*\"\nisolation = \"fork\"\n";

/// How a server is started.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) program: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) words: Vec<String>,
}

/// A server.
pub(crate) struct Server {
    how: How,
    folder: TempDir,
    process: Child,
    /// Where it listens, as a URL.
    pub(crate) url: String,
    /// From its start to the line that says that it is ready.
    pub(crate) took: Duration,
}

impl Server {
    /// Starts a server on a new folder and registers the functions there, with the SDK's own command line.
    pub(crate) async fn new(how: &How) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("skein-bench-").tempdir()?;
        std::fs::write(folder.path().join("skein.toml"), RULES)?;
        let (process, url, took) = start(how, folder.path(), "127.0.0.1:0").await?;
        let server = Self { how: how.clone(), folder, process, url, took };
        server.register().await?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Answers a path of the server's own, for what functions write.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn register(&self) -> anyhow::Result<()> {
        let package = self.folder.path().join("tasks/bench_tasks");
        std::fs::create_dir_all(&package)?;
        for (name, text) in TASKS {
            std::fs::write(package.join(name), text)?;
        }
        let done = quiet(&self.how.python)
            .args([
                "-m",
                "flytekit.clis.sdk_in_container.pyflyte",
                "register",
                "--version",
                "v1",
                "bench_tasks",
            ])
            .current_dir(self.folder.path().join("tasks"))
            .env("FLYTECTL_CONFIG", self.data().join("client.yaml"))
            .stdin(Stdio::null())
            .output()
            .await?;
        if !done.status.success() {
            let said = [done.stdout, done.stderr].concat();
            bail!("the SDK does not register the functions:\n{}", String::from_utf8_lossy(&said));
        }
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Starts it again on the same folder and address.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        let at = self.url.trim_start_matches("http://").to_owned();
        (self.process, self.url, self.took) = start(&self.how, self.folder.path(), &at).await?;
        Ok(())
    }

    /// Asks it to end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(STOP_MAX, self.process.wait()).await.context("it does not end")??;
        Ok(())
    }

    /// Answers how much memory it has, and the most it had since [`Self::forget_peak`], in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(self.proc("status")?)?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            let kib: f64 = line.trim_end_matches("kB").trim().parse()?;
            anyhow::Ok(kib / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Lets the peak of its memory begin anew.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.proc("clear_refs")?, "5")?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<PathBuf> {
        let id = self.process.id().context("the server has ended")?;
        Ok(PathBuf::from(format!("/proc/{id}/{file}")))
    }

    /// Answers how many bytes the bodies of an execution's records have, as `skein log stats` tells them.
    pub(crate) async fn journal_bytes(&self, execution: &str) -> anyhow::Result<u64> {
        let told = quiet(&self.how.program)
            .args([OsStr::new("log"), OsStr::new("stats"), self.data().as_os_str()])
            .args(["--journal", execution])
            .output()
            .await?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let row = told.lines().find(|line| line.starts_with("execution"));
        let bytes = row.and_then(|row| row.split_whitespace().nth(4)?.parse().ok());
        bytes.with_context(|| format!("no bytes in {told}"))
    }

    /// Lists the chunks that an execution's journal has, as `skein log cat` tells them.
    pub(crate) async fn chunks(&self, execution: &str) -> anyhow::Result<Vec<Chunk>> {
        let told = quiet(&self.how.program)
            .args([OsStr::new("log"), OsStr::new("cat"), self.data().as_os_str()])
            .args(["--journal", execution])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        anyhow::ensure!(told.status.success(), "the journal of {execution} cannot be read: {said}");
        let mut chunks = Vec::new();
        for line in String::from_utf8_lossy(&told.stdout).lines() {
            let record: serde_json::Value = serde_json::from_str(line)?;
            let recorded = record["time_us"].as_f64().context("a record without time_us")? / 1e6;
            for event in record["events"].as_array().into_iter().flatten() {
                let range = &event["ItemsFinished"]["chunk"]["range"];
                if let (Some(start), Some(end)) = (range["start"].as_u64(), range["end"].as_u64()) {
                    chunks.push(Chunk { start: u32::try_from(start)?, end: u32::try_from(end)?, recorded });
                }
            }
        }
        Ok(chunks)
    }
}

/// A chunk of a map as the journal has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) start: u32,
    /// The item after the last.
    pub(crate) end: u32,
    /// When it was recorded, in seconds since the epoch.
    pub(crate) recorded: f64,
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in LEFT_OUT {
        command.env_remove(name);
    }
    command.env("UNION_USAGE_STATS_ENABLED", "0");
    command
}

async fn start(how: &How, folder: &Path, listen: &str) -> anyhow::Result<(Child, String, Duration)> {
    let began = Instant::now();
    let said = std::fs::File::options().create(true).append(true).open(folder.join("stderr.txt"))?;
    let mut process = quiet(&how.program)
        .arg("up")
        .arg("--data")
        .arg(folder.join("data"))
        .args(["--listen", listen, "--python"])
        .arg(&how.python)
        .arg("--config")
        .arg(folder.join("skein.toml"))
        .args(&how.words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(said)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", how.program.display()))?;
    let out = process.stdout.take().context("its output is a pipe")?;
    let mut lines = BufReader::new(out).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(rest) = line.strip_prefix(READY) {
                return Ok(rest.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        let said = std::fs::read_to_string(folder.join("stderr.txt"))?;
        bail!("the server ended before it was ready:\n{said}")
    };
    let url = tokio::time::timeout(READY_MAX, ready).await.context("the server is not ready")??;
    let took = began.elapsed();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((process, url, took))
}

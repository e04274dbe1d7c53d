//! A `skein up` that ends with the value that holds it.

use crate::repository::target;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const READY: &str = "skein is ready: ";
const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(30);
const END_POLL: Duration = Duration::from_millis(20);

/// A running server.
pub(crate) struct Server {
    child: Option<Child>,
    /// Where it answers, as it said itself.
    pub(crate) url: String,
    /// Where its data is.
    pub(crate) data: PathBuf,
    /// How long it took from its start to the line that says it is ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts the binary on a free loopback port with a new data folder, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When no port is free, or the server ends or stays silent; what it wrote is printed by itself.
    pub(crate) fn start(binary: &Path, python: &Path) -> Result<Self> {
        let data = new_data_folder()?;
        let start = Instant::now();
        let mut child = Command::new(binary)
            .arg("up")
            .arg("--data")
            .arg(&data)
            .args(["--listen", &format!("127.0.0.1:{}", free_port()?)])
            .arg("--python")
            .arg(python)
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let output = child.stdout.take().context("the server has no standard output")?;
        let mut server = Self { child: Some(child), url: String::new(), data, ready_after: Duration::ZERO };
        server.url = wait_until_ready(output)?;
        server.ready_after = start.elapsed();
        Ok(server)
    }

    /// Where the server wrote the configuration of its clients.
    pub(crate) fn client_config(&self) -> PathBuf {
        self.data.join("client.yaml")
    }

    /// Leaves the server running after this program, and answers its process id.
    pub(crate) fn keep(mut self) -> Option<u32> {
        self.child.take().map(|child| child.id())
    }

    /// Asks the server to end, and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or not with 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        terminate(&child);
        let deadline = Instant::now() + END_WITHIN;
        loop {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    bail!("the server ended with {status}");
                }
                return Ok(());
            }
            if Instant::now() > deadline {
                self.child = Some(child);
                bail!("the server did not end within {END_WITHIN:?}");
            }
            std::thread::sleep(END_POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if the process is gone already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Sends SIGTERM; `Child` itself can only kill.
fn terminate(child: &Child) {
    Command::new("kill").arg(child.id().to_string()).status().ok();
}

/// Reads lines until the server says where it listens; keeps reading, and passing on, afterwards.
fn wait_until_ready(output: ChildStdout) -> Result<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("  {line}");
            if let Some(url) = line.trim().strip_prefix(READY) {
                sender.send(url.split_whitespace().next().unwrap_or_default().to_owned()).ok();
            }
        }
    });
    match receiver.recv_timeout(READY_WITHIN) {
        Ok(url) => Ok(url),
        Err(RecvTimeoutError::Timeout) => bail!("the server was not ready within {READY_WITHIN:?}"),
        Err(RecvTimeoutError::Disconnected) => bail!("the server ended before it was ready"),
    }
}

/// A port of the loopback interface that nobody listens on now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?.port())
}

/// A new folder under `target/demo/`, named after the time.
fn new_data_folder() -> Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let folder = target().join("demo").join(now.as_millis().to_string());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

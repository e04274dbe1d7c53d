//! NATS servers of our own on loopback, one or several that know each other, in a folder that goes away with them.

use anyhow::Context as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const READY_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Servers that sync every write; they end with this value.
pub(crate) struct Nats {
    /// Where they listen, with a comma between.
    pub(crate) url: String,
    servers: Vec<Child>,
    folder: TempDir,
}

impl Nats {
    /// Starts `count` servers, and waits until each listens.
    pub(crate) async fn start(program: &Path, count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("skein-bench-nats-").tempdir()?;
        let ports = free_ports(2 * count)?;
        let (clients, routes) = ports.split_at(count);
        let url = |port: &u16| format!("nats://127.0.0.1:{port}");
        let joined = clients.iter().map(url).collect::<Vec<_>>().join(",");
        let mut nats = Self { url: joined, servers: Vec::new(), folder };
        for (number, port) in clients.iter().enumerate() {
            let config = nats.configure(number, *port, routes)?;
            let said = std::fs::File::create(config.with_extension("log"))?;
            let server = Command::new(program)
                .arg("-c")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(said)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("{} cannot be started", program.display()))?;
            nats.servers.push(server);
        }
        for (number, port) in clients.iter().enumerate() {
            nats.wait(number, *port).await?;
        }
        Ok(nats)
    }

    /// Writes a server's configuration: it syncs before it acknowledges, and more than one are a cluster.
    fn configure(&self, number: usize, port: u16, routes: &[u16]) -> anyhow::Result<PathBuf> {
        let name = format!("n{number}");
        let store = self.folder.path().join(&name);
        let mut text = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
        );
        if routes.len() > 1 {
            let all: Vec<String> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
            text += &format!(
                "cluster {{ name: bench, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                routes[number],
                all.join(", ")
            );
        }
        let config = self.folder.path().join(format!("{name}.conf"));
        std::fs::write(&config, text)?;
        Ok(config)
    }

    async fn wait(&mut self, number: usize, port: u16) -> anyhow::Result<()> {
        let until = Instant::now() + READY_MAX;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = self.servers[number].try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let said = std::fs::read_to_string(self.folder.path().join(format!("n{number}.log")))?;
                anyhow::bail!("nats-server {number} does not listen on port {port}:\n{said}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ends them, and waits until they have.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.kill().await?;
        }
        Ok(())
    }
}

/// Answers ports that nobody listens on now.
fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let bound: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    bound?.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

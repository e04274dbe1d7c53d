//! Real NATS servers on loopback, in folders that go away with them.

use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use skein_log::jetstream::{JetStream, Settings, connect};
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// One server; ends with this value, whatever became of the test.
pub(crate) struct Server {
    pub(crate) name: String,
    port: u16,
    config: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

/// Servers that know each other.
pub(crate) struct Servers {
    pub(crate) servers: Vec<Server>,
    _folder: TempDir,
}

impl Servers {
    /// Starts `count` servers that sync every write, and waits until they listen.
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, "always").await
    }

    /// Starts `count` servers with a sync interval of their configuration's words.
    pub(crate) async fn start_with(count: usize, sync: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let ports = free_ports(2 * count);
        let (clients, routes) = ports.split_at(count);
        let route = |port: &u16| format!("\"nats://127.0.0.1:{port}\"");
        let all_routes = routes.iter().map(route).collect::<Vec<_>>().join(", ");
        let mut servers = Vec::new();
        for (n, port) in clients.iter().enumerate() {
            let name = format!("n{n}");
            let store = folder.path().join(&name);
            let cluster = match count {
                1 => String::new(),
                _ => format!(
                    "cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{all_routes}] }}\n",
                    routes[n]
                ),
            };
            let config = folder.path().join(format!("{name}.conf"));
            let text = format!(
                "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\n\
                 jetstream {{ store_dir: {store:?}, sync_interval: {sync} }}\n{cluster}"
            );
            std::fs::write(&config, text).unwrap();
            let log = folder.path().join(format!("{name}.log"));
            servers.push(Server { name, port: *port, config, log, process: None });
        }
        servers.iter_mut().for_each(Server::start);
        for server in &servers {
            server.wait().await;
        }
        Self { servers, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        let url = |server: &Server| format!("nats://127.0.0.1:{}", server.port);
        self.servers.iter().map(url).collect::<Vec<_>>().join(",")
    }

    pub(crate) async fn connect(&self, settings: Settings) -> JetStream {
        connect(&self.url(), settings).await.unwrap()
    }

    /// A client of its own, for what only a test does.
    pub(crate) async fn client(&self) -> async_nats::Client {
        let urls: Vec<String> = self.url().split(',').map(str::to_owned).collect();
        async_nats::connect(urls).await.unwrap()
    }

    pub(crate) fn named(&mut self, name: &str) -> &mut Server {
        self.servers.iter_mut().find(|server| server.name == name).unwrap()
    }
}

impl Server {
    /// Starts the server on its own folder, for the first time or again.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(binary());
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// Waits until the server listens.
    pub(crate) async fn wait(&self) {
        let what = format!("{} listens; its log is {}", self.name, self.log.display());
        until(&what, async || TcpStream::connect(("127.0.0.1", self.port)).await.ok()).await;
    }

    /// Ends the server without a chance to write anything.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    match std::env::var_os("SKEIN_TEST_NATS_SERVER") {
        Some(path) => path.into(),
        None => panic!("run `cargo xtask test`, or set SKEIN_TEST_NATS_SERVER"),
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Settings of a region on `replicas` servers, with few shards and short waits.
pub(crate) fn settings(replicas: usize) -> Settings {
    Settings {
        execution_shards: 3,
        replicas,
        connect_timeout: Duration::from_secs(60),
        lease_ttl: Duration::from_secs(2),
        ..Settings::new("test")
    }
}

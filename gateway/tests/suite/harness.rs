//! A gateway to call.

use bytes::Bytes;
use prost::Message;
use skein_gateway::{Config, Gateway};
use skein_idl::flyteidl::service::admin_service_client::AdminServiceClient;
use skein_idl::flyteidl::service::data_proxy_service_client::DataProxyServiceClient;
use skein_idl::flyteidl::service::signal_service_client::SignalServiceClient;
use skein_idl::raw::RawCodec;
use skein_log::memory::{MemoryInbox, MemoryLog};
use skein_log::{BlobStore, UrlSigner};
use skein_model::Timestamp;
use skein_secrets::{KeySource, Vault};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// 2026-01-01 00:00:00 UTC, in microseconds.
const START: i64 = 1_767_225_600_000_000;

/// A gateway, and everything it works with.
pub struct Harness {
    pub log: Arc<MemoryLog>,
    pub inbox: Arc<MemoryInbox>,
    pub blobs: Arc<BlobStore>,
    pub channel: Channel,
    pub address: SocketAddr,
    pub now: Arc<AtomicI64>,
    pub config: Config,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Harness {
    /// Starts a gateway on an empty log.
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    /// Starts a gateway with settings of its own.
    pub async fn start_with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(BlobStore::local(&folder.path().join("blobs")).unwrap());
        let mut harness = Self {
            log: Arc::new(MemoryLog::default()),
            inbox: Arc::new(MemoryInbox::new(64, Duration::from_secs(5))),
            blobs,
            channel: tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
            address: ([127, 0, 0, 1], 1).into(),
            now: Arc::new(AtomicI64::new(START)),
            config,
            folder,
            stop: None,
            server: None,
        };
        harness.open().await;
        harness
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        let mut config = self.config.clone();
        config.public_url = format!("http://{}", self.address);
        let now = self.now.clone();
        // A microsecond passes with every look at the clock, so that nothing happens at the same time.
        let clock = Arc::new(move || Timestamp::from_micros(now.fetch_add(1, Ordering::Relaxed)));
        let key = KeySource::Own(self.folder.path().join("secrets.key"));
        let vault = Arc::new(Vault::open(self.log.clone(), key).await.unwrap());
        let gateway = Gateway::new(
            config,
            self.log.clone(),
            self.inbox.clone(),
            self.blobs.clone(),
            UrlSigner::new([7; 32]),
            vault,
            clock,
            &self.views(),
            prometheus_client::registry::Registry::default(),
        )
        .await
        .unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = async move {
            gateway.serve(listener, async move { drop(stopped.await) }).await.unwrap();
        };
        self.server = Some(tokio::spawn(serving));
        self.stop = Some(stop);
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        self.channel = endpoint.connect().await.unwrap();
    }

    /// The folder of the views.
    pub fn views(&self) -> PathBuf {
        self.folder.path().join("views")
    }

    /// Stops the gateway, and waits until it has ended.
    pub async fn stop(&mut self) {
        self.channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        self.stop.take().unwrap().send(()).unwrap();
        self.server.take().unwrap().await.unwrap();
    }

    /// Starts another gateway on the same log and objects.
    pub async fn start_again(&mut self) {
        self.open().await;
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(20 << 20)
    }

    pub fn data_proxy(&self) -> DataProxyServiceClient<Channel> {
        DataProxyServiceClient::new(self.channel.clone())
    }

    pub fn signals(&self) -> SignalServiceClient<Channel> {
        SignalServiceClient::new(self.channel.clone())
    }

    /// Calls a method by its path with bytes that need not be a message.
    pub async fn call_raw(&self, path: &str, request: Bytes) -> Result<Bytes, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_encoding_message_size(1 << 30);
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().unwrap();
        client.unary(Request::new(request), path, RawCodec).await.map(tonic::Response::into_inner)
    }

    /// Calls a method by its path, and gives the bytes of the answer.
    pub async fn call<M: Message>(&self, method: &str, request: &M) -> Result<Bytes, Status> {
        self.call_raw(&format!("/flyteidl.service.{method}"), request.encode_to_vec().into()).await
    }

    /// Sends an HTTP request to this gateway; answers status and body.
    pub async fn http(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that has refused may close before it has read everything.
        drop(stream.write_all(body).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let body = answer[end + 4..].to_vec();
        (status, if head.contains("transfer-encoding: chunked") { unchunk(&body) } else { body })
    }

    /// The path and query of a URL of this gateway.
    pub fn target<'a>(&self, url: &'a str) -> &'a str {
        url.strip_prefix(&format!("http://{}", self.address)).unwrap_or_else(|| panic!("{url}"))
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}

/// A failed call as status and text.
pub fn refusal<T>(answer: Result<T, Status>) -> (tonic::Code, String) {
    match answer {
        Ok(_) => panic!("the call was served"),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

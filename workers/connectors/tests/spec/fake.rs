//! A connector of the tests' own. It sends bytes, so that what it sends need not mean anything.

use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin::{self, Agent, Resource, TaskCategory};
use skein_idl::raw::RawCodec;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{NamedService, StreamingService, UnaryService};
use tonic::{Code, Request, Response, Status, Streaming};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is answered to one call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A message.
    Bytes(Vec<u8>),
    /// An error.
    Error(Code),
    /// Nothing, ever.
    Nothing,
}

impl Reply {
    pub fn meta(meta: &[u8]) -> Self {
        let resource_meta = Bytes::copy_from_slice(meta);
        Self::Bytes(admin::CreateTaskResponse { resource_meta }.encode_to_vec())
    }

    pub fn resource(resource: Resource) -> Self {
        Self::Bytes(admin::GetTaskResponse { resource: Some(resource) }.encode_to_vec())
    }

    pub fn garbage() -> Self {
        Self::Bytes(vec![0x0a, 0xff, 0xff])
    }
}

/// What the connector does: by the name of a call, what is answered one after another; the last is answered for ever.
#[derive(Debug, Default)]
struct Script {
    replies: BTreeMap<String, VecDeque<Reply>>,
    calls: Vec<(String, Bytes)>,
}

/// The connector. Dropping it ends it; its port stays its own for one that is started again.
pub struct Fake {
    pub url: String,
    script: Arc<Mutex<Script>>,
    called: watch::Receiver<usize>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// Starts one that does tasks of type `job`, and of type `call` within one call.
    pub async fn start() -> Self {
        let agent = |name: &str, is_sync| Agent {
            name: name.to_owned(),
            is_sync,
            supported_task_categories: vec![TaskCategory { name: name.to_owned(), version: 0 }],
            ..Agent::default()
        };
        let list = admin::ListAgentsResponse { agents: vec![agent("job", false), agent("call", true)] };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let (tell, called) = watch::channel(0);
        let raw = Raw { script: Arc::clone(&script), tell: Arc::new(tell) };
        let serving = tonic::transport::Server::builder()
            .add_service(Named::<0>(raw.clone()))
            .add_service(Named::<1>(raw.clone()))
            .add_service(Named::<2>(raw))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        let fake = Self { url, script, called, server };
        fake.says("ListAgents", [Reply::Bytes(list.encode_to_vec())]);
        fake.says("DeleteTask", [Reply::Bytes(Vec::new())]);
        fake
    }

    /// Has it answer so from now on.
    pub fn says(&self, call: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.insert(call.to_owned(), replies.into_iter().collect());
    }

    /// Answers what it was sent in calls of this name.
    pub fn calls(&self, call: &str) -> Vec<Bytes> {
        let script = self.script.lock().unwrap();
        script.calls.iter().filter(|(name, _)| name == call).map(|(_, sent)| sent.clone()).collect()
    }

    /// Waits until it was called so often.
    pub async fn called(&self, call: &str, times: usize) {
        let mut called = self.called.clone();
        called.wait_for(|_| self.calls(call).len() >= times).await.unwrap();
    }
}

#[derive(Clone)]
struct Raw {
    script: Arc<Mutex<Script>>,
    tell: Arc<watch::Sender<usize>>,
}

impl Raw {
    async fn answer(self, call: String, sent: Bytes) -> Result<Bytes, Status> {
        let reply = {
            let mut script = self.script.lock().unwrap();
            script.calls.push((call.clone(), sent));
            let replies = script.replies.entry(call.clone()).or_default();
            if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
        };
        self.tell.send_modify(|calls| *calls += 1);
        match reply {
            Some(Reply::Bytes(bytes)) => Ok(bytes.into()),
            Some(Reply::Error(code)) => Err(Status::new(code, "as the test says")),
            Some(Reply::Nothing) => std::future::pending().await,
            None => Err(Status::unimplemented(call)),
        }
    }
}

/// One of the services, by its name.
#[derive(Clone)]
struct Named<const SERVICE: usize>(Raw);

impl NamedService for Named<0> {
    const NAME: &'static str = "flyteidl.service.AsyncAgentService";
}

impl NamedService for Named<1> {
    const NAME: &'static str = "flyteidl.service.SyncAgentService";
}

impl NamedService for Named<2> {
    const NAME: &'static str = "flyteidl.service.AgentMetadataService";
}

impl<const SERVICE: usize> Service<http::Request<Body>> for Named<SERVICE> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let raw = self.0.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(RawCodec);
            Ok(if call == "ExecuteTaskSync" {
                grpc.streaming(Stream(raw, call), request).await
            } else {
                grpc.unary(Unary(raw, call), request).await
            })
        })
    }
}

struct Unary(Raw, String);

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Boxed<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (raw, call) = (self.0.clone(), self.1.clone());
        Box::pin(async move { raw.answer(call, request.into_inner()).await.map(Response::new) })
    }
}

struct Stream(Raw, String);

impl StreamingService<Bytes> for Stream {
    type Response = Bytes;
    type ResponseStream = tokio_stream::Once<Result<Bytes, Status>>;
    type Future = Boxed<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (raw, call) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let mut parts = request.into_inner();
            let mut all = Vec::new();
            while let Some(part) = parts.message().await? {
                all.push(part);
            }
            assert_eq!(all.len(), 2, "a header, and the inputs");
            raw.answer(call, all[0].clone()).await.map(|bytes| Response::new(tokio_stream::once(Ok(bytes))))
        })
    }
}

//! Calls to one connector, each with a limit of time. Knows what may be concluded from a call that failed.

use crate::config::Connector;
use bytes::Bytes;
use futures::stream;
use prost::Message;
use skein_idl::flyteidl::admin;
use skein_idl::raw::RawCodec;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Status};

/// The largest answer that is taken, in bytes: it is held in memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a quiet connection is tried: one that a firewall dropped would be noticed by nobody.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// For how long what was found of a connector is taken to be so.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connector may take to say what it does, if its calls may take longer: somebody waits who registers a task.
const LIST_MAX: Duration = Duration::from_secs(5);
/// How many calls one connector has to answer at once; the others wait here, where no limit of time runs. flytekit's service
/// runs all of them in one thread.
const CALLS_MAX: usize = 64;
/// The longest text of a connector's error that is passed on, in characters: it stands in the journal.
const TEXT_CHARS_MAX: usize = 8 * 1024;

const CREATE: &str = "/flyteidl.service.AsyncAgentService/CreateTask";
const GET: &str = "/flyteidl.service.AsyncAgentService/GetTask";
const DELETE: &str = "/flyteidl.service.AsyncAgentService/DeleteTask";
const EXECUTE: &str = "/flyteidl.service.SyncAgentService/ExecuteTaskSync";
const LIST: &str = "/flyteidl.service.AgentMetadataService/ListAgents";

/// A call that gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no connection: the connector has heard nothing.
    #[error("it cannot be reached: {0}")]
    NotSent(String),
    /// It broke off, or took too long: what was asked for may have been done.
    #[error("it did not answer: {0}")]
    Unanswered(String),
    /// It answered with an error.
    #[error("it answered {code:?}: {text}")]
    Refused {
        /// Of what kind.
        code: Code,
        /// In its words.
        text: String,
    },
    /// It answered what means nothing: what was asked for may have been done.
    #[error("its answer cannot be decoded: {0}")]
    Garbage(String),
}

impl CallError {
    fn of(status: &Status) -> Self {
        let text: String = status.message().chars().take(TEXT_CHARS_MAX).collect();
        let mut source = status.source();
        let is_ours = source.is_some();
        while let Some(cause) = source {
            if cause.is::<ConnectError>() {
                return Self::NotSent(innermost(cause));
            }
            source = cause.source();
        }
        let code = status.code();
        // Of an answer that is too long.
        if code == Code::OutOfRange {
            return Self::Garbage(text);
        }
        // With a cause it was made here, of a connection that broke.
        if is_ours
            || matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
        {
            return Self::Unanswered(format!("{code:?}: {text}"));
        }
        Self::Refused { code, text }
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// When a connector was tried, and whether it could be asked then.
type Tried = (Instant, Result<(), CallError>);

/// A connector that can be called. Connects when it has to, and again when the connection broke.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) connector: Connector,
    channel: Channel,
    /// How many calls may be under way.
    room: Arc<Semaphore>,
    /// Whether it could be asked when that was tried last.
    tried: Arc<Mutex<Option<Tried>>>,
}

impl Client {
    /// Makes one. Has to be called within a runtime.
    ///
    /// # Errors
    /// What is wrong with its address.
    pub(crate) fn new(connector: Connector) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(connector.url.clone()).map_err(|error| error.to_string())?;
        let channel = endpoint
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let room = Arc::new(Semaphore::new(CALLS_MAX));
        Ok(Self { connector, channel, room, tried: Arc::default() })
    }

    /// Says whether the connector can be asked at present. However many ask, it is tried once a second.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn reach(&self) -> Result<(), CallError> {
        let mut tried = self.tried.lock().await;
        if let Some((at, found)) = &*tried
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let found = match self.list().await {
            Err(error @ (CallError::NotSent(_) | CallError::Unanswered(_))) => Err(error),
            // Whatever it says: it is there.
            Ok(_) | Err(CallError::Refused { .. } | CallError::Garbage(_)) => Ok(()),
        };
        *tried = Some((Instant::now(), found.clone()));
        found
    }

    pub(crate) async fn list(&self) -> Result<admin::ListAgentsResponse, CallError> {
        let limit = self.connector.call_timeout.min(LIST_MAX);
        within(limit, self.unary(LIST, &admin::ListAgentsRequest {})).await
    }

    pub(crate) async fn create(
        &self,
        request: &admin::CreateTaskRequest,
    ) -> Result<admin::CreateTaskResponse, CallError> {
        self.unary(CREATE, request).await
    }

    pub(crate) async fn get(
        &self,
        request: &admin::GetTaskRequest,
    ) -> Result<admin::GetTaskResponse, CallError> {
        self.unary(GET, request).await
    }

    pub(crate) async fn delete(&self, request: &admin::DeleteTaskRequest) -> Result<(), CallError> {
        self.unary::<_, admin::DeleteTaskResponse>(DELETE, request).await.map(drop)
    }

    /// Has a task done within one call of at most `limit`; answers what it says and, if they came apart, its outputs.
    pub(crate) async fn execute(
        &self,
        header: admin::CreateRequestHeader,
        inputs: skein_idl::flyteidl::core::LiteralMap,
        limit: Duration,
    ) -> Result<admin::Resource, CallError> {
        use admin::execute_task_sync_request::Part;
        use admin::execute_task_sync_response::Res;
        let part = |part| Bytes::from(admin::ExecuteTaskSyncRequest { part: Some(part) }.encode_to_vec());
        let parts = stream::iter([part(Part::Header(header)), part(Part::Inputs(inputs))]);
        let call = async {
            let mut client = self.ready().await?;
            let mut request = Request::new(parts);
            request.set_timeout(limit);
            let answered = client.streaming(request, PathAndQuery::from_static(EXECUTE), RawCodec).await;
            let mut answers = answered.map_err(|status| CallError::of(&status))?.into_inner();
            let mut resource: Option<admin::Resource> = None;
            while let Some(bytes) = answers.message().await.map_err(|status| CallError::of(&status))? {
                match decode::<admin::ExecuteTaskSyncResponse>(bytes)?.res {
                    Some(Res::Header(header)) => {
                        let header = header.resource;
                        resource =
                            Some(header.ok_or_else(|| {
                                CallError::Garbage("a header without a resource".to_owned())
                            })?);
                    }
                    Some(Res::Outputs(outputs)) => {
                        let of = resource.get_or_insert_with(admin::Resource::default);
                        of.outputs.get_or_insert_with(Default::default).literals.extend(outputs.literals);
                    }
                    None => {
                        return Err(CallError::Garbage(
                            "an answer with neither header nor outputs".to_owned(),
                        ));
                    }
                }
            }
            resource.ok_or_else(|| CallError::Garbage("it is empty".to_owned()))
        };
        within(limit, call).await
    }

    async fn ready(&self) -> Result<tonic::client::Grpc<Channel>, CallError> {
        let mut client =
            tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let ready = client.ready().await;
        ready.map_err(|error| CallError::NotSent(innermost(&error)))?;
        Ok(client)
    }

    async fn unary<I: Message, O: Message + Default>(
        &self,
        path: &'static str,
        message: &I,
    ) -> Result<O, CallError> {
        let limit = self.connector.call_timeout;
        let _room = self.room.acquire().await;
        let call = async {
            let mut client = self.ready().await?;
            let mut request = Request::new(Bytes::from(message.encode_to_vec()));
            request.set_timeout(limit);
            let answered = client.unary(request, PathAndQuery::from_static(path), RawCodec).await;
            decode(answered.map_err(|status| CallError::of(&status))?.into_inner())
        };
        within(limit, call).await
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answered) => answered,
        Err(_) => Err(CallError::Unanswered(format!("nothing came within {} s", limit.as_secs_f64()))),
    }
}

fn decode<T: Message + Default>(bytes: Bytes) -> Result<T, CallError> {
    T::decode(bytes).map_err(|error| CallError::Garbage(error.to_string()))
}

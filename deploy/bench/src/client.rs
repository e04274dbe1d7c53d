//! A client that costs little beside what it measures: one connection, requests encoded beforehand.

use crate::encode;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin::{self, ExecutionClosure};
use skein_idl::flyteidl::core::{self, workflow_execution};
use skein_idl::flyteidl::service;
use skein_idl::flyteidl::service::admin_service_client::AdminServiceClient;
use skein_idl::flyteidl::service::data_proxy_service_client::DataProxyServiceClient;
use skein_idl::raw::RawCodec;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

const PROJECT: &str = "flytesnacks";
const DOMAIN: &str = "development";
const VERSION: &str = "v1";
const CREATE: &str = "/flyteidl.service.AdminService/CreateExecution";
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How often an execution is looked at. Its times come from the server.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Who is asked for.
pub(crate) type Id = core::WorkflowExecutionIdentifier;

/// A client.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    admin: AdminServiceClient<Channel>,
}

/// What is executed.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    Workflow(&'a str),
    Task(&'a str),
}

impl Client {
    /// Connects, as soon as the server lets it.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
        let until = Instant::now() + CONNECT_MAX;
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let admin = AdminServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { channel, admin })
    }

    /// Sends a request, encoded whole.
    pub(crate) async fn create(&self, request: Bytes) -> anyhow::Result<Id> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let path = http_path(CREATE);
        let answer = grpc.unary(Request::new(request), path, RawCodec).await?.into_inner();
        admin::ExecutionCreateResponse::decode(answer)?.id.context("the answer has no id")
    }

    /// Uploads an object of `length` bytes, which come in pieces, as the SDK does; answers where it is.
    pub(crate) async fn upload(
        &self,
        name: &str,
        length: u64,
        pieces: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> anyhow::Result<String> {
        let location = DataProxyServiceClient::new(self.channel.clone())
            .create_upload_location(service::CreateUploadLocationRequest {
                project: PROJECT.to_owned(),
                domain: DOMAIN.to_owned(),
                filename_root: "bench".to_owned(),
                filename: name.to_owned(),
                ..service::CreateUploadLocationRequest::default()
            })
            .await?
            .into_inner();
        let pieces = futures::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
        reqwest::Client::new()
            .put(location.signed_url)
            .header(reqwest::header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(pieces))
            .send()
            .await?
            .error_for_status()?;
        Ok(location.native_url)
    }

    /// Answers an execution as it is now.
    pub(crate) async fn closure(&self, id: &Id) -> anyhow::Result<ExecutionClosure> {
        let request = admin::WorkflowExecutionGetRequest { id: Some(id.clone()) };
        let execution = self.admin.clone().get_execution(request).await?.into_inner();
        execution.closure.context("the execution has no closure")
    }

    /// Waits until an execution has succeeded.
    pub(crate) async fn wait(&self, id: &Id) -> anyhow::Result<ExecutionClosure> {
        self.wait_looking(id, LOOK_EVERY).await
    }

    /// The same, looking as often as told.
    pub(crate) async fn wait_looking(&self, id: &Id, every: Duration) -> anyhow::Result<ExecutionClosure> {
        use workflow_execution::Phase;
        loop {
            let closure = self.closure(id).await?;
            match closure.phase() {
                Phase::Succeeded => return Ok(closure),
                Phase::Failed | Phase::Aborted | Phase::TimedOut => bail!("{} ended: {closure:?}", id.name),
                _ => tokio::time::sleep(every).await,
            }
        }
    }

    /// Answers the nodes of an execution, at most 10 000.
    pub(crate) async fn nodes(&self, id: &Id) -> anyhow::Result<Vec<admin::NodeExecution>> {
        let request = admin::NodeExecutionListRequest {
            workflow_execution_id: Some(id.clone()),
            limit: 10_000,
            ..admin::NodeExecutionListRequest::default()
        };
        Ok(self.admin.clone().list_node_executions(request).await?.into_inner().node_executions)
    }

    /// Answers how large the outputs of an execution are: those in the answer, or those that it names.
    pub(crate) async fn output_bytes(&self, id: &Id) -> anyhow::Result<u64> {
        let request = admin::WorkflowExecutionGetDataRequest { id: Some(id.clone()) };
        let data = self.admin.clone().get_execution_data(request).await?.into_inner();
        let inside = data.full_outputs.map_or(0, |outputs| outputs.encoded_len() as u64);
        Ok(inside + data.outputs.map_or(0, |blob| u64::try_from(blob.bytes).unwrap_or_default()))
    }
}

/// Encodes a request for an execution of one of the functions.
pub(crate) fn request(what: What<'_>, inputs: &[(&str, Bytes)]) -> Bytes {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let (kind, name) = match what {
        What::Workflow(name) => (core::ResourceType::LaunchPlan, name),
        What::Task(name) => (core::ResourceType::Task, name),
    };
    let launched = core::Identifier {
        resource_type: kind.into(),
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: format!("bench_tasks.{name}"),
        version: VERSION.to_owned(),
        ..core::Identifier::default()
    };
    let bare = admin::ExecutionCreateRequest {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: format!("b{:x}x{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed)),
        spec: Some(admin::ExecutionSpec { launch_plan: Some(launched), ..admin::ExecutionSpec::default() }),
        ..admin::ExecutionCreateRequest::default()
    };
    encode::with_inputs(&bare.encode_to_vec(), inputs)
}

fn http_path(path: &'static str) -> tonic::codegen::http::uri::PathAndQuery {
    tonic::codegen::http::uri::PathAndQuery::from_static(path)
}

/// Answers a time of the server's in seconds.
pub(crate) fn seconds(time: Option<&prost_types::Timestamp>) -> f64 {
    time.map_or(f64::NAN, |time| time.seconds as f64 + f64::from(time.nanos) / 1e9)
}

/// Answers the time now in seconds, as the server on this machine would.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(f64::NAN, |since| since.as_secs_f64())
}

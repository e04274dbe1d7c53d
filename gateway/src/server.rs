//! Puts the gateway together and serves it on one port.

use crate::admin::Admin;
use crate::config::Config;
use crate::error::ApiError;
use crate::executions::{self, Launches};
use crate::guard;
use crate::metrics::Metrics;
use crate::progress::Watched;
use crate::services::{DataProxy, Identity, Secrets, Signals};
use crate::shared::{Clock, Shared};
use crate::views::Views;
use crate::{http, projects};
use axum::response::IntoResponse;
use prometheus_client::registry::Registry;
use skein_catalog::Catalog;
use skein_idl::cloudidl::secret::secret_service_server::SecretServiceServer;
use skein_idl::flyteidl::service::admin_service_server::AdminServiceServer;
use skein_idl::flyteidl::service::auth_metadata_service_server::AuthMetadataServiceServer;
use skein_idl::flyteidl::service::data_proxy_service_server::DataProxyServiceServer;
use skein_idl::flyteidl::service::identity_service_server::IdentityServiceServer;
use skein_idl::flyteidl::service::signal_service_server::SignalServiceServer;
use skein_log::blob_store::UrlSigner;
use skein_log::{BlobStore, EventLog, Inbox};
use skein_secrets::Vault;
use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::Request;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// What an answer may have beside its rows, in bytes.
const ANSWER_FRAME_BYTES: usize = 1 << 20;

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// It could not be put together.
    #[error("the gateway cannot start")]
    Start(#[source] ApiError),
    /// The descriptors that reflection serves are none.
    #[error("the descriptors for reflection cannot be read")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// It could not serve.
    #[error("the gateway cannot serve")]
    Serve(#[source] tonic::transport::Error),
}

/// The front door, ready to be opened.
pub struct Gateway {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    beside: Vec<Beside>,
}

/// Adds a service of somebody else's.
type Beside = Box<dyn FnOnce(Routes) -> Routes + Send>;

impl Gateway {
    /// Puts the gateway together: makes the default project unless it is there, opens the views in `views_folder`
    /// (made anew when missing or of another version) and begins to follow the log. Returns before the views have
    /// caught up; requests wait for that. `signer` signs URLs of objects that the gateway serves itself, `vault` has
    /// the secrets of the same log, `registry` gets its instruments and is what `/metrics` shows.
    ///
    /// # Errors
    /// [`GatewayError::Start`] when log or folder do not serve.
    #[expect(clippy::too_many_arguments, reason = "one for each port; named where they are made")]
    pub async fn new(
        config: Config,
        log: Arc<dyn EventLog>,
        inbox: Arc<dyn Inbox>,
        blobs: Arc<BlobStore>,
        signer: UrlSigner,
        vault: Arc<Vault>,
        clock: Clock,
        views_folder: &Path,
        mut registry: Registry,
    ) -> Result<Self, GatewayError> {
        let metrics = Metrics::register(&mut registry);
        projects::seed(&*log, clock()).await.map_err(GatewayError::Start)?;
        let wait_max = config.limits.view_wait_max;
        let views = Views::open(views_folder, log.clone(), blobs.clone(), wait_max);
        let views = views.await.map_err(GatewayError::Start)?;
        let (launches, watched) = (Launches::default(), Watched::default());
        let catalog = Catalog::new(Arc::clone(&log), skein_catalog::MEMORY_MAX);
        let followers = Arc::new(tokio::sync::Semaphore::new(config.limits.followers_max));
        let shared = Shared {
            config,
            log,
            inbox,
            blobs,
            signer,
            vault,
            clock,
            views,
            launches,
            watched,
            followers,
            metrics,
            catalog,
        };
        Ok(Self { shared: Arc::new(shared), registry: Arc::new(registry), beside: Vec::new() })
    }

    /// Serves a gRPC service on the same port that is none of the gateway's: it counts its requests, and knows nothing else of it.
    #[must_use]
    pub fn beside<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.beside.push(Box::new(move |routes| routes.add_service(service)));
        self
    }

    /// Says whether the views have everything that was in the log when the gateway was put together.
    pub fn is_caught_up(&self) -> bool {
        self.shared.views.is_caught_up()
    }

    /// Serves gRPC and HTTP on `listener` until `shutdown` ends and what is under way is answered, for at most
    /// the configured time.
    ///
    /// # Errors
    /// [`GatewayError::Serve`] when the port stops answering.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), GatewayError> {
        let drain_max = self.shared.config.limits.drain_max;
        let streams_max = self.shared.config.limits.streams_per_connection_max;
        let shared = Arc::clone(&self.shared);
        let routes = self.routes()?;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            shared.watched.close();
            if stopping.send(()).is_err() {
                tracing::debug!("the server had ended by itself");
            }
        };
        let server = Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(streams_max)
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown);
        let give_up = async move {
            if stopped.await.is_ok() {
                tokio::time::sleep(drain_max).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            served = server => served.map_err(GatewayError::Serve),
            () = give_up => {
                tracing::warn!(?drain_max, "requests are still under way after the time to drain, and are cut off");
                Ok(())
            }
        }
    }

    fn routes(self) -> Result<Routes, GatewayError> {
        let Self { shared, registry, beside } = self;
        let bytes_max = shared.config.limits.request_bytes_max;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(skein_idl::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Pages are cut to fit before; this is for single answers, and a client would refuse them less clearly.
        let answer_max = shared.config.limits.answer_bytes_max + ANSWER_FRAME_BYTES;
        let (_, health) = tonic_health::server::health_reporter();
        let grpc = Routes::new(
            AdminServiceServer::new(Admin(shared.clone()))
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(answer_max),
        )
        .add_service(
            DataProxyServiceServer::new(DataProxy(shared.clone()))
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(answer_max),
        )
        .add_service(SignalServiceServer::new(Signals(shared.clone())).max_decoding_message_size(bytes_max))
        .add_service(SecretServiceServer::new(Secrets(shared.clone())).max_decoding_message_size(bytes_max))
        .add_service(IdentityServiceServer::new(Identity(shared.clone())))
        .add_service(AuthMetadataServiceServer::new(Identity(shared.clone())))
        .add_service(health)
        .add_service(reflection().build_v1().map_err(GatewayError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(GatewayError::Reflection)?);
        let grpc = beside.into_iter().fold(grpc, |routes, add| add(routes)).prepare().into_axum_router();
        let creating = Arc::clone(&shared);
        let create = move |request| executions::serve_create(Arc::clone(&creating), bytes_max, request);
        let grpc = grpc.route(executions::CREATE_PATH, axum::routing::post(create));
        let grpc = guard::grpc(grpc, shared.metrics.clone());
        let http = guard::http(http::routes(shared, registry));
        Ok(Routes::from(grpc.merge(http)))
    }
}

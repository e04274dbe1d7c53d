//! The smaller gRPC services: which function serves which method.

use crate::admin::answer;
use crate::data_proxy;
use crate::error::ApiError;
use crate::secrets;
use crate::shared::Shared;
use crate::signals;
use skein_idl::cloudidl::secret::secret_service_server::SecretService;
use skein_idl::cloudidl::secret::{
    CreateSecretRequest, CreateSecretResponse, DeleteSecretRequest, DeleteSecretResponse, GetSecretRequest,
    GetSecretResponse, ListSecretsRequest, ListSecretsResponse, UpdateSecretRequest, UpdateSecretResponse,
};
use skein_idl::flyteidl::admin::{
    Signal, SignalGetOrCreateRequest, SignalList, SignalListRequest, SignalSetRequest, SignalSetResponse,
};
use skein_idl::flyteidl::service::auth_metadata_service_server::AuthMetadataService;
use skein_idl::flyteidl::service::data_proxy_service_server::DataProxyService;
use skein_idl::flyteidl::service::identity_service_server::IdentityService;
use skein_idl::flyteidl::service::signal_service_server::SignalService;
use skein_idl::flyteidl::service::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// What is told to whoever asks how to log in.
const NO_LOGIN: &str = "this server asks nobody to log in";

/// Serves DataProxyService.
pub(crate) struct DataProxy(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl DataProxyService for DataProxy {
    async fn create_upload_location(
        &self,
        request: Request<CreateUploadLocationRequest>,
    ) -> Answer<CreateUploadLocationResponse> {
        answer(data_proxy::create_upload_location(&self.0, request.into_inner()).await)
    }

    async fn create_download_location(
        &self,
        request: Request<CreateDownloadLocationRequest>,
    ) -> Answer<CreateDownloadLocationResponse> {
        answer(data_proxy::create_download_location(&self.0, request.into_inner()).await)
    }

    async fn create_download_link(
        &self,
        request: Request<CreateDownloadLinkRequest>,
    ) -> Answer<CreateDownloadLinkResponse> {
        answer(data_proxy::create_download_link(&self.0, request.into_inner()).await)
    }

    async fn get_data(&self, request: Request<GetDataRequest>) -> Answer<GetDataResponse> {
        answer(data_proxy::get_data(&self.0, request.into_inner()).await)
    }
}

/// Serves IdentityService and AuthMetadataService of a server without logins.
pub(crate) struct Identity(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn user_info(&self, _: Request<UserInfoRequest>) -> Answer<UserInfoResponse> {
        let name = self.0.config.principal.clone();
        answer(Ok(UserInfoResponse { subject: name.clone(), name, ..Default::default() }))
    }
}

#[tonic::async_trait]
impl AuthMetadataService for Identity {
    async fn get_o_auth2_metadata(
        &self,
        _: Request<OAuth2MetadataRequest>,
    ) -> Answer<OAuth2MetadataResponse> {
        answer(Err(ApiError::Unimplemented(NO_LOGIN.to_owned())))
    }

    async fn get_public_client_config(
        &self,
        _: Request<PublicClientAuthConfigRequest>,
    ) -> Answer<PublicClientAuthConfigResponse> {
        answer(Err(ApiError::Unimplemented(NO_LOGIN.to_owned())))
    }
}

/// Serves SignalService. Executions with gates are not run yet, so that no execution has a signal.
pub(crate) struct Signals(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl SignalService for Signals {
    async fn get_or_create_signal(&self, _: Request<SignalGetOrCreateRequest>) -> Answer<Signal> {
        answer(Err(ApiError::Unimplemented(
            "signals come to be with the gates that wait for them".to_owned(),
        )))
    }

    async fn list_signals(&self, request: Request<SignalListRequest>) -> Answer<SignalList> {
        answer(signals::list(&self.0, request.into_inner()).await)
    }

    async fn set_signal(&self, request: Request<SignalSetRequest>) -> Answer<SignalSetResponse> {
        answer(signals::set(&self.0, request.into_inner()).await)
    }
}

/// Serves SecretService.
pub(crate) struct Secrets(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl SecretService for Secrets {
    async fn create_secret(&self, request: Request<CreateSecretRequest>) -> Answer<CreateSecretResponse> {
        answer(secrets::create(&self.0, request.into_inner()).await)
    }

    async fn update_secret(&self, request: Request<UpdateSecretRequest>) -> Answer<UpdateSecretResponse> {
        answer(secrets::update(&self.0, request.into_inner()).await)
    }

    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Answer<GetSecretResponse> {
        answer(secrets::get(&self.0, request.into_inner()).await)
    }

    async fn delete_secret(&self, request: Request<DeleteSecretRequest>) -> Answer<DeleteSecretResponse> {
        answer(secrets::delete(&self.0, request.into_inner()).await)
    }

    async fn list_secrets(&self, request: Request<ListSecretsRequest>) -> Answer<ListSecretsResponse> {
        answer(secrets::list(&self.0, request.into_inner()).await)
    }
}

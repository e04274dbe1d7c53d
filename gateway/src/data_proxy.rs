//! Hands out links to objects, and answers what `flyte://` addresses name.

mod flyte_url;

use crate::error::ApiError;
use crate::shared::Shared;
use crate::{nodes, task_executions};
use base64::Engine as _;
use data_encoding::BASE32;
use futures::TryStreamExt as _;
use md5::{Digest as _, Md5};
use skein_idl::flyteidl::service::{self, create_download_link_request, get_data_response};
use skein_idl::flyteidl::{admin, core};
use skein_log::BlobError;
use skein_log::blob_store::Method;
use skein_model::ids::{IdError, NAME_BYTES_MAX, check_name};
use std::collections::BTreeMap;
use std::time::Duration;

/// The folder under the store's root that uploads are put in.
const UPLOADS: &str = "uploads";
/// How long an MD5 is, in bytes.
const MD5_BYTES: usize = 16;

/// Answers where a client may put an object.
///
/// # Errors
/// What is wrong with the request, or that the place is taken by something else.
pub(crate) async fn create_upload_location(
    shared: &Shared,
    request: service::CreateUploadLocationRequest,
) -> Result<service::CreateUploadLocationResponse, ApiError> {
    if request.content_md5.is_empty() && request.filename_root.is_empty() {
        return Err(ApiError::invalid("content_md5 or filename_root is a required parameter"));
    }
    if !matches!(request.content_md5.len(), 0 | MD5_BYTES) {
        return Err(ApiError::invalid(format!(
            "content_md5 has {} bytes, an MD5 has {MD5_BYTES}",
            request.content_md5.len()
        )));
    }
    shared.check_scope(&request.project, &request.domain).await?;
    let ttl = url_ttl(shared, request.expires_in.as_ref())?;
    let folder = if request.filename_root.is_empty() {
        BASE32.encode(&request.content_md5)
    } else {
        check_file("filename_root", &request.filename_root)?;
        request.filename_root.clone()
    };
    let name = if request.filename.is_empty() {
        let parts = format!("{}/{}/{folder}", request.project, request.domain);
        // What is named by its content needs no other name; the rest gets one that the content's sender cannot meet.
        if request.content_md5.is_empty() {
            format!("{:032x}", random_name(&parts))
        } else {
            "data".to_owned()
        }
    } else {
        check_file("filename", &request.filename)?;
        request.filename.clone()
    };
    let uri = shared.blobs.url(&format!("{UPLOADS}/{}/{}/{folder}/{name}", request.project, request.domain));
    shared.blobs.path_of(&uri).map_err(|error| ApiError::invalid(error.to_string()))?;
    if !request.filename_root.is_empty() && !request.filename.is_empty() {
        check_free(shared, &uri, &request.content_md5).await?;
    }
    let (signed_url, expires_at) = shared.signed_url(Method::Put, &uri, ttl).await?;
    let mut headers = BTreeMap::new();
    if !request.content_md5.is_empty() {
        let md5 = base64::engine::general_purpose::STANDARD.encode(&request.content_md5);
        headers.insert("Content-MD5".to_owned(), md5);
    }
    Ok(service::CreateUploadLocationResponse {
        signed_url,
        native_url: shared.blobs.native(&uri).to_owned(),
        expires_at: Some(expires_at.into()),
        headers,
    })
}

/// Checks a part of a path that may have parts itself.
fn check_file(field: &'static str, path: &str) -> Result<(), ApiError> {
    if path.len() > 4 * NAME_BYTES_MAX {
        return Err(IdError::TooLong { field, bytes: path.len(), limit: 4 * NAME_BYTES_MAX }.into());
    }
    path.split('/').try_for_each(|part| check_name(field, part)).map_err(ApiError::from)
}

fn random_name(salt: &str) -> u128 {
    use std::hash::BuildHasher as _;
    let half = || u128::from(std::collections::hash_map::RandomState::new().hash_one(salt));
    half() << 64 | half()
}

/// Checks that a name of the client's own choice is free, or holds what the client is about to put there.
async fn check_free(shared: &Shared, uri: &str, md5: &[u8]) -> Result<(), ApiError> {
    let mut pieces = match shared.blobs.get_stream(uri).await {
        Ok((_, pieces)) => pieces,
        Err(BlobError::NotFound { .. }) => return Ok(()),
        Err(other) => return Err(other.into()),
    };
    let mut stored = Md5::new();
    if !md5.is_empty() {
        while let Some(piece) = pieces.try_next().await? {
            stored.update(&piece);
        }
        if stored.finalize().as_slice() == md5 {
            return Ok(());
        }
    }
    Err(ApiError::AlreadyExists(format!(
        "{uri} exists already, with other content or without content_md5 to compare"
    )))
}

fn url_ttl(shared: &Shared, asked: Option<&prost_types::Duration>) -> Result<Duration, ApiError> {
    let limits = &shared.config.limits;
    let Some(asked) = asked.filter(|asked| **asked != prost_types::Duration::default()) else {
        return Ok(limits.url_ttl);
    };
    let ttl = Duration::try_from(*asked).map_err(|_| {
        ApiError::invalid(format!("expires_in is {} s, a time to come is needed", asked.seconds))
    })?;
    if ttl > limits.url_ttl_max {
        return Err(ApiError::invalid(format!(
            "expires_in is {} s, the limit is {} s",
            ttl.as_secs(),
            limits.url_ttl_max.as_secs()
        )));
    }
    Ok(ttl)
}

/// Answers a link by which an object can be read.
///
/// # Errors
/// What is wrong with the request, or that there is no such object.
pub(crate) async fn create_download_location(
    shared: &Shared,
    request: service::CreateDownloadLocationRequest,
) -> Result<service::CreateDownloadLocationResponse, ApiError> {
    if request.native_url.is_empty() {
        return Err(ApiError::missing("native_url"));
    }
    shared.blobs.path_of(&request.native_url).map_err(|error| ApiError::invalid(error.to_string()))?;
    let ttl = url_ttl(shared, request.expires_in.as_ref())?;
    if shared.blobs.size(&request.native_url).await?.is_none() {
        return Err(ApiError::NotFound(format!("no object at {}", request.native_url)));
    }
    let (signed_url, expires_at) = shared.signed_url(Method::Get, &request.native_url, ttl).await?;
    Ok(service::CreateDownloadLocationResponse { signed_url, expires_at: Some(expires_at.into()) })
}

/// Answers a link to the deck of a node.
///
/// # Errors
/// [`ApiError::NotFound`] when it has none.
pub(crate) async fn create_download_link(
    shared: &Shared,
    request: service::CreateDownloadLinkRequest,
) -> Result<service::CreateDownloadLinkResponse, ApiError> {
    if request.artifact_type() != service::ArtifactType::Deck {
        return Err(ApiError::invalid(format!(
            "artifact_type is {}, ARTIFACT_TYPE_DECK is needed",
            request.artifact_type().as_str_name()
        )));
    }
    let ttl = url_ttl(shared, request.expires_in.as_ref())?;
    let create_download_link_request::Source::NodeExecutionId(id) =
        request.source.as_ref().ok_or_else(|| ApiError::missing("source"))?;
    let (execution, node) = nodes::node_id(Some(id))?;
    let expires_in = request.expires_in.map(|time| format!("expires_in:{{seconds:{}}}  ", time.seconds));
    let pre_signed_urls = deck(shared, &execution, &node, ttl, &expires_in.unwrap_or_default()).await?;
    Ok(service::CreateDownloadLinkResponse {
        signed_url: pre_signed_urls.signed_url.clone(),
        expires_at: pre_signed_urls.expires_at,
        pre_signed_urls: Some(pre_signed_urls),
    })
}

async fn deck(
    shared: &Shared,
    execution: &skein_model::ExecutionId,
    node: &str,
    ttl: Duration,
    expires_in: &str,
) -> Result<service::PreSignedUrLs, ApiError> {
    let (row, node_row) = nodes::find(shared, execution, node).await?;
    let uri = nodes::deck(shared, &row, &node_row).await?.ok_or_else(|| {
        let execution = crate::error::describe_execution(execution);
        // As the original says it, with the whole request.
        ApiError::NotFound(format!(
            "no deckUrl found for request [artifact_type:ARTIFACT_TYPE_DECK  {expires_in}node_execution_id:{{node_id:{node:?}  execution_id:{{{execution}}}}}]"
        ))
    })?;
    let (url, expires_at) = shared.signed_url(Method::Get, &uri, ttl).await?;
    Ok(service::PreSignedUrLs { signed_url: vec![url], expires_at: Some(expires_at.into()) })
}

/// Answers what a `flyte://` address names.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for an address that is none or a value that there is not,
/// [`ApiError::NotFound`] for a node or attempt that there is not.
pub(crate) async fn get_data(
    shared: &Shared,
    request: service::GetDataRequest,
) -> Result<service::GetDataResponse, ApiError> {
    use flyte_url::What;
    let address = flyte_url::parse(&request.flyte_url)?;
    if address.what == What::Deck {
        let urls = deck(shared, &address.execution, &address.node, shared.config.limits.url_ttl, "").await?;
        return Ok(service::GetDataResponse { data: Some(get_data_response::Data::PreSignedUrls(urls)) });
    }
    let node_execution_id = core::NodeExecutionIdentifier {
        node_id: address.node.clone(),
        execution_id: Some(address.execution.to_proto()),
    };
    let (inputs, outputs) = match address.attempt {
        None => {
            let request = admin::NodeExecutionGetDataRequest { id: Some(node_execution_id) };
            let answer = nodes::data(shared, request).await?;
            ((answer.inputs, answer.full_inputs), (answer.outputs, answer.full_outputs))
        }
        Some(retry_attempt) => {
            let id = core::TaskExecutionIdentifier {
                task_id: None,
                node_execution_id: Some(node_execution_id),
                retry_attempt,
            };
            let answer =
                task_executions::data(shared, admin::TaskExecutionGetDataRequest { id: Some(id) }).await?;
            ((answer.inputs, answer.full_inputs), (answer.outputs, answer.full_outputs))
        }
    };
    let (blob, map) = if address.what == What::Inputs { inputs } else { outputs };
    if blob.is_some_and(|blob| blob.bytes > 0) {
        return Err(ApiError::ResourceExhausted(format!(
            "what {} names is larger than the {} bytes that fit into an answer",
            request.flyte_url, shared.config.limits.inline_bytes_max
        )));
    }
    let map = map.unwrap_or_default();
    let data = match address.literal {
        None => get_data_response::Data::LiteralMap(map),
        Some(name) => {
            let literal = map.literals.get(&name).cloned().ok_or_else(|| {
                let names: Vec<&str> = map.literals.keys().map(String::as_str).collect();
                ApiError::invalid(format!("failed to get literal {name}; there are [{}]", names.join(", ")))
            })?;
            get_data_response::Data::Literal(literal)
        }
    };
    Ok(service::GetDataResponse { data: Some(data) })
}

//! Secrets: what clients may know and change of them. Their values come in and never go out.

use crate::error::ApiError;
use crate::progress::rfc3339;
use crate::shared::{DOMAINS, Shared};
use crate::views::{Reader as _, Row};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use skein_idl::cloudidl::common::ClusterIdentifier;
use skein_idl::cloudidl::secret::{
    ClusterSecretStatus, CreateSecretRequest, CreateSecretResponse, DeleteSecretRequest,
    DeleteSecretResponse, GetSecretRequest, GetSecretResponse, ListSecretsRequest, ListSecretsResponse,
    OverallStatus, Secret, SecretIdentifier, SecretMetadata, SecretPresenceStatus, SecretSpec, SecretStatus,
    SecretType, UpdateSecretRequest, UpdateSecretResponse, secret_spec,
};
use skein_model::ids::check_name;
use skein_model::secret::SECRET_BYTES_MAX;
use skein_model::{Category, SecretId, SecretKind, Timestamp};
use skein_secrets::{By, Expect};
use zeroize::Zeroizing;

/// What there is in the place of the clusters of the original: one, which has every secret.
const CLUSTER: &str = "skein";

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its project; empty where it is of a domain or of the organization.
    pub project: String,
    /// Its domain; empty where it is of the organization.
    pub domain: String,
    /// Whether it is for fetching images, and not for tasks.
    pub is_image_pull: bool,
    /// When it came to be, by RFC 3339 in UTC.
    pub created: String,
    /// The name of the key by which it is encrypted.
    pub key: String,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// How many secrets there are, all encrypted by the new key.
    pub secrets: usize,
    /// The name of the new key.
    pub key: String,
    /// The names of the keys that nothing needs any more.
    pub released: Vec<String>,
    /// Where the keys come from, in words.
    pub origin: String,
    /// Whether the old keys are still there, because only a person can take them away.
    pub is_old_kept: bool,
}

struct SecretRow {
    id: SecretId,
    is_image_pull: bool,
    created_at: Timestamp,
    sealed_by: String,
}

impl Row for SecretRow {
    const COLUMNS: &'static str = "project, domain, name, is_image_pull, created_at, sealed_by";

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        let id = SecretId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? };
        let created_at = Timestamp::from_micros(row.get(4)?);
        Ok(Self { id, is_image_pull: row.get(3)?, created_at, sealed_by: row.get(5)? })
    }
}

impl SecretRow {
    fn to_proto(&self) -> Secret {
        let SecretId { project, domain, name } = self.id.clone();
        let r#type = if self.is_image_pull { SecretType::ImagePullSecret } else { SecretType::Generic };
        let cluster = ClusterIdentifier { name: CLUSTER.to_owned(), ..ClusterIdentifier::default() };
        let status = SecretStatus {
            overall_status: OverallStatus::FullyPresent.into(),
            cluster_status: vec![ClusterSecretStatus {
                cluster: Some(cluster),
                presence_status: SecretPresenceStatus::Present.into(),
            }],
        };
        Secret {
            id: Some(SecretIdentifier { name, project, domain, ..SecretIdentifier::default() }),
            secret_metadata: Some(SecretMetadata {
                created_time: Some(self.created_at.into()),
                secret_status: Some(status),
                r#type: r#type.into(),
            }),
        }
    }
}

/// Creates a secret.
///
/// # Errors
/// [`ApiError::AlreadyExists`] when its name is taken in its scope, or what is wrong with it.
pub(crate) async fn create(
    shared: &Shared,
    request: CreateSecretRequest,
) -> Result<CreateSecretResponse, ApiError> {
    put(shared, request.id, request.secret_spec, Expect::Absent).await?;
    Ok(CreateSecretResponse {})
}

/// Gives a secret another value. What it is for stays.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not there, or what is wrong with the value.
pub(crate) async fn update(
    shared: &Shared,
    request: UpdateSecretRequest,
) -> Result<UpdateSecretResponse, ApiError> {
    put(shared, request.id, request.secret_spec, Expect::Present).await?;
    Ok(UpdateSecretResponse {})
}

async fn put(
    shared: &Shared,
    id: Option<SecretIdentifier>,
    spec: Option<SecretSpec>,
    expect: Expect,
) -> Result<(), ApiError> {
    let id = id_of(id)?;
    let spec = spec.ok_or_else(|| ApiError::missing("secret_spec"))?;
    let kind = match SecretType::try_from(spec.r#type) {
        Ok(SecretType::Generic) => SecretKind::Generic,
        Ok(SecretType::ImagePullSecret) => SecretKind::ImagePull,
        Err(_) => {
            let text =
                format!("secret_spec.type is {}; it is 0 (generic) or 1 (image pull secret)", spec.r#type);
            return Err(ApiError::invalid(text));
        }
    };
    let value = value_of(spec)?;
    check_scope(shared, &id).await?;
    shared.vault.put(&id, kind, &value, expect, &by(shared)).await?;
    shared.catch_up(Category::Registry).await
}

/// Takes the value, which nothing but its length is told of.
fn value_of(spec: SecretSpec) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let value = Zeroizing::new(match spec.value {
        None => return Err(ApiError::missing("value in secret_spec")),
        Some(secret_spec::Value::StringValue(text)) => text.into_bytes(),
        Some(secret_spec::Value::BinaryValue(bytes)) => Vec::from(bytes),
    });
    match value.len() {
        0 => Err(ApiError::invalid(
            "the value of secret_spec is empty; a secret needs one (an empty one is what an unset variable of a shell gives)",
        )),
        bytes if bytes > SECRET_BYTES_MAX => Err(ApiError::invalid(format!(
            "the value of secret_spec has {bytes} bytes, the limit is {SECRET_BYTES_MAX}"
        ))),
        _ => Ok(value),
    }
}

/// Gets what is known of a secret.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not in this very scope.
pub(crate) async fn get(shared: &Shared, request: GetSecretRequest) -> Result<GetSecretResponse, ApiError> {
    let asked = request.id.ok_or_else(|| ApiError::missing("id"))?;
    if !asked.project.is_empty() && asked.domain.is_empty() {
        // Clients look through all scopes, and take this for one where it is not.
        check_name("id.project", &asked.project)?;
        let SecretIdentifier { name, project, .. } = asked;
        return Err(ApiError::NotFound(format!(
            "there is no secret {name} of project {project}: a secret of a project is one of a domain too"
        )));
    }
    let id = id_of(Some(asked))?;
    let key = [&id.domain, &id.project, &id.name].map(|part| Value::Text(part.clone()));
    let tail = "FROM secrets WHERE domain = ? AND project = ? AND name = ?";
    let row: Option<SecretRow> = shared.views.find(tail, &key).await?;
    let row = row.ok_or_else(|| ApiError::NotFound(format!("there is no secret {id}")))?;
    Ok(GetSecretResponse { secret: Some(row.to_proto()) })
}

/// Removes a secret.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not in this very scope.
pub(crate) async fn delete(
    shared: &Shared,
    request: DeleteSecretRequest,
) -> Result<DeleteSecretResponse, ApiError> {
    let id = id_of(request.id)?;
    shared.vault.delete(&id, &by(shared)).await?;
    shared.catch_up(Category::Registry).await?;
    Ok(DeleteSecretResponse {})
}

/// Lists secrets: those of the project and of the domain that are named, all where none is.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: ListSecretsRequest,
) -> Result<ListSecretsResponse, ApiError> {
    for (field, value) in [("project", &request.project), ("domain", &request.domain)] {
        if !value.is_empty() {
            check_name(field, value)?;
        }
    }
    let limit = u32::try_from(request.limit).ok().filter(|limit| *limit > 0);
    let limit = limit
        .ok_or_else(|| ApiError::invalid(format!("limit is {}; it has to be positive", request.limit)))?;
    let limit = usize::try_from(limit.min(shared.config.limits.page_rows_max)).unwrap_or(usize::MAX);
    let token = request.per_cluster_tokens.get(CLUSTER).filter(|token| !token.is_empty());
    let [domain, project, name] = place_of(token.unwrap_or(&request.token))?;
    let place = [domain, project, name].map(Value::Text);
    let scope = [&request.project, &request.domain].map(|part| Value::Text(part.clone()));
    let rows = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1);
    let values = Vec::from_iter(scope.into_iter().chain(place).chain([rows]));
    let tail = "FROM secrets WHERE ?1 IN ('', project) AND ?2 IN ('', domain)
        AND (domain, project, name) > (?3, ?4, ?5) ORDER BY domain, project, name LIMIT ?6";
    let mut rows: Vec<SecretRow> = shared.views.read(move |tables| tables.all(tail, &values)).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let token = rows.last().filter(|_| has_more).map(token_of).unwrap_or_default();
    let per_cluster_tokens = has_more.then(|| (CLUSTER.to_owned(), token.clone())).into_iter().collect();
    let secrets = rows.iter().map(SecretRow::to_proto).collect();
    Ok(ListSecretsResponse { secrets, token, per_cluster_tokens })
}

/// Answers where a page begins: after the secret that ended the one before. No name holds a slash.
fn token_of(last: &SecretRow) -> String {
    let SecretId { project, domain, name } = &last.id;
    format!("{domain}/{project}/{name}")
}

fn place_of(token: &str) -> Result<[String; 3], ApiError> {
    if token.is_empty() {
        return Ok([const { String::new() }; 3]);
    }
    let parts: Vec<String> = token.split('/').map(str::to_owned).collect();
    parts.try_into().map_err(|_| {
        let shown: String = token.chars().take(64).collect();
        ApiError::invalid(format!("token is {shown:?}, which no answer gave"))
    })
}

/// Lists all secrets, for people.
///
/// # Errors
/// When the views cannot be read.
pub(crate) async fn all(shared: &Shared) -> Result<Vec<Listed>, ApiError> {
    let tail = "FROM secrets ORDER BY domain, project, name";
    let rows: Vec<SecretRow> = shared.views.read(move |tables| tables.all(tail, &[])).await?;
    let listed = |row: SecretRow| {
        let SecretId { project, domain, name } = row.id;
        let created = rfc3339(row.created_at);
        Listed { name, project, domain, is_image_pull: row.is_image_pull, created, key: row.sealed_by }
    };
    Ok(rows.into_iter().map(listed).collect())
}

/// Takes a new key and encrypts all secrets by it.
///
/// # Errors
/// [`ApiError::FailedPrecondition`] when there is no new key, and says what to do.
pub(crate) async fn rotate(shared: &Shared) -> Result<Rotation, ApiError> {
    let rotated = shared.vault.rotate(&by(shared)).await?;
    shared.catch_up(Category::Registry).await?;
    let skein_secrets::Rotated { secrets, key, released, origin, is_old_kept } = rotated;
    tracing::info!(secrets, key, ?released, "all secrets are encrypted by a new key");
    Ok(Rotation { secrets, key, released, origin, is_old_kept })
}

fn by(shared: &Shared) -> By {
    By {
        principal: shared.config.principal.clone(),
        at: shared.now(),
        trace: skein_telemetry::trace::current(),
    }
}

fn id_of(id: Option<SecretIdentifier>) -> Result<SecretId, ApiError> {
    let SecretIdentifier { name, project, domain, organization: _ } =
        id.ok_or_else(|| ApiError::missing("id"))?;
    if !project.is_empty() && domain.is_empty() {
        return Err(ApiError::invalid(format!(
            "id has project {project:?} and no domain; name both for a secret of a project, only the domain for one of a domain, \
             none for one of the organization"
        )));
    }
    Ok(SecretId::parse(&project, &domain, &name)?)
}

/// Checks that the scope of a new value is one that tasks can have.
async fn check_scope(shared: &Shared, id: &SecretId) -> Result<(), ApiError> {
    if !id.project.is_empty() {
        return shared.check_scope(&id.project, &id.domain).await;
    }
    if !id.domain.is_empty() && !DOMAINS.contains(&id.domain.as_str()) {
        return Err(ApiError::invalid(format!("domain [{}] is unrecognized by system", id.domain)));
    }
    Ok(())
}

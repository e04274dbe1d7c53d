//! What every request handler works with, and what many of them do.

use crate::config::Config;
use crate::error::ApiError;
use crate::executions::Launches;
use crate::metrics::Metrics;
use crate::progress::Watched;
use crate::views::Views;
use prost::Message;
use rusqlite::types::Value;
use skein_catalog::Catalog;
use skein_idl::flyteidl::{admin, core};
use skein_log::blob_store::{Method, UrlSigner};
use skein_log::{BlobStore, EventLog, Inbox};
use skein_model::ids::check_name;
use skein_model::{Category, DataRef, EntityId, EntityKind, ExecutionId, Timestamp};
use skein_secrets::Vault;
use std::sync::Arc;
use std::time::Duration;

/// The domains that every project has.
pub(crate) const DOMAINS: [&str; 3] = ["development", "staging", "production"];

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What every request handler works with.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) signer: UrlSigner,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Clock,
    pub(crate) views: Views,
    pub(crate) launches: Launches,
    pub(crate) watched: Watched,
    /// The places of those who follow an output: each looks into the store twice a second.
    pub(crate) followers: Arc<tokio::sync::Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) catalog: Catalog,
}

impl Shared {
    /// Answers what time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Checks that a project is there and takes new work, and that a domain is one.
    ///
    /// # Errors
    /// [`ApiError::InvalidArgument`] in the words of the original.
    pub(crate) async fn check_scope(&self, project: &str, domain: &str) -> Result<(), ApiError> {
        check_name("project", project)?;
        check_name("domain", domain)?;
        if !DOMAINS.contains(&domain) {
            return Err(ApiError::invalid(format!("domain [{domain}] is unrecognized by system")));
        }
        let id = Value::Text(project.to_owned());
        let found = self.views.find("FROM projects WHERE id = ?", &[id]).await?;
        let unregistered = |why: &str| {
            ApiError::invalid(format!(
                "failed to validate that project [{project}] and domain [{domain}] are registered, err: [{why}]"
            ))
        };
        let project_row: crate::views::ProjectRow =
            found.ok_or_else(|| unregistered(&format!("project [{project}] not found")))?;
        if project_row.state == admin::project::ProjectState::Archived as i32 {
            return Err(unregistered(&format!("project [{project}] is not active")));
        }
        Ok(())
    }

    /// Reads a stored value and decodes it.
    ///
    /// # Errors
    /// When it cannot be read, or is not what it should be.
    pub(crate) async fn load<M: Message + Default>(&self, data: &DataRef) -> Result<M, ApiError> {
        let bytes = self.blobs.load(data).await?;
        Ok(M::decode(bytes)?)
    }

    /// Waits until the views have everything that the log has of a category now.
    ///
    /// # Errors
    /// When the log cannot say, or the views are too far behind.
    pub(crate) async fn catch_up(&self, category: Category) -> Result<(), ApiError> {
        let end = self.log.end(category).await?;
        self.views.wait_for_all(category, &end).await
    }

    /// Answers a URL by which whoever has it may read or write an object, and until when.
    ///
    /// # Errors
    /// When it is not an object of this store, or credentials are missing.
    pub(crate) async fn signed_url(
        &self,
        method: Method,
        uri: &str,
        ttl: Duration,
    ) -> Result<(String, Timestamp), ApiError> {
        let expires = self.now().after(ttl);
        if let Some(url) = self.blobs.presign(method, uri, ttl).await? {
            return Ok((url, expires));
        }
        let path = self.blobs.path_of(uri)?;
        let query = self.signer.sign(method.as_str(), path, expires);
        let (root, path) = (&self.config.public_url, percent_encode(path));
        let url = match method {
            // The SDK takes a `?` in what it reads for a pattern.
            Method::Get => format!("{root}/signed/{query}/{path}"),
            Method::Put => format!("{root}/data/{path}?{query}"),
        };
        Ok((url, expires))
    }
}

/// Takes the id of a definition from a request, where it must be of `kind`.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for the first part that is missing or wrong.
pub(crate) fn entity_id(kind: EntityKind, id: Option<&core::Identifier>) -> Result<EntityId, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    let given = id.resource_type();
    if given != core::ResourceType::Unspecified && given != kind.as_proto() {
        return Err(ApiError::invalid(format!(
            "unexpected resource type {} in id, {} is needed",
            given.as_str_name(),
            kind.as_proto().as_str_name()
        )));
    }
    Ok(EntityId::parse(kind, id)?)
}

/// Takes the id of an execution from a request.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for the first part that is missing or wrong.
pub(crate) fn execution_id(id: Option<&core::WorkflowExecutionIdentifier>) -> Result<ExecutionId, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    Ok(ExecutionId::parse(&id.project, &id.domain, &id.name)?)
}

/// Answers the condition and values that select one execution.
pub(crate) fn select_execution(id: &ExecutionId) -> (&'static str, Vec<Value>) {
    let values = [&id.project, &id.domain, &id.name].map(|part| Value::Text(part.clone()));
    ("executions.project = ? AND executions.domain = ? AND executions.name = ?", values.into())
}

/// Writes a path for a URL: what is not plain in every part of a URL becomes `%xx`.
pub(crate) fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Answers a span in its protobuf form.
pub(crate) fn proto_duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).expect("a part of a second is below 10^9 nanoseconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = core::Identifier {
            resource_type: core::ResourceType::Workflow.into(),
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "n".to_owned(),
            version: "v".to_owned(),
            ..Default::default()
        };
        let error = entity_id(EntityKind::Task, Some(&id)).map_err(|error| error.to_string());
        assert_eq!(error, Err("unexpected resource type WORKFLOW in id, TASK is needed".to_owned()));
    }

    #[test]
    fn a_path_is_written_so_that_no_part_of_a_url_reads_it_otherwise() {
        assert_eq!(percent_encode("a/b=?#%é.txt"), "a/b%3D%3F%23%25%C3%A9.txt");
    }
}

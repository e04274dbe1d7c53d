//! What a request that fails is answered, and how that becomes a gRPC status.
//!
//! UNKNOWN has no variant here: the SDK takes it for a missing login.

use skein_log::{AppendError, BlobError, ReadError};
use skein_model::codec::CodecError;
use skein_model::{EntityId, EntityKind, ExecutionId, IdError};
use skein_secrets::VaultError;
use tonic::{Code, Status};

/// The longest message of a status, in bytes once it is percent-encoded: a client accepts 32 KiB of trailers.
const MESSAGE_BYTES_MAX: usize = 12 * 1024;

/// A request that was not served. The text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The request cannot be right; asking again will not help.
    #[error("{0}")]
    InvalidArgument(String),
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// What it is to create is there already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The state of what it names does not allow it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// The answer does not fit into a message.
    #[error("{0}")]
    ResourceExhausted(String),
    /// This server does not do that.
    #[error("{0}")]
    Unimplemented(String),
    /// Not now; the same request may be served later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of this server.
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    /// Says that a request is wrong.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::InvalidArgument(text.into())
    }

    /// Says that a request misses a field.
    pub fn missing(field: &str) -> Self {
        Self::InvalidArgument(format!("missing {field}"))
    }

    /// Says that this server is at fault; `what` names what it could not do.
    pub fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::Internal(text)
    }

    /// Says that a definition is not there.
    pub fn no_entity(id: &EntityId) -> Self {
        let kind = match id.kind {
            EntityKind::Task => "TASK",
            EntityKind::Workflow => "WORKFLOW",
            EntityKind::LaunchPlan => "LAUNCH_PLAN",
        };
        let EntityId { kind: _, project, domain, name, version } = id;
        Self::NotFound(format!(
            "missing entity of type {kind} with identifier project:{project:?}  domain:{domain:?}  name:{name:?}  version:{version:?}"
        ))
    }

    /// Says that an execution is not there.
    pub fn no_execution(id: &ExecutionId) -> Self {
        Self::NotFound(format!("missing entity of type execution with identifier {}", describe_execution(id)))
    }

    /// Says that a node of an execution is not there.
    pub fn no_node(id: &ExecutionId, node: &str) -> Self {
        Self::NotFound(format!(
            "missing entity of type node execution with identifier node_id:{node:?}  execution_id:{{{}}}",
            describe_execution(id)
        ))
    }

    const fn code(&self) -> Code {
        match self {
            Self::InvalidArgument(_) => Code::InvalidArgument,
            Self::NotFound(_) => Code::NotFound,
            Self::AlreadyExists(_) => Code::AlreadyExists,
            Self::FailedPrecondition(_) => Code::FailedPrecondition,
            Self::ResourceExhausted(_) => Code::ResourceExhausted,
            Self::Unimplemented(_) => Code::Unimplemented,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

/// Answers an execution's id in the words of protobuf's text form.
pub(crate) fn describe_execution(id: &ExecutionId) -> String {
    let ExecutionId { project, domain, name } = id;
    format!("project:{project:?}  domain:{domain:?}  name:{name:?}")
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        if let ApiError::Internal(text) = &error {
            tracing::error!(error = %text, "a request failed by a fault of this server");
        }
        Self::new(error.code(), cut(error.to_string()))
    }
}

/// Cuts a message to what fits into trailers, where every byte outside of printable ASCII takes three.
pub(crate) fn cut(text: String) -> String {
    let mut room = MESSAGE_BYTES_MAX;
    for (at, c) in text.char_indices() {
        let cost = if matches!(c, ' '..='~') && c != '%' { 1 } else { 3 * c.len_utf8() };
        if cost > room {
            return format!("{}... (cut, {} bytes in all)", &text[..at], text.len());
        }
        room -= cost;
    }
    text
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<skein_model::notification::NotificationError> for ApiError {
    fn from(error: skein_model::notification::NotificationError) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<skein_model::launch::InputError> for ApiError {
    fn from(error: skein_model::launch::InputError) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<skein_model::launch::asked::AskedError> for ApiError {
    fn from(error: skein_model::launch::asked::AskedError) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<skein_model::launch::Refusal> for ApiError {
    fn from(error: skein_model::launch::Refusal) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => Self::InvalidArgument(error.to_string()),
            AppendError::Conflict { .. } | AppendError::Unknown { .. } | AppendError::Unavailable { .. } => {
                Self::Unavailable(error.to_string())
            }
            other => Self::internal("the log refused a record", &other),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            other => Self::internal("a journal cannot be read", &other),
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Exists(_) => Self::AlreadyExists(error.to_string()),
            VaultError::Absent(_) => Self::NotFound(error.to_string()),
            VaultError::NoKey(_)
            | VaultError::OtherKey { .. }
            | VaultError::KeyGone { .. }
            | VaultError::NoNewKey { .. } => Self::FailedPrecondition(error.to_string()),
            VaultError::Append(error) => error.into(),
            VaultError::Read(error) => error.into(),
            VaultError::Codec(error) => error.into(),
            other => Self::internal("the secrets did not serve", &other),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable { .. } | BlobError::Full { .. } => Self::Unavailable(error.to_string()),
            other => Self::internal("the blob store did not serve", &other),
        }
    }
}

impl From<CodecError> for ApiError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLarge { .. } => Self::InvalidArgument(error.to_string()),
            other => Self::internal("a record", &other),
        }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal("the views did not serve", &error)
    }
}

impl From<prost::DecodeError> for ApiError {
    fn from(error: prost::DecodeError) -> Self {
        Self::internal("a stored message cannot be read", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_before_its_encoded_form_fills_the_trailers() {
        let long = cut("é%".repeat(10_000));
        let encoded: usize =
            long.chars().map(|c| if matches!(c, ' '..='$' | '&'..='~') { 1 } else { 3 * c.len_utf8() }).sum();
        assert!(encoded < 16 * 1024, "{encoded}");
        assert!(long.ends_with("(cut, 30000 bytes in all)"));
    }

    #[test]
    fn a_short_message_stays_as_it_is() {
        assert_eq!(cut("missing version".to_owned()), "missing version");
    }
}

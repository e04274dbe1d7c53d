//! What two processes of Skein must agree on: ids, time, values, commands, events, and how they are stored.
//!
//! # Never
//!
//! - It never reads a clock, a random number, a file or a socket: everything here is a value or a pure function.
//! - It imports nothing of ours but the protobuf messages of `skein-idl`.
//! - An enum that is stored never loses a variant, and a field that is stored never changes its meaning: a journal
//!   is read for as long as it exists. Golden files in `tests/golden` hold that.

pub mod accelerators;
pub mod actor;
pub mod bindings;
pub mod cache;
pub mod codec;
pub mod command;
pub mod compile;
pub mod data;
pub mod envelope;
pub mod event;
pub mod execution_rules;
pub mod failure;
pub mod ids;
pub mod interruptible;
pub mod job;
pub mod journal;
pub mod launch;
pub mod literals;
pub mod nested;
pub mod notification;
pub mod paths;
pub mod phase;
pub mod quantity;
pub mod registry;
pub mod resources;
pub mod runnable;
pub mod secret;
pub mod secret_request;
pub mod served;
pub mod task_rules;
pub mod task_settings;
pub mod time;
pub mod time_limit;
pub mod types;
pub mod used;
pub mod work;

pub use accelerators::Gpu;
pub use actor::{Actor, ActorEnvironment};
pub use cache::{CacheKey, CacheSource, CatalogEvent, Dataset};
pub use command::Command;
pub use data::{BlobRef, DataRef, INLINE_BYTES_MAX};
pub use envelope::{Digest, Envelope, Head, Record, Version};
pub use event::Event;
pub use execution_rules::{ExecutionRule, ExecutionRules};
pub use failure::{Charge, Failure, FailureCause};
pub use ids::{Attempt, CauseId, EntityId, EntityKind, ExecutionId, IdError, NodeId, PoolId};
pub use interruptible::Interruptible;
pub use job::{ConnectorWork, Job, JobPhase};
pub use journal::{Category, JournalId};
pub use notification::{Notification, NotificationEvent};
pub use phase::{ExecutionPhase, NodePhase};
pub use registry::RegistryEvent;
pub use resources::{Offer, Quota, TaskResources};
pub use secret::{Sealed, SecretId, SecretKind};
pub use secret_request::SecretRequest;
pub use served::ServedTypes;
pub use task_rules::{TaskRule, TaskRules};
pub use task_settings::TaskSettings;
pub use time::Timestamp;
pub use time_limit::TimeLimit;
pub use used::Used;
pub use work::{Isolation, Life, Work, WorkId, WorkKind};

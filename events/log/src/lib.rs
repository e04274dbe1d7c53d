//! Where journals and values are kept, and how work and commands get from one process to another.
//!
//! Each contract is one file ([`event_log`], [`inbox`], [`task_queue`], [`lease`], [`blob_store`]); each way to keep it
//! is a folder; [`conformance`] is the suite that all of them pass.
//!
//! # Never
//!
//! - It never looks into a record's body or decides anything from it.
//! - It never acknowledges what is not durable.
//! - It never repairs a damaged journal: damage is named and refused.

pub mod blob_store;
pub mod clock;
pub mod conformance;
pub mod embedded;
pub mod event_log;
pub mod faulty;
pub mod inbox;
pub mod jetstream;
pub mod lease;
pub mod memory;
pub mod printed;
pub mod segments;
pub mod task_queue;
pub mod usage;

pub use blob_store::{BlobError, BlobStore, Method, S3Keys, S3Settings, SignatureError, UrlSigner};
pub use event_log::{AppendError, Appended, Cursor, EventLog, Followed, Position, ReadError};
pub use inbox::{Delivery, Inbox, Mail, Refusal, SendError};
pub use lease::{LeaseError, LeaseStore, Revision};
pub use segments::{last_segment, read_last_two};
pub use task_queue::{Lease, LeaseId, QueueError, Stop, TaskQueue};

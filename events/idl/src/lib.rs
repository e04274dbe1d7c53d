//! The protobuf messages and gRPC services that `flytekit` and `union` speak.
//!
//! Answers for one thing: that bytes written by an unmodified SDK mean here what they mean there. The
//! `.proto` files under `proto/` are our own text; names, numbers and types are the SDK's, and
//! `tests/descriptors.rs` compares the two, field by field, with the descriptors of the installed packages.
//! Servers and clients of all services are generated.
//!
//! Three choices hold everywhere:
//!
//! - `bytes` fields are [`bytes::Bytes`], so that values pass through without being copied;
//! - maps are [`BTreeMap`](std::collections::BTreeMap)s, so that equal messages encode to equal bytes and
//!   a digest of the encoding is a digest of the message;
//! - well-known types are those of [`prost_types`].
//!
//! ```
//! use prost::Message as _;
//! use skein_idl::flyteidl::core::{Primitive, primitive};
//!
//! let answer = Primitive { value: Some(primitive::Value::Integer(42)) };
//! assert_eq!(Primitive::decode(answer.encode_to_vec().as_slice()), Ok(answer));
//! ```
//!
//! # Never
//!
//! - imports anything of ours;
//! - gives a message a meaning: checks, defaults and conversions belong to whoever receives it;
//! - invents a message, field or method that the SDKs do not have.

/// Everything in this crate and the well-known types it uses, as an encoded
/// `google.protobuf.FileDescriptorSet`: what gRPC reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What Flyte defines.
pub mod flyteidl {
    /// Definitions and values: interfaces, literals, tasks, workflows, phases.
    #[expect(missing_docs, clippy::large_enum_variant, reason = "generated")]
    pub mod core {
        tonic::include_proto!("flyteidl.core");
    }

    /// What the admin, signal and event methods take and answer.
    #[expect(missing_docs, clippy::large_enum_variant, reason = "generated")]
    pub mod admin {
        tonic::include_proto!("flyteidl.admin");
    }

    /// The services themselves, and the messages that only they use.
    #[expect(missing_docs, clippy::allow_attributes, clippy::large_enum_variant, reason = "generated")]
    pub mod service {
        tonic::include_proto!("flyteidl.service");
    }

    /// What happened to executions, nodes and tasks, as told to admin and to the outside.
    #[expect(missing_docs, clippy::large_enum_variant, reason = "generated")]
    pub mod event {
        tonic::include_proto!("flyteidl.event");
    }

    /// What task plugins put into `TaskTemplate.custom`.
    #[expect(missing_docs, reason = "generated")]
    pub mod plugins {
        tonic::include_proto!("flyteidl.plugins");

        /// The second version of the MPI, PyTorch and TensorFlow jobs.
        #[expect(missing_docs, reason = "generated")]
        pub mod kubeflow {
            tonic::include_proto!("flyteidl.plugins.kubeflow");
        }
    }

    /// The artifact registry.
    #[expect(missing_docs, clippy::allow_attributes, reason = "generated")]
    pub mod artifact {
        tonic::include_proto!("flyteidl.artifact");
    }
}

/// What Union adds to Flyte.
pub mod cloudidl {
    /// Names shared by Union's services.
    #[expect(missing_docs, reason = "generated")]
    pub mod common {
        tonic::include_proto!("cloudidl.common");
    }

    /// The secret service.
    #[expect(missing_docs, clippy::allow_attributes, reason = "generated")]
    pub mod secret {
        tonic::include_proto!("cloudidl.secret");
    }
}

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

mod hidden;
pub mod raw;

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

/// What workers of actor environments speak with a server.
///
/// `unionai-actor` has it in a program alone, without descriptors: the tests with that program hold it.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated")]
pub mod fasttask {
    tonic::include_proto!("fasttask");
}

/// What Union adds to Flyte.
pub mod cloudidl {
    /// Names and lists that Union's services share.
    #[expect(missing_docs, reason = "generated")]
    pub mod common {
        tonic::include_proto!("cloudidl.common");
    }

    /// OAuth2 applications, and so API keys.
    #[expect(missing_docs, clippy::allow_attributes, reason = "generated")]
    pub mod identity {
        tonic::include_proto!("cloudidl.identity");
    }

    /// The secret service.
    #[expect(missing_docs, clippy::allow_attributes, reason = "generated")]
    pub mod secret {
        tonic::include_proto!("cloudidl.secret");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use crate::FILE_DESCRIPTOR_SET;
    use crate::flyteidl::core::{Binary, Literal, LiteralMap, Primitive, Scalar, literal, primitive, scalar};

    fn literal(value: scalar::Value) -> Literal {
        let scalar = Scalar { value: Some(value) };
        Literal { value: Some(literal::Value::Scalar(scalar.into())), ..Literal::default() }
    }

    #[test]
    fn a_literal_map_is_the_same_after_a_round_trip() {
        let number = Primitive { value: Some(primitive::Value::Integer(42)) };
        let packed = Binary { value: vec![0xc0].into(), tag: "msgpack".to_owned() };
        let map = LiteralMap {
            literals: BTreeMap::from([
                ("number".to_owned(), literal(scalar::Value::Primitive(number))),
                ("packed".to_owned(), literal(scalar::Value::Binary(packed))),
            ]),
        };

        let encoded = map.encode_to_vec();

        assert_eq!(LiteralMap::decode(encoded.as_slice()), Ok(map));
    }

    #[test]
    fn equal_literal_maps_encode_to_equal_bytes() {
        let entries = ["a", "b", "c"].map(|name| (name.to_owned(), Literal::default()));
        let forwards = LiteralMap { literals: BTreeMap::from_iter(entries.clone()) };
        let backwards = LiteralMap { literals: BTreeMap::from_iter(entries.into_iter().rev()) };

        assert_eq!(forwards.encode_to_vec(), backwards.encode_to_vec());
    }

    #[test]
    fn the_descriptors_name_the_admin_service() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("build.rs encoded it");

        let admin = set
            .file
            .iter()
            .filter(|file| file.package() == "flyteidl.service")
            .flat_map(|file| &file.service)
            .find(|service| service.name() == "AdminService");

        assert_eq!(admin.map(|service| service.method.len()), Some(56));
    }
}

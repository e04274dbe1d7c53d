//! Every decoder of what comes from outside, as one function of bytes each: `fuzz/` calls them with what it makes up,
//! and the tests here with what is kept in `fuzz/corpus/`.
//!
//! A function returns when the bytes were read or refused, and panics only where the decoder breaks its word.
//!
//! # Never
//!
//! - holds a decoder of its own
//! - is imported by anything but `fuzz/`

mod archive;
mod envelope;
mod filter;
mod request;

pub use archive::archive;
pub use envelope::event_envelope;
pub use filter::filter_string;
pub use request::protobuf_request;

/// A decoder: it takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the name of their fuzz target, which is also the folder of their corpus.
pub const TARGETS: [(&str, Target); 4] = [
    ("protobuf_request", protobuf_request),
    ("event_envelope", event_envelope),
    ("filter_string", filter_string),
    ("archive", archive),
];

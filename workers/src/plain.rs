//! Plain values: literals that user code gets and gives without the SDK's type engine.

mod literal;
mod shape;

pub(crate) use literal::{elements, from_literal, to_literal};
pub(crate) use shape::{Interface, Shape};
pub(crate) use skein_protocol::Plain;

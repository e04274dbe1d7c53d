//! What the core promises: how an execution behaves, and the laws its state keeps.

mod laws;
mod plans;
mod specification;

//! What the benches share: how a figure is taken.
//!
//! # Never
//!
//! - A bench asserts no figure: machines differ. It compares only what one run has taken.

pub mod figures;

//! What the benches share: how a figure is taken, an engine with simulated workers, workflows and values of any size.
//!
//! # Never
//!
//! - A bench asserts no figure: machines differ. It compares only what one run has taken.

pub mod curve;
pub mod figures;
pub mod point;
pub mod process;
pub mod simulation;

//! The inner parts of the engine, each prepared once and run alone, and the workflows and values that benches run.
//!
//! # Never
//!
//! - A part reads no clock, draws no number, starts no thread, and iterates in no hash order: run again, it executes the
//!   same instructions.
//! - It depends on nothing but what decides: no log, no socket, no runtime.

pub mod parts;
pub mod values;
pub mod workflows;

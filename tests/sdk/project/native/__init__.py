"""Workflows over tasks in Rust: the examples of the crate `skein-task`, which have to be registered before these."""

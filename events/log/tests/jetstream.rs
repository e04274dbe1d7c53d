//! The log, the inbox, the task queue and the leases on real NATS servers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

#[path = "jetstream/apart.rs"]
mod apart;
#[path = "jetstream/cluster.rs"]
mod cluster;
#[path = "jetstream/figures.rs"]
mod figures;
#[path = "jetstream/servers.rs"]
mod servers;
#[path = "jetstream/single.rs"]
mod single;
#[path = "jetstream/wait.rs"]
mod wait;

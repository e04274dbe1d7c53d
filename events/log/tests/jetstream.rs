//! The log, the inbox, the task queue and the leases on real NATS servers.

#[path = "jetstream/cluster.rs"]
mod cluster;
#[path = "jetstream/figures.rs"]
mod figures;
#[path = "jetstream/servers.rs"]
mod servers;
#[path = "jetstream/single.rs"]
mod single;

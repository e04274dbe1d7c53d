//! Settings of the gateway: each with its unit, its range, its default, and why that.

use skein_model::{Gpu, Offer, TaskRules};
use std::time::Duration;

/// How the gateway answers. Made once at start; nothing here changes while it runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that clients reach the HTTP side under, without a trailing slash; signed URLs and log links start
    /// with it. Default `http://127.0.0.1:8090`, which is where `skein up` listens.
    pub public_url: String,
    /// Limits on what comes from outside.
    pub limits: Limits,
    /// Who a request counts as when nobody has to log in. Default `anonymous`.
    pub principal: String,
    /// How many nodes of an execution may run at once when neither request nor launch plan says. Default 25, as the
    /// original has it; 0 is no limit.
    pub max_parallelism: u32,
    /// What the machine has that runs attempts; none when that is not known here, and then nothing is refused for want of
    /// it. Default none.
    pub offer: Option<Offer>,
    /// What the engine goes by of tasks that do not say it themselves: here only to tell how long something may still wait.
    /// Default: nothing.
    pub rules: TaskRules,
    /// Why tasks that are containers of their own cannot be run, with what to do; they are refused then before anything
    /// runs. None when they can, or when it is for the workers to say. Default none.
    pub no_containers: Option<String>,
    /// Who does tasks that have nothing to run here. Default: nobody, and such tasks are refused.
    pub connectors: Option<crate::Connectors>,
    /// Where logs are kept beside ours: a link for each try. Default: nowhere.
    pub log_links: Vec<crate::LogLink>,
}

impl Config {
    /// Answers the accelerators that attempts can be given.
    pub fn gpus(&self) -> &[Gpu] {
        self.offer.as_ref().and_then(|offer| offer.gpus.as_deref()).unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8090".to_owned(),
            limits: Limits::default(),
            principal: "anonymous".to_owned(),
            max_parallelism: skein_model::launch::MAX_PARALLELISM,
            offer: None,
            rules: TaskRules::default(),
            no_containers: None,
            connectors: None,
            log_links: Vec::new(),
        }
    }
}

/// Limits on messages, lists, uploads and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request message, in bytes. Default 32 MiB: a workflow of 10 000 nodes is about 8 MiB, and what
    /// does not fit in memory a few times over must be refused before it is read.
    pub request_bytes_max: usize,
    /// The largest answer, in bytes. Default 18 MiB, below the 20 MiB that the SDK accepts.
    pub answer_bytes_max: usize,
    /// The largest map of inputs or outputs that is answered inside a message, in bytes; above it a signed URL is
    /// given. Default 2 MiB: two of them and their frame stay well below what a client accepts.
    pub inline_bytes_max: u64,
    /// The largest upload over HTTP, in bytes. Default 20 GiB.
    pub upload_bytes_max: u64,
    /// How many rows one page of a list holds at most. Default 10 000; more are cut to it, and the token goes on.
    pub page_rows_max: u32,
    /// How many sub-items of a map one task execution shows. Default 2 000, failed ones first: 100 000 of them
    /// would not fit into what a client accepts.
    pub external_resources_max: usize,
    /// How long a signed URL is good for when the request does not say. Default 1 h.
    pub url_ttl: Duration,
    /// How long a signed URL may be asked to be good for. Default 7 days, what S3 allows.
    pub url_ttl_max: Duration,
    /// How long an answer waits for the views to have seen what it just wrote. Default 30 s; after that the answer
    /// is UNAVAILABLE, and the write stands.
    pub view_wait_max: Duration,
    /// How many requests one connection may have under way. Default 1 000: as many pollers as share a channel.
    pub streams_per_connection_max: u32,
    /// How long requests under way may take to end once the gateway is told to stop. Default 5 s.
    pub drain_max: Duration,
    /// How many may follow an output at once. Default 256: each looks into the blob store twice a second.
    pub followers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 32 << 20,
            answer_bytes_max: 18 << 20,
            inline_bytes_max: 2 << 20,
            upload_bytes_max: 20 << 30,
            page_rows_max: 10_000,
            external_resources_max: 2_000,
            url_ttl: Duration::from_secs(3_600),
            url_ttl_max: Duration::from_secs(7 * 24 * 3_600),
            view_wait_max: Duration::from_secs(30),
            streams_per_connection_max: 1_000,
            drain_max: Duration::from_secs(5),
            followers_max: 256,
        }
    }
}

//! What is measured.

mod chains;
mod jetstream;
mod maps;
mod recovery;
mod swarm;

use crate::client::Client;
use crate::figures::Figure;
use crate::server::{How, Server};
use crate::{Options, client};
use futures::future::BoxFuture;
use std::path::PathBuf;
use tokio::sync::{Mutex, MutexGuard};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Some three minutes: maps of 100 000 items mostly, few runs.
    Short,
    /// Everything: maps of 1 000 000 and 10 000 000 items, several runs of each.
    Full,
}

impl Effort {
    fn runs(self) -> usize {
        match self {
            Self::Short => 3,
            Self::Full => 5,
        }
    }
}

type Run = for<'a> fn(&'a Bench) -> BoxFuture<'a, anyhow::Result<Vec<Figure>>>;

/// A group of figures that are taken together.
pub struct Case {
    /// What it is asked for by.
    pub name: &'static str,
    pub(crate) run: Run,
}

/// All cases, in the order in which they run.
pub const CASES: [Case; 9] = [
    Case { name: "maps", run: |bench| Box::pin(maps::plain(bench)) },
    Case { name: "memory", run: |bench| Box::pin(maps::memory(bench)) },
    Case { name: "large", run: |bench| Box::pin(maps::large(bench)) },
    Case { name: "dispatch", run: |bench| Box::pin(maps::dispatched(bench)) },
    Case { name: "chains", run: |bench| Box::pin(chains::run(bench)) },
    Case { name: "swarm", run: |bench| Box::pin(swarm::run(bench)) },
    Case { name: "uneven", run: |bench| Box::pin(maps::uneven(bench)) },
    Case { name: "jetstream", run: |bench| Box::pin(jetstream::run(bench)) },
    Case { name: "recovery", run: |bench| Box::pin(recovery::run(bench)) },
];

/// What all cases share: one server, so that each finds it in use, as users do.
pub(crate) struct Bench {
    effort: Effort,
    how: How,
    nats: Option<PathBuf>,
    server: Mutex<Server>,
}

impl Bench {
    pub(crate) async fn new(options: &Options) -> anyhow::Result<Self> {
        let how = How { program: options.program.clone(), python: options.python.clone(), words: Vec::new() };
        let server = Mutex::new(Server::new(&how).await?);
        Ok(Self { effort: options.effort, how, nats: options.nats.clone(), server })
    }

    async fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().await
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let url = self.server().await.url.clone();
        client::Client::connect(&url).await
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.server.into_inner().stop().await
    }
}

//! Why a piece of work that runs is to stop.

use tokio::sync::watch;

/// Whether a piece of work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// It is not.
    No,
    /// Nobody wants its result any more.
    Withdrawn,
    /// The worker has to go; somebody else is to run it.
    Drained,
}

/// Where a piece of work learns that it is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<Stopping>);

impl Stop {
    pub(crate) fn new() -> (watch::Sender<Stopping>, Self) {
        let (sender, receiver) = watch::channel(Stopping::No);
        (sender, Self(receiver))
    }

    /// Waits until it is to stop, and answers why.
    pub(crate) async fn stopped(&mut self) -> Stopping {
        let said = self.0.wait_for(|stopping| *stopping != Stopping::No).await.map(|stopping| *stopping);
        match said {
            Ok(stopping) => stopping,
            // Whoever could say so has gone, so nothing will.
            Err(_) => std::future::pending().await,
        }
    }
}

//! Time as the doubles and the in-process queue see it: theirs to be told, so that a test can drive it.

use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Tells how much time has passed since some start, and waits until some has.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Answers the time since the clock's start.
    fn now(&self) -> Duration;

    /// Waits until [`Clock::now`] is at least `at`.
    async fn wait_until(&self, at: Duration);
}

/// The runtime's own time.
#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// Starts a clock.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn wait_until(&self, at: Duration) {
        match self.start.checked_add(at) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

/// Time that stands still until it is moved. A double for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Duration>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { now: watch::Sender::new(Duration::ZERO) }
    }
}

impl ManualClock {
    /// Lets `span` pass.
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now += span);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.now.borrow()
    }

    async fn wait_until(&self, at: Duration) {
        let mut time = self.now.subscribe();
        // The sender is this clock, which is borrowed here, so the channel cannot close.
        let _ = time.wait_for(|now| *now >= at).await;
    }
}

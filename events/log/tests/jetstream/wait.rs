//! Waits for servers: processes of their own, which no clock of a test moves.

use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long anything may take that a server is asked about again and again.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Asks until there is an answer: how far another process has come can only be found by asking.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(POLL).await;
    }
}

/// Lets time pass where time itself is what is tested: leases end by the server's clock.
pub(crate) async fn pass(time: Duration) {
    sleep(time).await;
}

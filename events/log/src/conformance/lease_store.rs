//! Checks of [`LeaseStore`].

use crate::lease::{LeaseError, LeaseStore, Revision};
use bytes::Bytes;
use futures::future;
use std::sync::Arc;
use std::time::Duration;

/// A store under check.
pub type Under = Arc<dyn LeaseStore>;

/// A time to live that does not end during a check, unless it lets time pass.
const TTL: Duration = Duration::from_secs(2);

/// Runs every check, each on what `make` gives it; `pass` lets time pass, for the store at least.
pub async fn lease_store(make: impl AsyncFn() -> Under, pass: impl AsyncFn(Duration)) {
    a_key_is_held_until_it_is_released(make().await).await;
    whoever_renews_must_name_the_last_revision(make().await).await;
    of_racing_takers_exactly_one_succeeds(make().await).await;
    a_key_that_is_not_renewed_is_free_after_its_time(make().await, &pass).await;
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn create(store: &Under, key: &str, text: &'static str) -> Revision {
    let created = store.create(key, value(text), TTL).await;
    assert!(created.is_ok(), "a key that nobody holds can be taken: {created:?}");
    created.expect("checked by the line above")
}

async fn get(store: &Under, key: &str) -> Option<(Revision, Bytes)> {
    let found = store.get(key).await;
    assert!(found.is_ok(), "a key can be looked up: {found:?}");
    found.expect("checked by the line above")
}

/// Taking, looking, releasing, taking again.
pub async fn a_key_is_held_until_it_is_released(store: Under) {
    let key = "conformance/held";
    assert_eq!(get(&store, key).await, None, "a key that nobody took has no holder");
    let first = create(&store, key, "me").await;
    assert_eq!(get(&store, key).await, Some((first, value("me"))), "a key that is held shows its holder");
    let refused = store.create(key, value("you"), TTL).await;
    assert!(
        matches!(refused, Err(LeaseError::Held { .. })),
        "a key that is held is not given away: {refused:?}"
    );
    let released = store.release(key, first).await;
    assert!(released.is_ok(), "the holder can release: {released:?}");
    assert_eq!(get(&store, key).await, None, "a key that was released has no holder");
    let second = create(&store, key, "you").await;
    assert!(second > first, "revisions only grow");
}

/// An old revision opens nothing.
pub async fn whoever_renews_must_name_the_last_revision(store: Under) {
    let key = "conformance/renewed";
    let first = create(&store, key, "one").await;
    let renewed = store.renew(key, first, value("two"), TTL).await;
    assert!(renewed.is_ok(), "the holder can renew: {renewed:?}");
    let second = renewed.expect("checked by the line above");
    assert_eq!(get(&store, key).await, Some((second, value("two"))), "a renewal writes the value");
    let stale = store.renew(key, first, value("three"), TTL).await;
    assert!(matches!(stale, Err(LeaseError::Changed { .. })), "an old revision cannot renew: {stale:?}");
    let stale = store.release(key, first).await;
    assert!(matches!(stale, Err(LeaseError::Changed { .. })), "an old revision cannot release: {stale:?}");
    assert_eq!(get(&store, key).await, Some((second, value("two"))), "what is refused changes nothing");
    let absent = store.renew("conformance/absent", first, value("x"), TTL).await;
    assert!(
        matches!(absent, Err(LeaseError::Changed { .. })),
        "a key that is gone cannot be renewed: {absent:?}"
    );
}

/// Sixteen at once: one holder.
pub async fn of_racing_takers_exactly_one_succeeds(store: Under) {
    let takers = (0..16).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.create("conformance/raced", value("me"), TTL).await.is_ok() })
    });
    let won = future::join_all(takers).await.into_iter().filter(|taken| matches!(taken, Ok(true))).count();
    assert_eq!(won, 1, "of racing takers exactly one succeeds");
}

/// Time frees a key, and a renewal gives it its whole time again.
pub async fn a_key_that_is_not_renewed_is_free_after_its_time(store: Under, pass: &impl AsyncFn(Duration)) {
    let key = "conformance/expiring";
    let first = create(&store, key, "me").await;
    pass(TTL / 2).await;
    let renewed = store.renew(key, first, value("me"), TTL).await;
    assert!(renewed.is_ok(), "a key whose time is not over can be renewed: {renewed:?}");
    let second = renewed.expect("checked by the line above");
    pass(TTL / 4 * 3).await;
    assert!(get(&store, key).await.is_some(), "a renewal gives a key its whole time again");
    pass(TTL).await;
    assert_eq!(get(&store, key).await, None, "a key that is not renewed is free after its time");
    let late = store.renew(key, second, value("me"), TTL).await;
    assert!(
        matches!(late, Err(LeaseError::Changed { .. })),
        "a key cannot be renewed after its time: {late:?}"
    );
    create(&store, key, "you").await;
}

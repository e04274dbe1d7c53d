//! Objects in a local folder.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use bytes::Bytes;
use skein_log::blob_store::{BlobError, BlobStore, Method};
use skein_log::conformance;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn store() -> (tempfile::TempDir, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::local(&folder.path().join("blobs")).unwrap();
    (folder, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_keeps_the_contract() {
    let (_folder, store) = store();
    conformance::blob_store(&store).await;
}

#[tokio::test]
async fn a_url_is_the_path_of_the_file() {
    let (folder, store) = store();
    let uri = store.url("GAYDAM====/a b%20.txt");
    store.put(&uri, Bytes::from_static(b"x")).await.unwrap();
    let file = folder.path().join("blobs/GAYDAM====/a b%20.txt");
    assert_eq!(uri, format!("file://{}", file.display()));
    assert_eq!(store.local_path(&uri).as_deref(), Some(file.as_path()));
    assert_eq!(fs::read(file).unwrap(), b"x");
}

#[tokio::test]
async fn a_folder_that_was_removed_is_made_again() {
    let (folder, store) = store();
    let uri = store.url("a/b/c");
    store.put(&uri, Bytes::from_static(b"1")).await.unwrap();
    fs::remove_dir_all(folder.path().join("blobs/a")).unwrap();
    store.put(&uri, Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(store.get(&uri, 10).await.unwrap(), "2");
}

#[tokio::test]
async fn nothing_unfinished_stays_behind_and_none_of_it_is_listed() {
    let (folder, store) = store();
    store.put(&store.url("a"), Bytes::from_static(b"1")).await.unwrap();
    store.put_new(&store.url("a"), Bytes::from_static(b"2")).await.unwrap_err();
    let unfinished = folder.path().join("blobs/.unfinished");
    assert_eq!(fs::read_dir(&unfinished).unwrap().count(), 0);
    fs::write(unfinished.join("half"), "x").unwrap();
    assert_eq!(store.list(store.root()).await.unwrap(), [store.url("a")]);
    let reached = store.get(&store.url(".unfinished/half"), 10).await;
    assert!(matches!(reached, Err(BlobError::Name { .. })), "{reached:?}");
}

#[tokio::test]
async fn a_local_url_is_signed_by_whoever_serves_it() {
    let (_folder, store) = store();
    let signed = store.presign(Method::Get, &store.url("a"), Duration::from_secs(1)).await.unwrap();
    assert_eq!(signed, None);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let refused = BlobStore::local(Path::new("/proc/none/blobs")).unwrap_err();
    assert!(refused.to_string().contains("/proc/none/blobs"), "{refused}");
}

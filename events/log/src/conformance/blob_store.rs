//! Checks of [`BlobStore`].

use crate::blob_store::{BlobError, BlobStore};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};
use skein_model::{BlobRef, DataRef, INLINE_BYTES_MAX};
use std::io;

/// Runs every check on an empty store.
pub async fn blob_store(store: &BlobStore) {
    what_was_put_is_got(store).await;
    parts_of_an_object_are_got(store).await;
    a_name_is_taken_literally(store).await;
    of_racing_creators_exactly_one_succeeds(store).await;
    a_stream_is_kept_whole_or_not_at_all(store).await;
    what_is_absent_is_said_to_be(store).await;
    an_object_that_is_not_what_was_written_is_found_out(store).await;
    small_values_travel_inline(store).await;
    a_prefix_lists_what_is_below_it(store).await;
    a_url_that_leaves_the_store_is_refused(store).await;
}

fn text(bytes: &'static str) -> Bytes {
    Bytes::from_static(bytes.as_bytes())
}

async fn put(store: &BlobStore, uri: &str, bytes: Bytes) -> BlobRef {
    let put = store.put(uri, bytes).await;
    assert!(put.is_ok(), "an object can be written: {put:?}");
    put.expect("checked by the line above")
}

async fn get(store: &BlobStore, uri: &str) -> Bytes {
    let got = store.get(uri, u64::MAX).await;
    assert!(got.is_ok(), "an object that was written can be read: {got:?}");
    got.expect("checked by the line above")
}

/// Ranges, also of nothing and beyond the end.
pub async fn parts_of_an_object_are_got(store: &BlobStore) {
    let uri = store.url("range/object");
    put(store, &uri, text("0123456789")).await;
    for (range, expected) in [(0..10, "0123456789"), (3..5, "34"), (9..10, "9"), (4..4, "")] {
        let got = store.get_range(&uri, range.clone()).await;
        assert_eq!(got.ok(), Some(text(expected)), "bytes {range:?} are got");
    }
    for range in [8..12, 12..14] {
        let beyond = store.get_range(&uri, range).await;
        assert!(matches!(beyond, Err(BlobError::Damaged { .. })), "too short an object is told: {beyond:?}");
    }
    let absent = store.get_range(&store.url("range/absent"), 0..1).await;
    assert!(matches!(absent, Err(BlobError::NotFound { .. })), "an absent object is told: {absent:?}");
}

/// Writing, replacing, sizes, limits.
pub async fn what_was_put_is_got(store: &BlobStore) {
    let uri = store.url("put/got.bin");
    for bytes in [text("one"), Bytes::new(), Bytes::from(vec![7; 3 * 1024 * 1024 + 5])] {
        let blob = put(store, &uri, bytes.clone()).await;
        assert_eq!(
            (blob.uri.as_str(), blob.size),
            (uri.as_str(), bytes.len() as u64),
            "a reference says what it is to"
        );
        assert_eq!(get(store, &uri).await, bytes, "what was put last is got");
        assert_eq!(
            store.size(&uri).await.ok(),
            Some(Some(blob.size)),
            "an object has the size of what was put"
        );
        assert_eq!(store.get_checked(&blob).await.ok(), Some(bytes.clone()), "a reference gets what was put");
        let streamed = store.get_stream(&uri).await;
        assert!(streamed.is_ok(), "an object can be read in pieces");
        let (size, pieces) = streamed.expect("checked by the line above");
        let pieces: Result<Vec<Bytes>, BlobError> = pieces.try_collect().await;
        let pieces = pieces.map(|pieces| pieces.concat());
        assert!(pieces.is_ok_and(|all| all == bytes && size == blob.size), "pieces make up the object");
    }
    let limited = store.get(&uri, 10).await;
    assert!(
        matches!(limited, Err(BlobError::TooLarge { limit: 10, .. })),
        "a larger object is not read: {limited:?}"
    );
}

/// No character of a name is replaced by another.
pub async fn a_name_is_taken_literally(store: &BlobStore) {
    let names = [
        "GAYDAM====/a.txt",
        "a b",
        "a%20b",
        "a+b",
        "ü/日本",
        "a'\"b",
        "a#b",
        "a?b=c&d",
        "~x",
        "[x]{y}",
        "...",
        "a:b",
    ];
    for name in names {
        let uri = store.url(&format!("literal/{name}"));
        put(store, &uri, Bytes::copy_from_slice(name.as_bytes())).await;
    }
    for name in names {
        let uri = store.url(&format!("literal/{name}"));
        assert_eq!(get(store, &uri).await, name.as_bytes(), "{name} is an object of its own");
    }
    let listed = store.list(&store.url("literal")).await;
    let mut expected: Vec<String> = names.iter().map(|name| store.url(&format!("literal/{name}"))).collect();
    expected.sort_unstable();
    assert_eq!(listed.ok(), Some(expected), "objects are listed under the names they were written with");
}

/// Whoever comes second is told so, and the first one's object stays.
pub async fn of_racing_creators_exactly_one_succeeds(store: &BlobStore) {
    let uri = store.url("created/once");
    let creators = (0..8_u8).map(|n| {
        let (store, uri) = (store.clone(), uri.clone());
        tokio::spawn(async move { store.put_new(&uri, Bytes::from(vec![n; 64])).await.map(|blob| (n, blob)) })
    });
    let (mut won, mut exists, mut others) = (Vec::new(), 0, Vec::new());
    for created in future::join_all(creators).await {
        match created.expect("a put does not panic") {
            Ok(created) => won.push(created),
            Err(BlobError::Exists { .. }) => exists += 1,
            Err(other) => others.push(other),
        }
    }
    assert!(others.is_empty(), "a creator succeeds or finds one there: {others:?}");
    assert_eq!((won.len(), exists), (1, 7), "of racing creators exactly one succeeds");
    assert_eq!(get(store, &uri).await, vec![won[0].0; 64], "the object of the one that succeeds stays");
}

/// Streams: large, empty, broken off, too long.
pub async fn a_stream_is_kept_whole_or_not_at_all(store: &BlobStore) {
    const MIB: usize = 1024 * 1024;
    let pieces = |count: usize| stream::iter((0..count).map(|n| Ok(Bytes::from(vec![n as u8; MIB])))).boxed();
    for count in [0, 1, 40] {
        let uri = store.url(&format!("streamed/{count}"));
        let blob = store.put_stream(&uri, pieces(count), u64::MAX).await;
        assert!(blob.is_ok(), "a stream is kept: {blob:?}");
        let blob = blob.expect("checked by the line above");
        assert_eq!(blob.size, (count * MIB) as u64, "a reference has the size of the stream");
        let got = store.get_checked(&blob).await;
        assert!(got.is_ok(), "a stream is kept whole: {:?}", got.err());
    }
    let uri = store.url("streamed/never");
    let long = store.put_stream(&uri, pieces(40), 20 * MIB as u64).await;
    assert!(matches!(long, Err(BlobError::TooLarge { .. })), "a stream over the limit is refused: {long:?}");
    let broken = pieces(30).chain(stream::iter([Err(io::Error::other("gone"))])).boxed();
    let broken = store.put_stream(&uri, broken, u64::MAX).await;
    assert!(
        matches!(broken, Err(BlobError::Source { .. })),
        "a stream that breaks off is refused: {broken:?}"
    );
    assert_eq!(store.size(&uri).await.ok(), Some(None), "a stream that is refused leaves nothing");
}

/// Absence is an answer, not an accident.
pub async fn what_is_absent_is_said_to_be(store: &BlobStore) {
    let uri = store.url("absent/x");
    assert_eq!(store.size(&uri).await.ok(), Some(None), "an object that is not there has no size");
    let got = store.get(&uri, 10).await;
    assert!(
        matches!(&got, Err(BlobError::NotFound { uri: named }) if *named == uri),
        "absence is named: {got:?}"
    );
    let streamed = store.get_stream(&uri).await.map(drop);
    assert!(matches!(streamed, Err(BlobError::NotFound { .. })), "absence is named before the first piece");
    assert_eq!(
        store.list(&store.url("absent")).await.ok(),
        Some(Vec::new()),
        "an absent prefix lists nothing"
    );
    assert!(store.delete(&uri).await.is_ok(), "an object that is not there is easily deleted");
    put(store, &uri, text("here")).await;
    assert!(store.delete(&uri).await.is_ok(), "an object can be deleted");
    assert_eq!(store.size(&uri).await.ok(), Some(None), "an object that was deleted is not there");
    let folder = store.url("put");
    assert_eq!(store.size(&folder).await.ok(), Some(None), "a prefix is no object");
}

/// A reference is to what was written, whatever lies there now.
pub async fn an_object_that_is_not_what_was_written_is_found_out(store: &BlobStore) {
    let uri = store.url("damaged/x");
    let blob = put(store, &uri, text("written")).await;
    for changed in ["Written", "writte", "written!"] {
        put(store, &uri, text(changed)).await;
        let got = store.get_checked(&blob).await;
        assert!(
            matches!(got, Err(BlobError::Damaged { .. })),
            "{changed:?} is not what was written: {got:?}"
        );
    }
}

/// Only what is large costs an object.
pub async fn small_values_travel_inline(store: &BlobStore) {
    let uri = store.url("values/x");
    let small = Bytes::from(vec![1; INLINE_BYTES_MAX]);
    let kept = store.store(&uri, small.clone()).await;
    assert!(matches!(&kept, Ok(DataRef::Inline(bytes)) if *bytes == small), "a small value travels inline");
    assert_eq!(store.size(&uri).await.ok(), Some(None), "a value that travels inline is no object");
    let large = Bytes::from(vec![2; INLINE_BYTES_MAX + 1]);
    let kept = store.store(&uri, large.clone()).await;
    assert!(matches!(&kept, Ok(DataRef::Blob(blob)) if blob.uri == uri), "a large value is an object");
    let loaded = store.load(&kept.expect("checked by the line above")).await;
    assert_eq!(loaded.ok(), Some(large), "a value is loaded from where it was kept");
}

/// A prefix is a folder, not the beginning of a name.
pub async fn a_prefix_lists_what_is_below_it(store: &BlobStore) {
    for name in ["listed/b", "listed/a/2", "listed/a/1", "listed-not/c"] {
        put(store, &store.url(name), text("x")).await;
    }
    let listed = store.list(&store.url("listed")).await;
    let expected = ["listed/a/1", "listed/a/2", "listed/b"].map(|name| store.url(name));
    assert_eq!(listed.ok(), Some(expected.to_vec()), "a prefix lists what is below it, sorted");
    let all = store.list(store.root()).await.unwrap_or_default();
    assert!(all.contains(&store.url("listed-not/c")), "the root lists everything");
}

/// No way out, in either direction.
pub async fn a_url_that_leaves_the_store_is_refused(store: &BlobStore) {
    let root = store.root().to_owned();
    let outside = [
        "/etc/passwd".to_owned(),
        "http://x/y".to_owned(),
        root.clone(),
        format!("{root}/"),
        format!("{root}x/y"),
        format!("{root}/../y"),
        format!("{root}/a/../../y"),
        format!("{root}/a//b"),
        format!("{root}//etc/passwd"),
        format!("{root}/./a"),
        format!("{root}/a/"),
        String::new(),
    ];
    for uri in outside {
        let put = store.put(&uri, text("never")).await;
        assert!(matches!(put, Err(BlobError::Outside { .. })), "{uri:?} is not in the store: {put:?}");
        let got = store.get(&uri, 10).await;
        assert!(matches!(got, Err(BlobError::Outside { .. })), "{uri:?} is not in the store: {got:?}");
    }
    for name in ["a\0b".to_owned(), "a\nb".to_owned(), "x".repeat(256)] {
        let put = store.put(&store.url(&name), text("never")).await;
        assert!(matches!(put, Err(BlobError::Name { .. })), "{name:?} cannot name an object: {put:?}");
    }
}

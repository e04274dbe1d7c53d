//! Uploads and downloads.

use crate::definitions::{DOMAIN, PROJECT};
use crate::harness::{Harness, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use skein_idl::flyteidl::service::*;
use std::sync::atomic::Ordering;
use tonic::Code;

fn upload(content: &[u8], filename: &str) -> CreateUploadLocationRequest {
    CreateUploadLocationRequest {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        filename: filename.to_owned(),
        content_md5: Md5::digest(content).to_vec().into(),
        ..Default::default()
    }
}

async fn location(harness: &Harness, request: CreateUploadLocationRequest) -> CreateUploadLocationResponse {
    harness.data_proxy().create_upload_location(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn the_place_of_an_upload_depends_on_nothing_but_the_request() {
    let mut harness = Harness::start().await;
    let first = location(&harness, upload(b"hello", "a.txt")).await.native_url;
    harness.stop().await;
    harness.start_again().await;
    assert_eq!(location(&harness, upload(b"hello", "a.txt")).await.native_url, first);
    assert!(
        first.ends_with("/flytesnacks/development/LVAUAKVGFMUQEXH7ZCYEDYCIJA======/a.txt")
            || first.contains("======/a.txt"),
        "{first}"
    );
}

#[tokio::test]
async fn what_is_put_can_be_read_again_and_put_again() {
    let harness = Harness::start().await;
    for _ in 0..2 {
        let place = location(&harness, upload(b"hello", "a.txt")).await;
        let headers: Vec<(&str, &str)> =
            place.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(harness.http("PUT", harness.target(&place.signed_url), &headers, b"hello").await.0, 200);
        assert_eq!(harness.blobs.get(&place.native_url, 100).await.unwrap(), "hello");
        let request = CreateDownloadLocationRequest { native_url: place.native_url, ..Default::default() };
        let place = harness.data_proxy().create_download_location(request).await.unwrap().into_inner();
        assert_eq!(
            harness.http("GET", harness.target(&place.signed_url), &[], &[]).await,
            (200, b"hello".to_vec())
        );
        assert_eq!(harness.http("HEAD", harness.target(&place.signed_url), &[], &[]).await, (200, vec![]));
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_md5_says_is_not_stored() {
    let harness = Harness::start().await;
    let place = location(&harness, upload(b"hello", "a.txt")).await;
    let md5 = STANDARD.encode(Md5::digest(b"hello"));
    let target = harness.target(&place.signed_url);
    assert_eq!(harness.http("PUT", target, &[("Content-MD5", &md5)], b"other").await.0, 400);
    assert_eq!(harness.http("PUT", target, &[("Content-MD5", "x")], b"hello").await.0, 400);
    assert_eq!(harness.blobs.size(&place.native_url).await.unwrap(), None);
}

#[tokio::test]
async fn a_forged_expired_or_borrowed_url_is_refused() {
    let harness = Harness::start().await;
    let place = location(&harness, upload(b"hello", "a.txt")).await;
    let target = harness.target(&place.signed_url).to_owned();
    let last = if target.ends_with('A') { 'B' } else { 'A' };
    let forged = format!("{}{last}", &target[..target.len() - 1]);
    let (path, query) = target.split_once('?').unwrap();
    assert_eq!(harness.http("PUT", &forged, &[], b"hello").await.0, 403);
    assert_eq!(harness.http("PUT", path, &[], b"hello").await.0, 403);
    assert_eq!(harness.http("GET", &target, &[], &[]).await.0, 403);
    let other = path.replace("a.txt", "b.txt");
    assert_eq!(harness.http("PUT", &format!("{other}?{query}"), &[], b"hello").await.0, 403);
    harness.now.fetch_add(3_700_000_000, Ordering::Relaxed);
    let (status, text) = harness.http("PUT", &target, &[], b"hello").await;
    assert_eq!(status, 403);
    assert!(String::from_utf8(text).unwrap().contains("expired"));
    assert_eq!(harness.blobs.size(&place.native_url).await.unwrap(), None);
}

#[tokio::test]
async fn no_path_leaves_the_store() {
    let harness = Harness::start().await;
    for path in [
        "/data/../x",
        "/data/a/../../x",
        "/data/..%2f..%2fetc%2fpasswd",
        "/data/a//b",
        "/data/%00",
        "/data//etc/passwd",
        "/data/a/%2e%2e/b",
    ] {
        let (status, _) = harness.http("GET", path, &[], &[]).await;
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
    }
    for (filename, root) in [
        ("../x", "r"),
        ("a/../x", "r"),
        ("a", ".."),
        ("a\0b", "r"),
        ("/etc/passwd", "r"),
        ("a", &"r".repeat(10_240)),
    ] {
        let mut request = upload(b"hello", filename);
        request.filename_root = root.to_owned();
        let (code, _) = refusal(harness.data_proxy().create_upload_location(request).await);
        assert_eq!(code, Code::InvalidArgument, "{filename:?} {root:?}");
    }
    for native_url in ["file:///etc/passwd", "s3://bucket/x", "", "../x"] {
        let request =
            CreateDownloadLocationRequest { native_url: native_url.to_owned(), ..Default::default() };
        let (code, _) = refusal(harness.data_proxy().create_download_location(request).await);
        assert_eq!(code, Code::InvalidArgument, "{native_url}");
    }
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_and_leaves_nothing() {
    let mut config = skein_gateway::Config::default();
    config.limits.upload_bytes_max = 10;
    let harness = Harness::start_with(config).await;
    let place = location(&harness, upload(b"hello", "a.txt")).await;
    assert_eq!(harness.http("PUT", harness.target(&place.signed_url), &[], &[0; 1_000]).await.0, 413);
    assert_eq!(harness.blobs.size(&place.native_url).await.unwrap(), None);
}

#[tokio::test]
async fn a_location_is_refused_for_what_is_wrong_with_it() {
    let harness = Harness::start().await;
    let refused = async |request| refusal(harness.data_proxy().create_upload_location(request).await);
    let mut nothing = upload(b"hello", "");
    nothing.content_md5.clear();
    let required = "content_md5 or filename_root is a required parameter".to_owned();
    assert_eq!(refused(nothing).await, (Code::InvalidArgument, required));
    let mut long = upload(b"hello", "a");
    long.expires_in = Some(prost_types::Duration { seconds: 10_000_000, nanos: 0 });
    assert_eq!(refused(long).await.0, Code::InvalidArgument);
    let mut short = upload(b"hello", "a");
    short.content_md5 = vec![1, 2].into();
    assert_eq!(refused(short).await.0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_name_of_ones_own_is_taken_by_its_content() {
    let harness = Harness::start().await;
    let named = |content: &[u8]| CreateUploadLocationRequest {
        filename_root: "mine".to_owned(),
        ..upload(content, "a.txt")
    };
    let place = location(&harness, named(b"hello")).await;
    assert_eq!(harness.http("PUT", harness.target(&place.signed_url), &[], b"hello").await.0, 200);
    location(&harness, named(b"hello")).await;
    let (code, _) = refusal(harness.data_proxy().create_upload_location(named(b"other")).await);
    assert_eq!(code, Code::AlreadyExists);
}

#[tokio::test]
async fn health_and_metrics_are_answered() {
    let harness = Harness::start().await;
    location(&harness, upload(b"hello", "a.txt")).await;
    assert_eq!(harness.http("GET", "/healthcheck", &[], &[]).await.0, 200);
    let (status, text) = harness.http("GET", "/metrics", &[], &[]).await;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    let counted = r#"skein_gateway_requests_total{method="flyteidl.service.DataProxyService/CreateUploadLocation",code="OK"} 1"#;
    assert!(text.contains(counted), "{text}");
}

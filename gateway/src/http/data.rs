//! Objects by signed URL: for stores that cannot sign URLs themselves.

use super::Refused;
use crate::error::ApiError;
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};
use skein_log::BlobError;
use skein_log::blob_store::Method;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reads an object.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let uri = checked(&shared, Method::Get, &path, query.as_deref())?;
    let (size, pieces) = shared.blobs.get_stream(&uri).await.map_err(refused)?;
    let headers =
        [(header::CONTENT_LENGTH, size.to_string()), (header::CONTENT_TYPE, content_type(&path).to_owned())];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Reads an object whose URL has the signature in its path.
pub(super) async fn get_signed(
    shared: State<Arc<Shared>>,
    Path((query, path)): Path<(String, String)>,
) -> Result<Response, Refused> {
    get(shared, Path(path), RawQuery(Some(query))).await
}

/// Says of an object whose URL has the signature in its path whether it is there, and how large it is.
pub(super) async fn head_signed(
    shared: State<Arc<Shared>>,
    Path((query, path)): Path<(String, String)>,
) -> Result<Response, Refused> {
    head(shared, Path(path), RawQuery(Some(query))).await
}

/// Says whether there is an object, and how large it is.
pub(super) async fn head(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let uri = checked(&shared, Method::Get, &path, query.as_deref())?;
    let size = shared.blobs.size(&uri).await.map_err(refused)?;
    let size = size.ok_or_else(|| Refused(StatusCode::NOT_FOUND, format!("no object at {path}")))?;
    Ok(([(header::CONTENT_LENGTH, size.to_string())], ()).into_response())
}

/// Writes an object. Where the request says what its MD5 is, nothing is stored unless it is that.
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let uri = checked(&shared, Method::Put, &path, query.as_deref())?;
    let expected = content_md5(&headers)?;
    let limit = shared.config.limits.upload_bytes_max;
    if let Some(length) = content_length(&headers)
        && length > limit
    {
        return Err(too_large(length, limit));
    }
    let differs = Arc::new(AtomicBool::new(false));
    let pieces = body.into_data_stream().map_err(io::Error::other);
    let pieces = checking_md5(pieces, expected, differs.clone());
    let stored = shared.blobs.put_stream(&uri, pieces.boxed(), limit).await;
    match stored {
        Ok(blob) => {
            shared.metrics.uploaded_bytes.inc_by(blob.size);
            Ok(StatusCode::OK.into_response())
        }
        Err(_) if differs.load(Ordering::Relaxed) => Err(Refused(
            StatusCode::BAD_REQUEST,
            "the body's MD5 is not what Content-MD5 says; nothing was stored".to_owned(),
        )),
        Err(BlobError::TooLarge { size, limit, .. }) => Err(too_large(size, limit)),
        Err(BlobError::Source { source, .. }) => Err(Refused(
            StatusCode::BAD_REQUEST,
            format!("the body broke off ({source}); nothing was stored"),
        )),
        Err(other) => Err(refused(other)),
    }
}

/// Checks signature and path; answers the object's URL in the store.
fn checked(shared: &Shared, method: Method, path: &str, query: Option<&str>) -> Result<String, Refused> {
    let uri = shared.blobs.url(path);
    shared.blobs.path_of(&uri).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    shared
        .signer
        .verify(method.as_str(), path, query.unwrap_or_default(), shared.now())
        .map_err(|error| Refused(StatusCode::FORBIDDEN, error.to_string()))?;
    Ok(uri)
}

fn refused(error: BlobError) -> Refused {
    match error {
        BlobError::NotFound { uri } => Refused(StatusCode::NOT_FOUND, format!("no object at {uri}")),
        BlobError::Outside { .. } | BlobError::Name { .. } => {
            Refused(StatusCode::BAD_REQUEST, error.to_string())
        }
        other => ApiError::from(other).into(),
    }
}

fn too_large(size: u64, limit: u64) -> Refused {
    Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has {size} bytes or more, the limit is {limit}"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn content_md5(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Refused> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let bytes = STANDARD.decode(value.as_bytes()).ok().filter(|bytes| bytes.len() == 16);
    let bytes = bytes.ok_or_else(|| {
        Refused(StatusCode::BAD_REQUEST, "Content-MD5 is not the base64 form of an MD5, 16 bytes".to_owned())
    })?;
    Ok(Some(bytes))
}

/// Passes a body through; ends it with an error, so that nothing is stored, when its MD5 is another.
fn checking_md5(
    body: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    expected: Option<Vec<u8>>,
    differs: Arc<AtomicBool>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((body, Md5::new())), move |state| {
        let (expected, differs) = (expected.clone(), differs.clone());
        async move {
            let (mut body, mut md5) = state?;
            match body.next().await {
                Some(Ok(piece)) => {
                    if expected.is_some() {
                        md5.update(&piece);
                    }
                    Some((Ok(piece), Some((body, md5))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None if expected.is_some_and(|expected| md5.finalize().as_slice() != expected) => {
                    differs.store(true, Ordering::Relaxed);
                    Some((Err(io::Error::new(io::ErrorKind::InvalidData, "another MD5")), None))
                }
                None => None,
            }
        }
    })
}

/// What a browser is told that an object is: enough for a deck to be shown and for the rest to be saved.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

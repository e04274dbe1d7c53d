//! Objects in a bucket of S3, or of something that speaks its protocol.

use super::{BlobError, Method, Placing};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// The size of the parts of a large object, in bytes. S3 takes at most 10 000 parts of at least 5 MiB each.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// Where a bucket is and how to get in.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// The prefix under which everything is, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The URL of the service; none for Amazon's.
    pub endpoint: Option<String>,
    /// The region, `us-east-1` where the service knows none.
    pub region: String,
    /// Access key and secret; none takes them from the environment (`AWS_ACCESS_KEY_ID`, …) or the machine's role.
    pub keys: Option<S3Keys>,
    /// Whether the endpoint may be `http://`.
    pub allow_http: bool,
}

/// The name and the secret of an access key.
#[derive(Clone)]
pub struct S3Keys {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, endpoint, region, keys, allow_http } = self;
        f.debug_struct("S3Settings")
            .field("bucket", bucket)
            .field("prefix", prefix)
            .field("endpoint", endpoint)
            .field("region", region)
            .field("keys", keys)
            .field("allow_http", allow_http)
            .finish()
    }
}

impl S3Settings {
    pub(super) fn url(&self) -> String {
        if self.prefix.is_empty() {
            return format!("s3://{}", self.bucket);
        }
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    prefix: Arc<str>,
    store: Arc<AmazonS3>,
}

impl Bucket {
    pub(super) fn open(settings: S3Settings) -> Result<Self, BlobError> {
        let url = settings.url();
        let mut builder = match settings.keys {
            Some(keys) => AmazonS3Builder::new()
                .with_access_key_id(keys.access_key_id)
                .with_secret_access_key(keys.secret_access_key),
            None => AmazonS3Builder::from_env(),
        };
        builder = builder
            .with_bucket_name(settings.bucket)
            .with_region(settings.region)
            .with_allow_http(settings.allow_http);
        if let Some(endpoint) = settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|source| BlobError::Settings { url, source: source.into() })?;
        Ok(Self { prefix: settings.prefix.into(), store: Arc::new(store) })
    }

    fn key(&self, uri: &str, path: &str) -> Result<Path, BlobError> {
        let key = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        // Not `Path::from`, which would percent-encode.
        Path::parse(key).map_err(|source| BlobError::unavailable(uri, source))
    }

    pub(super) async fn put(
        &self,
        uri: &str,
        path: &str,
        bytes: Bytes,
        placing: Placing,
    ) -> Result<(), BlobError> {
        let mode = match placing {
            Placing::Replace => PutMode::Overwrite,
            Placing::CreateOnly => PutMode::Create,
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        let key = self.key(uri, path)?;
        let put = self.store.put_opts(&key, PutPayload::from_bytes(bytes), options);
        put.await.map(drop).map_err(|source| error(uri, source))
    }

    pub(super) async fn put_stream(
        &self,
        uri: &str,
        path: &str,
        mut stream: BoxStream<'_, io::Result<Bytes>>,
        size_max: u64,
    ) -> Result<(u64, u64), BlobError> {
        let key = self.key(uri, path)?;
        let mut count = Count { uri, size: 0, size_max, hash: Xxh3::new() };
        let mut part = count.fill(&mut stream).await?;
        if part.len() < PART_BYTES {
            let put = self.store.put(&key, PutPayload::from_bytes(part));
            put.await.map_err(|source| error(uri, source))?;
            return Ok(count.done());
        }
        let mut upload = self.store.put_multipart(&key).await.map_err(|source| error(uri, source))?;
        let sent = async {
            while !part.is_empty() {
                let put = upload.put_part(PutPayload::from_bytes(std::mem::take(&mut part)));
                put.await.map_err(|source| error(uri, source))?;
                part = count.fill(&mut stream).await?;
            }
            upload.complete().await.map(drop).map_err(|source| error(uri, source))
        };
        if let Err(failed) = sent.await {
            // Parts that stay behind cost storage only; the failure itself is what matters to the caller.
            let _ = upload.abort().await;
            return Err(failed);
        }
        Ok(count.done())
    }

    pub(super) async fn get(&self, uri: &str, path: &str, size_max: u64) -> Result<Bytes, BlobError> {
        let found = self.store.get(&self.key(uri, path)?).await.map_err(|source| error(uri, source))?;
        if found.meta.size > size_max {
            return Err(BlobError::TooLarge { uri: uri.to_owned(), size: found.meta.size, limit: size_max });
        }
        found.bytes().await.map_err(|source| error(uri, source))
    }

    /// Reads a range; fewer bytes where the object ends before it.
    pub(super) async fn get_range(
        &self,
        uri: &str,
        path: &str,
        range: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        self.store.get_range(&self.key(uri, path)?, range).await.map_err(|source| error(uri, source))
    }

    pub(super) async fn get_stream(
        &self,
        uri: &str,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, BlobError>>), BlobError> {
        let found = self.store.get(&self.key(uri, path)?).await.map_err(|source| error(uri, source))?;
        let (size, uri) = (found.meta.size, uri.to_owned());
        Ok((size, found.into_stream().map_err(move |source| error(&uri, source)).boxed()))
    }

    pub(super) async fn size(&self, uri: &str, path: &str) -> Result<Option<u64>, BlobError> {
        match self.store.head(&self.key(uri, path)?).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(error(uri, source)),
        }
    }

    /// Lists paths under the root.
    pub(super) async fn list(&self, uri: &str, path: &str) -> Result<Vec<String>, BlobError> {
        let prefix = match (self.prefix.is_empty(), path.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Path::parse(&*self.prefix).map_err(|e| BlobError::unavailable(uri, e))?),
            (_, false) => Some(self.key(uri, path)?),
        };
        let cut = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let found =
            self.store.list(prefix.as_ref()).map_ok(|meta| String::from(meta.location)[cut..].to_owned());
        found.try_collect().await.map_err(|source| error(uri, source))
    }

    pub(super) async fn delete(&self, uri: &str, path: &str) -> Result<(), BlobError> {
        match self.store.delete(&self.key(uri, path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(error(uri, source)),
        }
    }

    pub(super) async fn presign(
        &self,
        method: Method,
        uri: &str,
        path: &str,
        expires_in: Duration,
    ) -> Result<String, BlobError> {
        let method = match method {
            Method::Get => object_store::signer::Method::GET,
            Method::Put => object_store::signer::Method::PUT,
        };
        let key = self.key(uri, path)?;
        let url = self.store.signed_url(method, &key, expires_in);
        url.await.map(String::from).map_err(|source| error(uri, source))
    }
}

/// Counts and hashes what goes through.
struct Count<'a> {
    uri: &'a str,
    size: u64,
    size_max: u64,
    hash: Xxh3,
}

impl Count<'_> {
    /// Takes at least [`PART_BYTES`] from the stream, less only at its end.
    async fn fill(&mut self, stream: &mut BoxStream<'_, io::Result<Bytes>>) -> Result<Bytes, BlobError> {
        let mut part = BytesMut::new();
        while part.len() < PART_BYTES {
            let Some(piece) = stream.next().await else { break };
            let piece = piece.map_err(|source| BlobError::Source { uri: self.uri.to_owned(), source })?;
            self.size += piece.len() as u64;
            if self.size > self.size_max {
                return Err(BlobError::TooLarge {
                    uri: self.uri.to_owned(),
                    size: self.size,
                    limit: self.size_max,
                });
            }
            self.hash.update(&piece);
            part.extend_from_slice(&piece);
        }
        Ok(part.freeze())
    }

    fn done(&self) -> (u64, u64) {
        (self.size, self.hash.digest())
    }
}

fn error(uri: &str, source: object_store::Error) -> BlobError {
    let uri = uri.to_owned();
    match source {
        object_store::Error::NotFound { .. } => BlobError::NotFound { uri },
        object_store::Error::AlreadyExists { .. } => BlobError::Exists { uri },
        other => BlobError::Unavailable { uri, source: other.into() },
    }
}

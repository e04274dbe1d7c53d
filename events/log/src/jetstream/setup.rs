//! The streams that a region needs: found as they should be, or made.

use super::api::Api;
use super::settings::ConnectError;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, kv};
use skein_model::Category;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Servers of 2.15 allow 1000 where nothing is said; each follower and each pool is one.
const CONSUMERS_MAX: i32 = 5000;
/// The smallest that a server takes. No message here carries an id, so nothing is ever kept for it.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);
/// How long the mark of an expired lease stays, at least: the smallest that a server takes.
const MARKER_TTL: Duration = Duration::from_secs(1);
const SHARDS: &str = "skein-shards";
const TRY_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn streams(api: &Api) -> Result<(), ConnectError> {
    let deadline = Instant::now() + api.settings.connect_timeout;
    for category in Category::ALL {
        for shard in 0..api.settings.shards(category) {
            stream(api, log_stream(api, category, shard), deadline).await?;
        }
    }
    stream(api, work_stream(api), deadline).await?;
    lease_bucket(api, deadline).await
}

fn log_stream(api: &Api, category: Category, shard: u16) -> Config {
    Config {
        name: api.names.log_stream(category, shard),
        subjects: vec![api.names.log_subjects(category, shard)],
        retention: RetentionPolicy::Limits,
        max_bytes: api.settings.stream_bytes_max,
        deny_delete: true,
        metadata: HashMap::from([(SHARDS.to_owned(), api.settings.shards(category).to_string())]),
        ..common(api)
    }
}

fn work_stream(api: &Api) -> Config {
    Config {
        name: api.names.work_stream(),
        subjects: vec![api.names.work_subjects()],
        retention: RetentionPolicy::WorkQueue,
        ..common(api)
    }
}

fn common(api: &Api) -> Config {
    Config {
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: api.settings.replicas,
        allow_direct: true,
        max_consumers: CONSUMERS_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    }
}

async fn stream(api: &Api, wanted: Config, deadline: Instant) -> Result<(), ConnectError> {
    loop {
        let reason = match api.context.get_stream(&wanted.name).await {
            Ok(found) => return compare(&found.cached_info().config, &wanted),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    match api.context.create_stream(wanted.clone()).await {
                        Ok(_) => return Ok(()),
                        Err(error) => error.to_string(),
                    }
                }
                kind => format!("{kind}"),
            },
        };
        // Servers that have just started have no leader yet; somebody else may be making the same stream.
        if Instant::now() >= deadline {
            return Err(ConnectError::Setup { stream: wanted.name, reason });
        }
        sleep(TRY_AGAIN).await;
    }
}

fn compare(found: &Config, wanted: &Config) -> Result<(), ConnectError> {
    let shards = |config: &Config| config.metadata.get(SHARDS).cloned().unwrap_or_default();
    let parts = [
        ("shards", shards(found), shards(wanted)),
        ("subjects", found.subjects.join(" "), wanted.subjects.join(" ")),
        ("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention)),
        ("discard policy", format!("{:?}", found.discard), format!("{:?}", wanted.discard)),
        ("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage)),
        ("deny_delete", found.deny_delete.to_string(), wanted.deny_delete.to_string()),
        ("allow_direct", found.allow_direct.to_string(), wanted.allow_direct.to_string()),
        ("replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string()),
    ];
    match parts.into_iter().find(|(_, found, wanted)| found != wanted) {
        None => Ok(()),
        Some((what, found, wanted_part)) => {
            Err(ConnectError::Layout { stream: wanted.name.clone(), what, found, wanted: wanted_part })
        }
    }
}

async fn lease_bucket(api: &Api, deadline: Instant) -> Result<(), ConnectError> {
    let bucket = api.names.lease_bucket();
    loop {
        if api.context.get_key_value(&bucket).await.is_ok() {
            return Ok(());
        }
        let wanted = kv::Config {
            bucket: bucket.clone(),
            history: 1,
            storage: StorageType::File,
            num_replicas: api.settings.replicas,
            limit_markers: Some(MARKER_TTL),
            ..kv::Config::default()
        };
        let reason = match api.context.create_key_value(wanted).await {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(ConnectError::Setup { stream: bucket, reason });
        }
        sleep(TRY_AGAIN).await;
    }
}

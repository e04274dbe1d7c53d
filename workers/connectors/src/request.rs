//! What a connector is told of an attempt.

use prost::Message as _;
use skein_idl::flyteidl::admin::{self, TaskCategory, TaskExecutionMetadata};
use skein_idl::flyteidl::core::{self, LiteralMap, TaskTemplate, task_template};
use skein_log::{BlobError, BlobStore};
use skein_model::Work;
use std::collections::BTreeMap;

/// An attempt, but for its inputs: they may be large, and are needed once.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) template: TaskTemplate,
    output_prefix: String,
    metadata: TaskExecutionMetadata,
}

/// An attempt that cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("{0} cannot be decoded")]
    Unreadable(&'static str),
}

impl Asked {
    /// Reads what an attempt is about.
    pub(crate) async fn of(work: &Work, blobs: &BlobStore) -> Result<Self, AskError> {
        let template = blobs.get_checked(&work.template).await?;
        let mut template = TaskTemplate::decode(template).map_err(|_| AskError::Unreadable("the task"))?;
        let output_prefix = blobs.native(&work.output_prefix).to_owned();
        if let Some(task_template::Target::Container(container)) = &mut template.target {
            let native = |word: &String| {
                let word = word.replace(&work.output_prefix, &output_prefix);
                word.replace(&work.input_uri, blobs.native(&work.input_uri))
            };
            container.args = work.args.iter().map(native).collect();
            let pair = |(key, value): &(String, String)| core::KeyValuePair {
                key: key.clone(),
                value: value.clone(),
            };
            container.env = work.env.iter().map(pair).collect();
        }
        Ok(Self { template, metadata: metadata(work), output_prefix })
    }

    /// Reads the inputs of the attempt. A command line that names their file finds it.
    pub(crate) async fn inputs(&self, work: &Work, blobs: &BlobStore) -> Result<LiteralMap, AskError> {
        let encoded = blobs.load(&work.inputs).await?;
        if matches!(self.template.target, Some(task_template::Target::Container(_))) {
            blobs.put(&work.input_uri, encoded.clone()).await?;
        }
        LiteralMap::decode(encoded).map_err(|_| AskError::Unreadable("the inputs"))
    }

    pub(crate) fn create(&self, inputs: LiteralMap) -> admin::CreateTaskRequest {
        admin::CreateTaskRequest {
            inputs: Some(inputs),
            template: Some(self.template.clone()),
            output_prefix: self.output_prefix.clone(),
            task_execution_metadata: Some(self.metadata.clone()),
        }
    }

    pub(crate) fn header(&self) -> admin::CreateRequestHeader {
        admin::CreateRequestHeader {
            template: Some(self.template.clone()),
            output_prefix: self.output_prefix.clone(),
            task_execution_metadata: Some(self.metadata.clone()),
            max_dataset_size_bytes: 0,
        }
    }

    #[expect(deprecated, reason = "connectors of before know no category")]
    pub(crate) fn get(&self, resource_meta: bytes::Bytes) -> admin::GetTaskRequest {
        admin::GetTaskRequest {
            task_type: self.template.r#type.clone(),
            resource_meta,
            task_category: Some(category(&self.template)),
            output_prefix: self.output_prefix.clone(),
        }
    }
}

/// Answers the request that deletes a job.
#[expect(deprecated, reason = "connectors of before know no category")]
pub(crate) fn delete(category: &TaskCategory, resource_meta: bytes::Bytes) -> admin::DeleteTaskRequest {
    admin::DeleteTaskRequest {
        task_type: category.name.clone(),
        resource_meta,
        task_category: Some(category.clone()),
    }
}

/// Answers the category of a task.
pub(crate) fn category(template: &TaskTemplate) -> TaskCategory {
    TaskCategory { name: template.r#type.clone(), version: template.task_type_version }
}

/// On whose behalf a job is made: its task execution id is the same however often it is asked for.
fn metadata(work: &Work) -> TaskExecutionMetadata {
    let id = &work.id;
    let connector = work.connector.as_deref().cloned().unwrap_or_default();
    TaskExecutionMetadata {
        task_execution_id: Some(core::TaskExecutionIdentifier {
            task_id: Some(work.task.to_proto()),
            node_execution_id: Some(core::NodeExecutionIdentifier {
                node_id: id.node.as_str().to_owned(),
                execution_id: Some(id.execution.to_proto()),
            }),
            retry_attempt: id.attempt.0,
        }),
        namespace: format!("{}-{}", id.execution.project, id.execution.domain),
        labels: connector.labels,
        annotations: connector.annotations,
        environment_variables: work.env.iter().cloned().collect::<BTreeMap<_, _>>(),
        max_attempts: i32::try_from(connector.attempts_max).unwrap_or(i32::MAX),
        ..TaskExecutionMetadata::default()
    }
}

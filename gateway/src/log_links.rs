//! Links to where logs are kept beside ours, as the server's configuration says: one for each try of a task and each run of
//! an item, made of a template with Flyte's variables.

use crate::shared::percent_encode;
use skein_idl::flyteidl::core::{TaskLog, task_log::MessageFormat};
use skein_model::{EntityId, ExecutionId, Timestamp};
use std::collections::BTreeMap;

/// The keys of a link, those of its provider included.
const KEYS: [&str; 8] = ["name", "uri", "provider", "region", "group", "project", "tenant", "workspace"];

/// A link, ready to be made for any try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLink {
    name: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Variable),
}

/// What a template may ask for. There are no pods on one machine: their names are those that Flyte would give them, so that
/// templates written for it go on working where logs are kept under these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    /// `<execution>-<node>-<attempt>`, or of an item `<execution>-<node>-0-n<item>-<attempt>`.
    GeneratedName,
    /// `<project>-<domain>` of the execution.
    Namespace,
    ExecutionName,
    ExecutionProject,
    ExecutionDomain,
    NodeId,
    TaskRetryAttempt,
    TaskId,
    TaskProject,
    TaskDomain,
    TaskVersion,
    StartRfc3339,
    FinishRfc3339,
    StartUnix,
    FinishUnix,
}

impl Variable {
    /// The names of templates, in small letters: Flyte does not tell them apart either.
    const ALL: [(&'static str, Self); 17] = [
        ("generatedName", Self::GeneratedName),
        ("podName", Self::GeneratedName),
        ("containerName", Self::GeneratedName),
        ("namespace", Self::Namespace),
        ("executionName", Self::ExecutionName),
        ("executionProject", Self::ExecutionProject),
        ("executionDomain", Self::ExecutionDomain),
        ("nodeID", Self::NodeId),
        ("taskRetryAttempt", Self::TaskRetryAttempt),
        ("taskID", Self::TaskId),
        ("taskProject", Self::TaskProject),
        ("taskDomain", Self::TaskDomain),
        ("taskVersion", Self::TaskVersion),
        ("podRFC3339StartTime", Self::StartRfc3339),
        ("podRFC3339FinishTime", Self::FinishRfc3339),
        ("podUnixStartTime", Self::StartUnix),
        ("podUnixFinishTime", Self::FinishUnix),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, variable)| variable)
    }
}

/// The try that a link is made for.
pub(crate) struct Try<'a> {
    pub(crate) execution: &'a ExecutionId,
    pub(crate) node: &'a str,
    pub(crate) task: &'a EntityId,
    pub(crate) attempt: u32,
    pub(crate) generated_name: &'a str,
    pub(crate) started: Timestamp,
    /// Its end, or now.
    pub(crate) ended: Timestamp,
}

impl LogLink {
    /// Makes a link of what the configuration says: `name` and `uri`, or `provider` and what that needs.
    ///
    /// # Errors
    /// What is wrong, with key and value, and what would be right.
    pub fn read(given: &BTreeMap<String, String>) -> Result<Self, String> {
        if let Some(key) = given.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("{key} is unknown; there are {}", KEYS.join(", ")));
        }
        let value = |key: &str| given.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let (name, uri, used) = match (value("provider"), value("uri")) {
            (None, None) => return Err("it has neither uri nor provider; say one".to_owned()),
            (Some(_), Some(_)) => return Err("it has both uri and provider; say one".to_owned()),
            (None, Some(uri)) => (None, uri.to_owned(), &["uri"][..]),
            (Some(provider), None) => provided(provider, value)?,
        };
        if let Some(key) = given
            .keys()
            .find(|key| !["name", "provider"].contains(&key.as_str()) && !used.contains(&key.as_str()))
        {
            return Err(format!("{key} is of no use here; this link has name, {}", used.join(", ")));
        }
        let name = value("name").or(name).ok_or("name is missing; it is what the link is called")?.to_owned();
        Ok(Self { name, parts: parse(&uri)? })
    }

    pub(crate) fn of(&self, attempt: &Try<'_>, suffix: &str) -> TaskLog {
        let mut uri = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => uri.push_str(text),
                Part::Value(variable) => uri.push_str(&percent_encode(&attempt.value(*variable))),
            }
        }
        TaskLog {
            uri,
            name: format!("{}{suffix}", self.name),
            message_format: MessageFormat::Json.into(),
            ..Default::default()
        }
    }
}

impl Try<'_> {
    fn value(&self, variable: Variable) -> String {
        let ExecutionId { project, domain, name } = self.execution;
        let seconds = |at: Timestamp| at.as_micros().div_euclid(1_000_000).to_string();
        match variable {
            Variable::GeneratedName => self.generated_name.to_owned(),
            Variable::Namespace => format!("{project}-{domain}"),
            Variable::ExecutionName => name.clone(),
            Variable::ExecutionProject => project.clone(),
            Variable::ExecutionDomain => domain.clone(),
            Variable::NodeId => self.node.to_owned(),
            Variable::TaskRetryAttempt => self.attempt.to_string(),
            Variable::TaskId => self.task.name.clone(),
            Variable::TaskProject => self.task.project.clone(),
            Variable::TaskDomain => self.task.domain.clone(),
            Variable::TaskVersion => self.task.version.clone(),
            Variable::StartRfc3339 => crate::progress::rfc3339(self.started),
            Variable::FinishRfc3339 => crate::progress::rfc3339(self.ended),
            Variable::StartUnix => seconds(self.started),
            Variable::FinishUnix => seconds(self.ended),
        }
    }
}

type Provided = (Option<&'static str>, String, &'static [&'static str]);

/// Answers what a provider's link is called, its template, and which keys it needs.
fn provided<'v>(provider: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<Provided, String> {
    let needed = |key: &str| {
        value(key)
            .map(percent_encode)
            .ok_or_else(|| format!("{key} is missing; provider {provider} needs it"))
    };
    match provider {
        "cloudwatch" => {
            let (region, group) = (needed("region")?, needed("group")?);
            let uri = format!(
                "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group};stream={{{{ .podName }}}}"
            );
            Ok((Some("CloudWatch Logs"), uri, &["region", "group"]))
        }
        "stackdriver" => {
            let project = needed("project")?;
            let uri = format!(
                "https://console.cloud.google.com/logs/query;query=labels.pod_name%3D%22{{{{ .podName }}}}%22?project={project}"
            );
            Ok((Some("Stackdriver Logs"), uri, &["project"]))
        }
        "azure" => {
            let tenant = needed("tenant")?;
            let workspace = needed("workspace")?.replace('/', "%2F");
            let uri = format!(
                "https://portal.azure.com/#@{tenant}/blade/Microsoft_OperationsManagementSuite_Workspace/Logs.ReactView/resourceId/{workspace}/source/LogsBlade.AnalyticsShareLinkToQuery/query/ContainerLogV2%20%7C%20where%20PodName%20%3D%3D%20%22{{{{ .podName }}}}%22"
            );
            Ok((Some("Azure Logs"), uri, &["tenant", "workspace"]))
        }
        other => Err(format!(
            "provider is {other:?}; it has to be one of \"cloudwatch\", \"stackdriver\" and \"azure\", or say uri"
        )),
    }
}

/// Takes a template apart: `{{ .name }}`, as Flyte writes it, stands for a value.
fn parse(uri: &str) -> Result<Vec<Part>, String> {
    if !uri.starts_with("https://") && !uri.starts_with("http://") {
        return Err(format!("uri is {uri:?}; it has to begin with https:// or http://"));
    }
    let (mut parts, mut rest) = (Vec::new(), uri);
    while let Some((text, after)) = rest.split_once("{{") {
        let (inside, after) =
            after.split_once("}}").ok_or_else(|| format!("uri has {{{{ without }}}} after {text:?}"))?;
        let inside = inside.trim();
        let name = inside.strip_prefix(['.', '$']).unwrap_or(inside).trim();
        let variable = Variable::named(name).ok_or_else(|| {
            let known: Vec<&str> = Variable::ALL.iter().map(|(name, _)| *name).collect();
            format!(
                "uri asks for {name}, which is unknown or has no meaning here; there are {}",
                known.join(", ")
            )
        })?;
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(Part::Value(variable));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::EntityKind;

    fn read(given: &[(&str, &str)]) -> Result<LogLink, String> {
        LogLink::read(&given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn made(given: &[(&str, &str)]) -> (String, String) {
        let execution = ExecutionId { project: "p".into(), domain: "d".into(), name: "e1".into() };
        let task = EntityId {
            kind: EntityKind::Task,
            project: "tp".into(),
            domain: "td".into(),
            name: "m.t".into(),
            version: "v 1".into(),
        };
        let log = read(given).expect("it is right").of(
            &Try {
                execution: &execution,
                node: "n0",
                task: &task,
                attempt: 2,
                generated_name: "e1-n0-2",
                started: Timestamp::from_micros(1_767_225_600_000_000),
                ended: Timestamp::from_micros(1_767_225_661_500_000),
            },
            "-7",
        );
        (log.name, log.uri)
    }

    #[test]
    fn a_template_has_the_variables_of_flyte() {
        let uri = "https://x/{{ .executionProject }}/{{.executionDomain}}/{{ $executionName }}/{{ .nodeId }}/{{ .taskRetryAttempt }}\
                   ?n={{ .namespace }}&p={{ .PODNAME }}&v={{ .taskVersion }}&from={{ .podUnixStartTime }}&to={{ .podUnixFinishTime }}";
        let expected = "https://x/p/d/e1/n0/2?n=p-d&p=e1-n0-2&v=v%201&from=1767225600&to=1767225661";
        assert_eq!(made(&[("name", "Mine"), ("uri", uri)]), ("Mine-7".to_owned(), expected.to_owned()));
    }

    #[test]
    fn known_providers_need_only_their_places() {
        let (name, uri) =
            made(&[("provider", "cloudwatch"), ("region", "eu-west-1"), ("group", "/skein/tasks")]);
        assert_eq!(name, "CloudWatch Logs-7");
        assert!(uri.ends_with("region=eu-west-1#logEventViewer:group=/skein/tasks;stream=e1-n0-2"), "{uri}");
        let (name, uri) = made(&[("provider", "stackdriver"), ("project", "my-project"), ("name", "GCP")]);
        assert_eq!(name, "GCP-7");
        assert!(uri.contains("%22e1-n0-2%22?project=my-project"), "{uri}");
        let workspace =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w";
        let (name, uri) = made(&[("provider", "azure"), ("tenant", "t"), ("workspace", workspace)]);
        assert_eq!(name, "Azure Logs-7");
        assert!(
            uri.contains("/resourceId/%2Fsubscriptions%2Fs%2F") && uri.ends_with("%22e1-n0-2%22"),
            "{uri}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let refused = |given: &[(&str, &str)]| read(given).expect_err("it is wrong");
        let pod = refused(&[("name", "x"), ("uri", "https://x/{{ .podUID }}")]);
        assert!(pod.starts_with(
            "uri asks for podUID, which is unknown or has no meaning here; there are generatedName, podName"
        ));
        assert!(
            refused(&[("name", "x"), ("uri", "https://x/{{ .taskConfig.host }}")])
                .contains("asks for taskConfig.host")
        );
        assert!(refused(&[("name", "x"), ("uri", "https://x/{{ .podName")]).contains("without }}"));
        assert!(refused(&[("name", "x"), ("uri", "javascript:x")]).contains("has to begin with https://"));
        assert_eq!(refused(&[("uri", "https://x")]), "name is missing; it is what the link is called");
        assert_eq!(
            refused(&[("provider", "cloudwatch"), ("region", "r")]),
            "group is missing; provider cloudwatch needs it"
        );
        assert!(refused(&[("provider", "splunk")]).contains("has to be one of"));
        assert!(refused(&[("name", "x")]).contains("neither uri nor provider"));
        assert!(
            refused(&[("name", "x"), ("uri", "https://x"), ("region", "r")])
                .contains("region is of no use here")
        );
        assert!(refused(&[("nmae", "x")]).contains("nmae is unknown; there are name, uri"));
    }
}

//! Registers tasks at a server, by the call that the SDK makes too.

use crate::task::Task;
use skein_idl::flyteidl::admin::{TaskCreateRequest, TaskSpec};
use skein_idl::flyteidl::core::{Identifier, ResourceType};
use skein_idl::flyteidl::service::admin_service_client::AdminServiceClient;
use skein_protocol::native;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const ENDPOINT: &str = "--endpoint";
const PROJECT: &str = "--project";
const DOMAIN: &str = "--domain";
const VERSION: &str = "--version";
const TASK: &str = "--task";
const USAGE: &str = "register --endpoint HOST:PORT --project P --domain D --version V [--task NAME]...";

/// Where tasks are registered, and which.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    endpoint: String,
    project: String,
    domain: String,
    version: String,
    /// The names of some; all when there are none.
    pub tasks: Vec<String>,
}

impl Target {
    /// Reads the command line after `register`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(crate) fn parse(options: &[&str]) -> Result<Self, String> {
        let mut target = Self::default();
        for pair in options.chunks(2) {
            let [option, value] = *pair else {
                return Err(format!("{} needs a value after it: {USAGE}", pair[0]));
            };
            let value = value.to_owned();
            match option {
                ENDPOINT => target.endpoint = value,
                PROJECT => target.project = value,
                DOMAIN => target.domain = value,
                VERSION => target.version = value,
                TASK => target.tasks.push(value),
                other => return Err(format!("{other:?} is no option: {USAGE}")),
            }
        }
        let Self { endpoint, project, domain, version, tasks: _ } = &target;
        let given = [(ENDPOINT, endpoint), (PROJECT, project), (DOMAIN, domain), (VERSION, version)];
        match given.iter().find(|(_, value)| value.is_empty()) {
            Some((option, _)) => Err(format!("{option} is missing: {USAGE}")),
            None => Ok(target),
        }
    }

    fn url(&self) -> String {
        if self.endpoint.contains("://") {
            self.endpoint.clone()
        } else {
            format!("http://{}", self.endpoint)
        }
    }
}

/// Registers tasks one after the other, and prints of each what became of it. A version that is there already with the
/// same content is as good as registered.
///
/// # Errors
/// What is wrong with the first that cannot be registered; those before it are.
pub(crate) fn all<'t>(tasks: impl Iterator<Item = &'t Task>, target: &Target) -> Result<(), String> {
    let program =
        std::env::current_exe().map_err(|error| format!("the path of this program is not known: {error}"))?;
    let path = program.to_str().ok_or_else(|| {
        format!("the path of this program, {}, is no text: put it where it has one", program.display())
    })?;
    let digest = native::digest(&program).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let requests = tasks.map(|task| request(task, target, path, &digest));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the network cannot be used: {error}"))?;
    runtime.block_on(send(requests, target))
}

fn request(task: &Task, target: &Target, program: &str, digest: &str) -> TaskCreateRequest {
    let id = Identifier {
        resource_type: ResourceType::Task.into(),
        project: target.project.clone(),
        domain: target.domain.clone(),
        name: task.name.clone(),
        version: target.version.clone(),
        ..Identifier::default()
    };
    let mut template = task.template(program, digest);
    template.id = Some(id.clone());
    TaskCreateRequest {
        id: Some(id),
        spec: Some(TaskSpec { template: Some(template), ..TaskSpec::default() }),
    }
}

async fn send(requests: impl Iterator<Item = TaskCreateRequest>, target: &Target) -> Result<(), String> {
    let url = target.url();
    let endpoint = Endpoint::from_shared(url.clone())
        .map_err(|error| format!("{ENDPOINT} is {:?}, and has to be HOST:PORT: {error}", target.endpoint))?;
    let channel: Channel =
        endpoint.connect().await.map_err(|error| format!("there is no server at {url}: {error}"))?;
    let mut client = AdminServiceClient::new(channel);
    for request in requests {
        let id = request.id.clone().unwrap_or_default();
        let Identifier { project, domain, name, version, .. } = &id;
        match client.create_task(request).await {
            Ok(_) => println!("registered {project}/{domain}/{name}, version {version}"),
            Err(status) if is_there_already(&status) => {
                println!("{project}/{domain}/{name}, version {version}, is registered already");
            }
            Err(status) => {
                return Err(format!(
                    "{project}/{domain}/{name}, version {version}, is not registered: {}",
                    status.message()
                ));
            }
        }
    }
    Ok(())
}

/// Says whether the same was registered before. Another content under the version is another answer of the server's.
fn is_there_already(status: &tonic::Status) -> bool {
    status.code() == Code::AlreadyExists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_says_where_and_which() {
        let words = "--endpoint 127.0.0.1:8090 --project p --domain d --version 1 --task a --task b";
        let target = Target::parse(&words.split(' ').collect::<Vec<_>>()).expect("it is whole");
        assert_eq!(target.url(), "http://127.0.0.1:8090");
        assert_eq!(target.tasks, ["a", "b"]);
    }

    #[test]
    fn what_is_missing_or_not_known_is_named() {
        let fault = |words: &str| {
            let words: Vec<_> = words.split_whitespace().collect();
            Target::parse(&words).expect_err("something is wrong").replace(USAGE, "…")
        };
        assert_eq!(fault(""), "--endpoint is missing: …");
        assert_eq!(fault("--endpoint e --project p --domain d"), "--version is missing: …");
        assert_eq!(fault("--endpoint"), "--endpoint needs a value after it: …");
        assert_eq!(fault("--registry r"), "\"--registry\" is no option: …");
    }
}

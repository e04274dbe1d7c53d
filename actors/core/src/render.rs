//! What is handed to user code: the rendered command line and the environment.

use skein_model::event::Created;
use skein_model::{Attempt, EntityId, NodeId};

/// Where the files of one try are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The object with the inputs.
    pub input: String,
    /// The folder of the inputs.
    pub input_prefix: String,
    /// The folder for outputs.
    pub output_prefix: String,
    /// The folder for large values, unique for the try.
    pub raw_output_prefix: String,
    /// The folder for the checkpoint of the try.
    pub checkpoint: String,
    /// The folder of the checkpoint of the try before, if there was one.
    pub prev_checkpoint: Option<String>,
    /// A name that is the same for every rendering of this try.
    pub retry_key: String,
    /// The namespace of the execution.
    pub namespace: String,
}

/// A command line that cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable that is not known, or not available to this kind of task.
    #[error("argument {argument:?} names {{{{.{variable}}}}}, which is not available here")]
    Unknown {
        /// The argument.
        argument: String,
        /// The variable.
        variable: String,
    },
}

/// Renders the arguments of a task's command (contract 3.1). Empty arguments stay: a map's own has one.
///
/// # Errors
/// [`RenderError`] when an argument names a variable that is not there.
pub fn arguments(templates: &[String], places: &Places) -> Result<Vec<String>, RenderError> {
    templates.iter().map(|template| argument(template, places)).collect()
}

/// Renders the command and arguments of a container that knows nothing of the SDK. What is not known here stays as it is: the
/// inputs, which the worker knows, and what the command itself means by such words.
pub fn container_arguments(templates: &[String], places: &Places) -> Vec<String> {
    templates.iter().map(|template| known(template, places)).collect()
}

fn known(template: &str, places: &Places) -> String {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        rendered.push_str(before);
        let found = after.split_once("}}").and_then(|(inner, behind)| {
            let variable = inner.trim().strip_prefix(['.', '$'])?.trim();
            Some((value(variable, places)?, behind))
        });
        match found {
            Some((value, behind)) => {
                rendered.push_str(&value);
                rest = behind;
            }
            None => {
                rendered.push_str("{{");
                rest = after;
            }
        }
    }
    rendered.push_str(rest);
    rendered
}

fn argument(template: &str, places: &Places) -> Result<String, RenderError> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, behind)) = after.split_once("}}") else { break };
        rendered.push_str(before);
        let name = inner.trim();
        let variable = name.strip_prefix(['.', '$']).map(str::trim);
        match variable.and_then(|variable| value(variable, places)) {
            Some(value) => rendered.push_str(&value),
            None => {
                return Err(RenderError::Unknown {
                    argument: template.to_owned(),
                    variable: variable.unwrap_or(name).to_owned(),
                });
            }
        }
        rest = behind;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

fn value(variable: &str, places: &Places) -> Option<String> {
    Some(match variable.to_ascii_lowercase().as_str() {
        "input" => places.input.clone(),
        "inputprefix" => places.input_prefix.clone(),
        "outputprefix" => places.output_prefix.clone(),
        "rawoutputdataprefix" => places.raw_output_prefix.clone(),
        "checkpointoutputprefix" => places.checkpoint.clone(),
        // Two quotes are how the entry point recognises that there is none.
        "prevcheckpointprefix" => places.prev_checkpoint.clone().unwrap_or_else(|| "\"\"".to_owned()),
        "perretryuniquekey" => places.retry_key.clone(),
        "namespace" => places.namespace.clone(),
        _ => return None,
    })
}

/// Answers the environment of one try (contract 3.2): the template's own, then the execution's, then ours.
pub fn environment(
    template: &[(String, String)],
    created: &Created,
    task: &EntityId,
    attempt: Attempt,
) -> Vec<(String, String)> {
    let execution = &created.execution;
    let workflow = &created.workflow;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut env = template.to_vec();
    env.extend(created.settings.envs.iter().map(|(name, value)| pair(name, value)));
    env.extend([
        pair("FLYTE_INTERNAL_EXECUTION_ID", &execution.name),
        pair("FLYTE_INTERNAL_EXECUTION_PROJECT", &execution.project),
        pair("FLYTE_INTERNAL_EXECUTION_DOMAIN", &execution.domain),
        pair(
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW",
            &format!("{}:{}:{}", workflow.project, workflow.domain, workflow.name),
        ),
        pair("FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN", &launch_plan(created)),
        pair("FLYTE_INTERNAL_TASK_PROJECT", &task.project),
        pair("FLYTE_INTERNAL_TASK_DOMAIN", &task.domain),
        pair("FLYTE_INTERNAL_TASK_NAME", &task.name),
        pair("FLYTE_INTERNAL_TASK_VERSION", &task.version),
        pair("FLYTE_ATTEMPT_NUMBER", &attempt.to_string()),
    ]);
    env
}

fn launch_plan(created: &Created) -> String {
    let launched = &created.launched;
    format!("{}:{}:{}", launched.project, launched.domain, launched.name)
}

/// Answers the name of a try, as it stands in `generated_name` and in the names of pods.
pub fn generated_name(execution: &str, node: &NodeId, attempt: Attempt) -> String {
    format!("{execution}-{node}-{attempt}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            input: "file:///d/n0/data/inputs.pb".to_owned(),
            input_prefix: "file:///d/n0/data".to_owned(),
            output_prefix: "file:///d/n0/data/0".to_owned(),
            raw_output_prefix: "file:///r/n0/0".to_owned(),
            checkpoint: "file:///r/n0/0/_flytecheckpoints".to_owned(),
            prev_checkpoint: None,
            retry_key: "x-n0-0".to_owned(),
            namespace: "p-d".to_owned(),
        }
    }

    fn rendered(template: &str) -> Result<String, RenderError> {
        argument(template, &places())
    }

    #[test]
    fn variables_are_found_in_any_case_with_either_prefix_and_blanks() {
        assert_eq!(rendered("{{.input}}").as_deref(), Ok("file:///d/n0/data/inputs.pb"));
        assert_eq!(rendered("{{ $OutputPrefix }}").as_deref(), Ok("file:///d/n0/data/0"));
        assert_eq!(rendered("a{{.namespace}}b{{ .perRetryUniqueKey }}").as_deref(), Ok("ap-dbx-n0-0"));
    }

    #[test]
    fn an_absent_checkpoint_is_a_pair_of_quotes() {
        assert_eq!(rendered("{{.prevCheckpointPrefix}}").as_deref(), Ok("\"\""));
        assert_eq!(
            rendered("{{.checkpointOutputPrefix}}").as_deref(),
            Ok("file:///r/n0/0/_flytecheckpoints")
        );
    }

    #[test]
    fn an_empty_argument_stays() {
        let args = ["vars".to_owned(), String::new()];
        assert_eq!(arguments(&args, &places()), Ok(args.to_vec()));
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let error = rendered("--x={{.inputs.y}}");
        let expected = RenderError::Unknown {
            argument: "--x={{.inputs.y}}".to_owned(),
            variable: "inputs.y".to_owned(),
        };
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn in_a_container_what_is_not_known_here_is_left_to_whoever_knows_it() {
        let args = ["{{.inputs.x}}", "{{.outputPrefix}}/{{ .Names }}", "{{ open {{.namespace}}"];
        let rendered = container_arguments(&args.map(str::to_owned), &places());
        assert_eq!(rendered, ["{{.inputs.x}}", "file:///d/n0/data/0/{{ .Names }}", "{{ open p-d"]);
    }

    #[test]
    fn braces_that_close_nothing_are_text() {
        assert_eq!(rendered("{{ open").as_deref(), Ok("{{ open"));
    }
}

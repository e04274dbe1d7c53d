//! Which tasks can be run where Skein runs.

use skein_idl::flyteidl::core::{Container, TaskTemplate, task_template};

/// With what the first word of a command line begins that is the SDK's.
const SDK_PREFIX: &str = "pyflyte-";
/// The first word of the command line of a task that is in a program of its own.
pub const NATIVE_COMMAND: &str = "skein-native-execute";

/// The type of a task that is a container with a command of its own.
pub const RAW_CONTAINER: &str = "raw-container";

/// Says whether a worker can start the code of a task: what the SDK starts, programs that speak the workers' protocol, and
/// containers whose inputs and outputs are files. A pod or a service would not be what runs here.
pub fn is_runnable(template: &TaskTemplate) -> bool {
    let Some(task_template::Target::Container(container)) = &template.target else { return false };
    is_ours(container) || is_raw_container(template)
}

/// Says whether a task is a container with a command of its own, which knows nothing of the SDK: its inputs and outputs are
/// files, and whether it can be run depends on what the machine of the worker has.
pub fn is_raw_container(template: &TaskTemplate) -> bool {
    let Some(task_template::Target::Container(container)) = &template.target else { return false };
    let has_files = container.data_config.as_ref().is_some_and(|config| config.enabled);
    !is_ours(container) && (has_files || template.r#type == RAW_CONTAINER)
}

/// Says whether a task is a pod.
pub const fn is_pod(template: &TaskTemplate) -> bool {
    matches!(template.target, Some(task_template::Target::K8sPod(_)))
}

fn is_ours(container: &Container) -> bool {
    container.args.first().is_some_and(|word| word.starts_with(SDK_PREFIX) || word == NATIVE_COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::DataLoadingConfig;

    #[test]
    fn what_the_sdk_and_a_program_of_its_own_start_can_be_run_and_nothing_else() {
        let cases = [
            ("pyflyte-execute", true),
            ("pyflyte-fast-execute", true),
            (NATIVE_COMMAND, true),
            ("skein-native-execute-2", false),
            ("python", false),
        ];
        for (word, expected) in cases {
            let container = Container { args: vec![word.to_owned()], ..Container::default() };
            let target = Some(task_template::Target::Container(container));
            assert_eq!(is_runnable(&TaskTemplate { target, ..TaskTemplate::default() }), expected, "{word}");
        }
        assert!(!is_runnable(&TaskTemplate::default()));
    }

    #[test]
    fn a_container_with_a_command_of_its_own_is_one_by_its_type_or_by_its_files() {
        let template = |task_type: &str, args: &str, enabled| TaskTemplate {
            r#type: task_type.to_owned(),
            target: Some(task_template::Target::Container(Container {
                args: vec![args.to_owned()],
                data_config: Some(DataLoadingConfig { enabled, ..DataLoadingConfig::default() }),
                ..Container::default()
            })),
            ..TaskTemplate::default()
        };
        for (task_type, args, enabled, expected) in [
            (RAW_CONTAINER, "/bin/sh", true, true),
            (RAW_CONTAINER, "/bin/sh", false, true),
            ("container", "/bin/sh", true, true),
            ("container", "/bin/sh", false, false),
            (RAW_CONTAINER, "pyflyte-execute", true, false),
        ] {
            let template = template(task_type, args, enabled);
            assert_eq!(is_raw_container(&template), expected, "{task_type} {args} {enabled}");
            assert!(is_runnable(&template) || !expected);
        }
        assert!(!is_raw_container(&TaskTemplate { r#type: RAW_CONTAINER.to_owned(), ..Default::default() }));
    }
}

//! Which tasks can be run where Skein runs.

use skein_idl::flyteidl::core::{TaskTemplate, task_template};

/// With what the first word of a command line begins that is the SDK's.
const SDK_PREFIX: &str = "pyflyte-";
/// The first word of the command line of a task that is in a program of its own.
pub const NATIVE_COMMAND: &str = "skein-native-execute";

/// Says whether a worker can start the code of a task: what the SDK starts, and programs that speak the workers' protocol.
/// An image or a service would not be what runs here.
pub fn is_runnable(template: &TaskTemplate) -> bool {
    let Some(task_template::Target::Container(container)) = &template.target else { return false };
    container.args.first().is_some_and(|word| word.starts_with(SDK_PREFIX) || word == NATIVE_COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::Container;

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
}

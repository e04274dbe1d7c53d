//! What a container task declares, checked as a whole before anything is fetched or started. Pure.

use super::parse::{self, Form};
use skein_idl::flyteidl::core::data_loading_config::LiteralMapFormat;
use skein_idl::flyteidl::core::io_strategy::{DownloadMode, UploadMode};
use skein_idl::flyteidl::core::{LiteralType, TaskTemplate, task_template};
use skein_model::TaskResources;
use skein_model::resources::Amounts;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Where the original puts inputs and outputs when the task does not say.
const INPUTS: &str = "/var/flyte/inputs";
const OUTPUTS: &str = "/var/flyte/outputs";
/// The longest name that a file may have, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A container task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    /// The image.
    pub image: String,
    /// How many words of its command line take the place of what the image starts.
    pub command_words: usize,
    /// Where it finds its inputs.
    pub inputs: Folder,
    /// The list of all inputs beside them.
    pub format: LiteralMapFormat,
    /// Where it leaves its outputs.
    pub outputs: Folder,
    /// What it gives, by name.
    pub declared: BTreeMap<String, (LiteralType, Form)>,
    /// What it may use at most.
    pub limits: Limits,
}

/// A folder in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its path: absolute, without `.` and `..`.
    pub path: PathBuf,
    /// Whether values travel through it; otherwise it is there and empty, or nobody looks into it.
    pub is_used: bool,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time in thousandths of a core.
    pub cpu_millis: Option<u64>,
}

impl Limits {
    /// Nothing at all is no limit: with nothing, nothing could run. No engine counts the others for a container.
    fn of(resources: &TaskResources) -> Self {
        let Amounts { memory_bytes, cpu_millis, .. } = resources.limits;
        Self {
            memory_bytes: memory_bytes.filter(|bytes| *bytes > 0),
            cpu_millis: cpu_millis.filter(|millis| *millis > 0),
        }
    }
}

impl Task {
    /// Reads what `template` declares; `image` is what its node asks for instead of its image, `resources` what it gets.
    ///
    /// # Errors
    /// What is wrong, in words, with the name of the field, its value, and what would be right.
    pub(super) fn of(
        template: &TaskTemplate,
        image: Option<&str>,
        resources: &TaskResources,
    ) -> Result<Self, String> {
        let Some(task_template::Target::Container(container)) = &template.target else {
            return Err("it is no container".to_owned());
        };
        let image = image.unwrap_or(&container.image).to_owned();
        if image.is_empty() || image.chars().any(|of| of.is_whitespace() || of.is_control()) {
            return Err(format!("image is {image:?}; it has to name an image, such as alpine:3.20"));
        }
        let config = container.data_config.as_ref();
        let strategy = config.and_then(|config| config.io_strategy.as_ref());
        let is_enabled = config.is_some_and(|config| config.enabled);
        let path = |given: Option<&str>, default: &str| match given {
            Some(given) if !given.is_empty() => given.to_owned(),
            _ => default.to_owned(),
        };
        let inputs = Folder {
            path: folder("input_data_dir", &path(config.map(|config| config.input_path.as_str()), INPUTS))?,
            is_used: is_enabled
                && strategy.is_none_or(|given| given.download_mode() != DownloadMode::DoNotDownload),
        };
        let outputs = Folder {
            path: folder(
                "output_data_dir",
                &path(config.map(|config| config.output_path.as_str()), OUTPUTS),
            )?,
            is_used: is_enabled
                && strategy.is_none_or(|given| given.upload_mode() != UploadMode::DoNotUpload),
        };
        if inputs.path.starts_with(&outputs.path) || outputs.path.starts_with(&inputs.path) {
            return Err(format!(
                "input_data_dir is {} and output_data_dir is {}; they have to be two folders, none of which is in the other",
                inputs.path.display(),
                outputs.path.display()
            ));
        }
        let format = config.map(skein_idl::flyteidl::core::DataLoadingConfig::format);
        Ok(Self {
            image,
            command_words: container.command.len(),
            inputs,
            format: format.unwrap_or(LiteralMapFormat::Json),
            declared: declared(template, outputs.is_used)?,
            outputs,
            limits: Limits::of(resources),
        })
    }
}

fn folder(field: &str, given: &str) -> Result<PathBuf, String> {
    let path = Path::new(given);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !is_plain || path.parent().is_none() || given.contains(['\0', ':']) {
        return Err(format!(
            "{field} is {given:?}; it has to be the absolute path of a folder that is not /, without .. and colons, such as /var/inputs"
        ));
    }
    // Collected anew, it has no slash at its end and none twice.
    Ok(path.components().collect())
}

fn declared(
    template: &TaskTemplate,
    is_collected: bool,
) -> Result<BTreeMap<String, (LiteralType, Form)>, String> {
    let outputs = template.interface.as_ref().and_then(|interface| interface.outputs.as_ref());
    let mut declared = BTreeMap::new();
    for (name, variable) in outputs.into_iter().flat_map(|outputs| &outputs.variables) {
        check_name(name).map_err(|right| format!("output {name:?} is a file: {right}"))?;
        if !is_collected {
            return Err(format!(
                "output {name} is declared, but data_config or its io_strategy says that no outputs are taken from the container"
            ));
        }
        let of = variable.r#type.clone().unwrap_or_default();
        let form = parse::form(&of).map_err(|what| {
            format!(
                "output {name} is {what}, which cannot come out of a container; there are text, numbers, times, JSON, files and folders"
            )
        })?;
        declared.insert(name.clone(), (of, form));
    }
    Ok(declared)
}

/// Checks a name that becomes the name of a file.
///
/// # Errors
/// What would be right.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_name = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.contains(['/', '\0']);
    is_name
        .then_some(())
        .ok_or("its name has to be one that a file can have, of at most 255 bytes and without a slash")
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{
        Container, DataLoadingConfig, IoStrategy, SimpleType, TypedInterface, Variable, VariableMap,
        literal_type,
    };

    fn container() -> Container {
        Container {
            image: "alpine:3".to_owned(),
            command: vec!["/bin/sh".to_owned()],
            data_config: Some(DataLoadingConfig { enabled: true, ..DataLoadingConfig::default() }),
            ..Container::default()
        }
    }

    fn read(container: Container) -> Result<Task, String> {
        let variable = |of: SimpleType| Variable {
            r#type: Some(LiteralType {
                r#type: Some(literal_type::Type::Simple(of.into())),
                ..LiteralType::default()
            }),
            ..Variable::default()
        };
        let outputs = VariableMap { variables: [("area".to_owned(), variable(SimpleType::Float))].into() };
        let template = TaskTemplate {
            interface: Some(TypedInterface { outputs: Some(outputs), ..TypedInterface::default() }),
            target: Some(task_template::Target::Container(container)),
            ..TaskTemplate::default()
        };
        Task::of(&template, None, &TaskResources::default())
    }

    fn with_folders(input: &str, output: &str) -> Result<(String, String), String> {
        let config = DataLoadingConfig {
            enabled: true,
            input_path: input.to_owned(),
            output_path: output.to_owned(),
            ..DataLoadingConfig::default()
        };
        let task = read(Container { data_config: Some(config), ..container() })?;
        Ok((task.inputs.path.display().to_string(), task.outputs.path.display().to_string()))
    }

    #[test]
    fn folders_are_where_the_task_says_or_where_the_original_has_them() {
        let pair = |input: &str, output: &str| Ok((input.to_owned(), output.to_owned()));
        assert_eq!(with_folders("", ""), pair("/var/flyte/inputs", "/var/flyte/outputs"));
        assert_eq!(with_folders("/var/inputs/", "//out"), pair("/var/inputs", "/out"));
    }

    #[test]
    fn a_folder_that_cannot_be_is_refused_by_name() {
        for (input, output, expected) in [
            ("in", "", "input_data_dir is \"in\"; it has to be the absolute path"),
            ("/", "", "input_data_dir is \"/\""),
            ("/a/../b", "", "input_data_dir is \"/a/../b\""),
            ("", "/a:b", "output_data_dir is \"/a:b\""),
            ("/a", "/a", "input_data_dir is /a and output_data_dir is /a; they have to be two folders"),
            ("/a/b", "/a", "none of which is in the other"),
        ] {
            let refused = with_folders(input, output).expect_err("it cannot be");
            assert!(refused.contains(expected), "{input} {output}: {refused}");
        }
    }

    #[test]
    fn an_output_that_nobody_would_collect_is_refused_by_name() {
        let strategy = IoStrategy { upload_mode: UploadMode::DoNotUpload.into(), ..IoStrategy::default() };
        let config =
            DataLoadingConfig { enabled: true, io_strategy: Some(strategy), ..DataLoadingConfig::default() };
        let refused =
            read(Container { data_config: Some(config), ..container() }).expect_err("none are taken");
        assert!(
            refused.starts_with("output area is declared, but data_config or its io_strategy says"),
            "{refused}"
        );
    }

    #[test]
    fn limits_are_those_of_the_node_and_nothing_at_all_is_no_limit() {
        let template = TaskTemplate {
            target: Some(task_template::Target::Container(container())),
            ..TaskTemplate::default()
        };
        let limited = |memory_bytes, cpu_millis| {
            let limits = Amounts { memory_bytes, cpu_millis, ..Amounts::default() };
            let resources = TaskResources { limits, ..TaskResources::default() };
            Task::of(&template, None, &resources).map(|task| task.limits)
        };
        let limits = Limits { memory_bytes: Some(1_610_612_736), cpu_millis: Some(500) };
        assert_eq!(limited(Some(1_610_612_736), Some(500)), Ok(limits));
        assert_eq!(limited(Some(0), None), Ok(Limits::default()));
    }

    #[test]
    fn an_image_is_a_name_and_that_of_the_node_counts() {
        let refused =
            read(Container { image: "a b".to_owned(), ..container() }).expect_err("no image is so called");
        assert!(refused.contains("image is \"a b\""), "{refused}");
        let template = TaskTemplate {
            target: Some(task_template::Target::Container(container())),
            ..TaskTemplate::default()
        };
        let task = Task::of(&template, Some("busybox"), &TaskResources::default()).expect("it is right");
        assert_eq!((task.image.as_str(), task.command_words), ("busybox", 1));
    }
}

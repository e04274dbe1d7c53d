//! The Python environments of a machine: a default one, and those that images stand for.

use crate::config::Config;
use crate::interpreter::Interpreter;
use crate::machine::Prepared;
use crate::zygote::Origin;
use skein_idl::flyteidl::core::{TaskTemplate, task_template};
use skein_log::BlobStore;
use skein_model::Work;
use skein_model::task_rules::Pattern;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The environments. None of them is started before work needs it.
pub(crate) struct Environments {
    default: Arc<Interpreter>,
    of_images: Vec<(Pattern, Arc<Interpreter>)>,
}

impl Environments {
    pub(crate) fn new(config: &Arc<Config>, package: &Path, blobs: &Arc<BlobStore>) -> Self {
        let interpreter = |path: &Path| {
            let origin = Origin::Python { interpreter: path.to_owned(), package: package.to_owned() };
            Interpreter::new(Arc::clone(config), origin, Arc::clone(blobs))
        };
        let default = interpreter(&config.interpreter);
        let mut known = BTreeMap::from([(config.interpreter.clone(), Arc::clone(&default))]);
        let of_images = config.images.iter().map(|rule| {
            let path = &rule.interpreter;
            let one = known.entry(path.clone()).or_insert_with(|| interpreter(path));
            (rule.pattern.clone(), Arc::clone(one))
        });
        Self { of_images: of_images.collect(), default }
    }

    /// Answers where everything runs that says nothing else.
    pub(crate) const fn default(&self) -> &Arc<Interpreter> {
        &self.default
    }

    /// Answers the environment that the image of some work stands for; the default one where no image is mapped for.
    pub(crate) fn of(&self, work: &Work, template: &TaskTemplate) -> &Arc<Interpreter> {
        let image = image(work, template);
        let found = self.of_images.iter().find(|(pattern, _)| pattern.matches(image));
        found.map_or(&self.default, |(_, interpreter)| interpreter)
    }

    /// Says where an attempt runs, in words; none for the default environment.
    pub(crate) fn place(&self, prepared: &Prepared) -> Option<String> {
        let is_default = prepared.line.is_native() || Arc::ptr_eq(&prepared.interpreter, &self.default);
        (!is_default).then(|| format!("the environment of {}", prepared.interpreter.name()))
    }

    /// Ends all of them, and with them all that they run.
    pub(crate) async fn end(&self) {
        self.default.end().await;
        for (_, interpreter) in &self.of_images {
            interpreter.end().await;
        }
    }
}

fn image<'a>(work: &'a Work, template: &'a TaskTemplate) -> &'a str {
    match (&work.image, &template.target) {
        (Some(image), _) => image,
        (None, Some(task_template::Target::Container(container))) => &container.image,
        (None, _) => "",
    }
}

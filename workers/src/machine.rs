//! What all slots of one machine share, and what every piece of work needs before it can run.

use crate::ahead::Ahead;
use crate::archive::Archives;
use crate::child::Child;
use crate::command_line::CommandLine;
use crate::config::Config;
use crate::environment;
use crate::environments::Environments;
use crate::failure;
use crate::fast_task::Bridges;
use crate::gpus::{self, Gpus};
use crate::interpreter::Interpreter;
use crate::kept::Kept;
use crate::leases::Leases;
use crate::places::{Group, Place, Places};
use crate::plain::Interface;
use crate::programs::Programs;
use crate::scratch::{Folder, Scratch};
use crate::secrets::{Given, Secrets};
use crate::usage::Usage;
use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_log::{BlobError, BlobStore};
use skein_model::{BlobRef, Failure, Work, WorkKind};
use skein_protocol::messages::Setting;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many templates are kept decoded. They are small, and a machine works on few tasks at a time.
const TEMPLATES_MAX: usize = 256;

/// One machine.
pub(crate) struct Machine {
    pub config: Arc<Config>,
    pub blobs: Arc<BlobStore>,
    pub environments: Environments,
    /// The programs that have tasks of their own.
    pub programs: Programs,
    /// The children that nobody uses at present.
    pub kept: Kept,
    /// What is leased.
    pub leases: Leases,
    /// The processes that are made before work for them begins.
    pub ahead: Ahead,
    /// The workers of actor environments that others have started.
    pub bridges: Arc<Bridges>,
    /// What is used of the machine.
    pub usage: Arc<Usage>,
    places: Arc<Places>,
    archives: Archives,
    scratch: Scratch,
    secrets: Secrets,
    package: PathBuf,
    templates: Mutex<HashMap<BlobRef, Arc<TaskTemplate>>>,
}

/// A piece of work that can be run.
pub(crate) struct Prepared {
    /// The command line, not yet redirected.
    pub line: CommandLine,
    /// Its working folder.
    pub folder: Folder,
    /// Where its code is; none when it is in the interpreter's environment.
    pub code: Option<PathBuf>,
    /// Its inputs.
    pub inputs: Bytes,
    /// What the task declares.
    pub template: Arc<TaskTemplate>,
    /// The secrets that it asks for.
    secrets: Given,
    /// The environment that its image stands for; a program of its own has that of the default one.
    pub interpreter: Arc<Interpreter>,
}

impl Prepared {
    /// Answers the variables with the secrets that its task asks for.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.secrets.variables()
    }

    /// Answers what the function gets and gives that `work` calls, once or for each item; none when not all is plain.
    pub(crate) fn interface(&self, work: &Work) -> Option<Interface> {
        match &work.kind {
            WorkKind::Items { bound, .. } if !self.line.is_native() => {
                Interface::of_item(&self.template, bound)
            }
            // A program's task is mapped as it was registered: its interface is an item's.
            WorkKind::Items { .. } | WorkKind::Task => Interface::of_task(&self.template),
        }
    }
}

impl Machine {
    /// Sets up the folders of a machine. No interpreter is started.
    ///
    /// # Errors
    /// Those of making folders.
    pub(crate) fn new(config: Config, blobs: Arc<BlobStore>) -> io::Result<Self> {
        let config = Arc::new(config);
        std::fs::create_dir_all(&config.scratch)?;
        let package = crate::python::write_out(&config.scratch)?;
        let places = Places::new();
        Ok(Self {
            kept: Kept::new(config.slots.get()),
            leases: Leases::new(Arc::clone(&places), config.gpus.clone().map(Gpus::new)),
            ahead: Ahead::new(),
            bridges: Bridges::new(),
            usage: Usage::new(Arc::clone(&blobs), config.gpus.as_deref()),
            places,
            programs: Programs::new(Arc::clone(&config), Arc::clone(&blobs)),
            environments: Environments::new(&config, &package, &blobs),
            archives: Archives::new(&config.scratch, config.archive, Arc::clone(&blobs)),
            scratch: Scratch::open(&config.scratch)?,
            secrets: Secrets::open(&config)?,
            templates: Mutex::default(),
            config,
            blobs,
            package,
        })
    }

    /// Fetches what a piece of work needs.
    ///
    /// # Errors
    /// What the user is told when that cannot be had.
    pub(crate) async fn prepare(&self, work: &Work) -> Result<Prepared, Failure> {
        if let Some(why) = self.config.offer.as_ref().and_then(|offer| offer.refusal(&work.resources)) {
            return Err(failure::unsatisfiable(&why));
        }
        let mut line = CommandLine::parse(&work.args);
        if line.argv.is_empty() {
            return Err(failure::invalid(format!("task {} has no command to run", work.task.name)));
        }
        let code = match &line.archive {
            Some(uri) => Some(self.archives.folder(uri).await.map_err(|error| failure::not_started(&error))?),
            None => None,
        };
        if let Some(code) = &code {
            line.tell_archive(&code.display().to_string());
        }
        let inputs = self.blobs.load(&work.inputs).await.map_err(|error| failure::not_started(&error))?;
        let template = self.template(&work.template).await.map_err(|error| failure::not_started(&error))?;
        let secrets = self.secrets.give(work, &template).await?;
        let folder = self.folder(code.as_ref()).map_err(|error| failure::not_started(&error))?;
        let interpreter = Arc::clone(self.environments.of(work, &template));
        Ok(Prepared { line, folder, code, inputs, template, secrets, interpreter })
    }

    /// Answers where the processes of a task come from: the interpreter, or the program that has the task.
    ///
    /// # Errors
    /// What the user is told when the program is not there, or not the one that the task was registered from.
    pub(crate) async fn origin_of(
        &self,
        work: &Work,
        prepared: &Prepared,
    ) -> Result<Arc<Interpreter>, Failure> {
        match prepared.line.native() {
            None => Ok(Arc::clone(&prepared.interpreter)),
            Some(Ok(command)) => self.programs.of(work, &command).await,
            Some(Err(missing)) => Err(failure::invalid(format!("task {}: {missing}", work.task.name))),
        }
    }

    /// Ends kept children of a task until one more process is within what its task allows. Whoever calls it has a place,
    /// so that what runs is within that already.
    pub(crate) async fn make_room(&self, work: &Work) {
        let Some(most) = Group::most(work) else { return };
        let group = Group::of(work);
        let run = self.places.count(&group).max(1);
        let most_kept = usize::try_from(most.saturating_sub(run)).unwrap_or(usize::MAX);
        while let Some(warm) = self.kept.take_excess(&group, most_kept) {
            warm.end(work).await;
        }
    }

    /// Takes a place for a process of a task; none when it has as many as it may.
    pub(crate) fn place(&self, work: &Work) -> Option<Place> {
        self.places.take(work)
    }

    /// Says whether there are as many processes as there may be for `work`: those that run, and those that are kept.
    pub(crate) fn has_all_processes(&self, work: &Work) -> bool {
        let Some(most) = Group::most(work) else { return false };
        let group = Group::of(work);
        self.places.count(&group).saturating_add(self.kept.count(&group)) >= most
    }

    /// Makes a working folder that shows the files of `code`.
    ///
    /// # Errors
    /// Those of making folders.
    pub(crate) fn folder(&self, code: Option<&PathBuf>) -> io::Result<Folder> {
        self.scratch.make(code.map(PathBuf::as_path))
    }

    /// Answers how the command line of a piece of work is run in `folder`, with the secrets that its task asks for.
    pub(crate) fn setting(&self, work: &Work, prepared: &Prepared, folder: &Folder) -> Setting {
        let mut setting = self.setting_for_all(work, prepared, folder);
        setting.env.extend(prepared.secrets.variables());
        setting
    }

    /// Answers how a task is imported in `folder` for attempts of whoever comes: without secrets, but with the names of the
    /// variables that hold them.
    pub(crate) fn setting_for_all(&self, work: &Work, prepared: &Prepared, folder: &Folder) -> Setting {
        let argv = prepared.line.argv.clone();
        let mut setting = self.command(work, &prepared.interpreter, argv, folder, prepared.code.as_deref());
        setting.env.extend(prepared.secrets.shared());
        setting.secret = prepared.secrets.names();
        setting
    }

    /// Answers how a command is run in `folder`, in the environment of an interpreter.
    pub(crate) fn command(
        &self,
        work: &Work,
        interpreter: &Interpreter,
        argv: Vec<String>,
        folder: &Folder,
        code: Option<&Path>,
    ) -> Setting {
        let mut env = environment::of_work(&interpreter.environment, &work.env, code, &folder.temporary());
        let has_gpus = self.config.gpus.as_ref().is_some_and(|devices| !devices.is_empty());
        if has_gpus && work.resources.gpus() == 0 {
            // Whatever its task says: what it would see is somebody else's.
            env.insert(gpus::VISIBLE.to_owned(), String::new());
        }
        Setting {
            argv,
            env,
            cwd: folder.work().display().to_string(),
            path: code.iter().map(|code| code.display().to_string()).collect(),
            own: self.package.display().to_string(),
            secret: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Has a process in a control group, where limits are held to; answers `setting` with the way into it.
    ///
    /// # Errors
    /// What the user is told when no group can be made.
    pub(crate) fn confine(
        &self,
        child: &mut Child,
        work: &Work,
        setting: Setting,
    ) -> Result<Setting, Failure> {
        if let Some(groups) = &self.config.cgroups {
            child.confine(groups, &work.resources).map_err(|error| failure::not_started(&error))?;
        }
        Ok(Setting { groups: child.groups(), ..setting })
    }

    /// Answers what a task declares.
    ///
    /// # Errors
    /// Those of the blob store.
    pub(crate) async fn template(&self, blob: &BlobRef) -> Result<Arc<TaskTemplate>, BlobError> {
        if let Some(template) = self.templates().get(blob) {
            return Ok(Arc::clone(template));
        }
        let encoded = self.blobs.get_checked(blob).await?;
        // It was decoded when the task was registered, and its digest says that it is still the same.
        let template = Arc::new(TaskTemplate::decode(encoded).unwrap_or_default());
        let mut templates = self.templates();
        if templates.len() >= TEMPLATES_MAX {
            templates.clear();
        }
        templates.insert(blob.clone(), Arc::clone(&template));
        Ok(template)
    }

    fn templates(&self) -> std::sync::MutexGuard<'_, HashMap<BlobRef, Arc<TaskTemplate>>> {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The secrets that one attempt asks for: variables, and files in a folder that is its own and goes with it.
//!
//! The files lie in memory where the machine has a place for that, and in the scratch folder where it has none. A process that was
//! killed leaves its folder behind, for its user alone; the next one removes it.

use crate::config::Config;
use crate::failure;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::secret_request::{Mount, SecretRequest, VARIABLE_PREFIX};
use skein_model::{Failure, SecretId, Work};
use skein_secrets::{Found, Vault, VaultError};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Where the SDK is told that files with secrets are.
const FOLDER_VARIABLE: &str = "FLYTE_SECRETS_DEFAULT_DIR";
/// Where the SDK is told what the names of variables and files with secrets begin with.
const PREFIX_VARIABLES: [(&str, &str); 2] =
    [("FLYTE_SECRETS_ENV_PREFIX", VARIABLE_PREFIX), ("FLYTE_SECRETS_FILE_PREFIX", "")];
/// The longest variable, its name and the sign between included, in bytes: Linux starts no program with a longer one.
const VARIABLE_BYTES_MAX: usize = 128 * 1024 - 1;
/// Where memory can be used as a folder, and how the kernel marks that.
#[cfg(target_os = "linux")]
const MEMORY: (&str, i64) = ("/dev/shm", 0x0102_1994);
/// How the folders there begin.
const MEMORY_PREFIX: &str = "skein-secrets-";
/// The name in the scratch folder: of the folder itself, or of a link to it.
const SCRATCH_NAME: &str = "secrets";

/// Gives attempts their secrets.
pub(crate) struct Secrets {
    vault: Option<Arc<Vault>>,
    scratch: PathBuf,
    /// The folder of all folders, once there is one.
    folder: Mutex<Option<PathBuf>>,
    next: AtomicU64,
}

/// The secrets of one attempt. Its folder goes when this goes.
#[derive(Default)]
pub(crate) struct Given {
    /// Variables with values in them, or with paths that are this attempt's own.
    own: BTreeMap<String, Zeroizing<String>>,
    /// Variables that are the same for all attempts of a task.
    shared: BTreeMap<String, String>,
    _folder: Option<Private>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl Given {
    /// Answers the names of the variables that are this attempt's own.
    pub(crate) fn names(&self) -> Vec<String> {
        self.own.keys().cloned().collect()
    }

    /// Answers all variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let own = self.own.iter().map(|(name, value)| (name.clone(), String::clone(value)));
        own.chain(self.shared())
    }

    /// Answers the variables that no secret is in.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (String, String)> {
        self.shared.clone().into_iter()
    }

    fn set(&mut self, names: impl IntoIterator<Item = String>, value: &Zeroizing<String>) {
        self.own.extend(names.into_iter().map(|name| (name, value.clone())));
    }
}

impl Secrets {
    /// Removes what an earlier process left. No folder is made before a task asks for a secret.
    ///
    /// # Errors
    /// Those of removing folders.
    pub(crate) fn open(config: &Config) -> io::Result<Self> {
        clear(&config.scratch.join(SCRATCH_NAME))?;
        let (vault, scratch) = (config.secrets.clone(), config.scratch.clone());
        Ok(Self { vault, scratch, folder: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Answers the secrets that a task asks for: no others, and all of them.
    ///
    /// # Errors
    /// What the user is told when one is not there or cannot be given as it is wanted. No user code may run then.
    pub(crate) async fn give(&self, work: &Work, template: &TaskTemplate) -> Result<Given, Failure> {
        let task = &work.task.name;
        let requests = SecretRequest::all_of(template)
            .map_err(|fault| failure::invalid(format!("task {task} cannot be run: {fault}")))?;
        if requests.is_empty() {
            return Ok(Given::default());
        }
        let private = self.folder().map_err(|error| failure::not_started(&error))?;
        let mut given = Given::default();
        given.shared.extend(PREFIX_VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        given.set([FOLDER_VARIABLE.to_owned()], &text_of(&private.path));
        let mut files = Vec::new();
        for request in requests {
            let found = self.find(work, &request).await?;
            match text(work, &request, &found)? {
                Some(text) => given.set(request.variables().into_iter().chain(request.variable), &text),
                None => files.push((request, found)),
            }
        }
        let paths = private.put(&files).map_err(|error| not_written(work, &error))?;
        for ((request, _), path) in files.into_iter().zip(paths) {
            given.set(request.variable, &text_of(&path));
        }
        given._folder = Some(private);
        Ok(given)
    }

    async fn find(&self, work: &Work, request: &SecretRequest) -> Result<Found, Failure> {
        let execution = &work.id.execution;
        let id = SecretId {
            project: execution.project.clone(),
            domain: execution.domain.clone(),
            name: request.key.clone(),
        };
        let Some(vault) = &self.vault else { return Err(failure::not_started(&VaultError::NoKey(id))) };
        let found = vault.find(&id).await.map_err(|error| failure::not_started(&error))?;
        found.ok_or_else(|| failure::secret("SecretNotFound", not_found(work, request, &id)))
    }

    fn folder(&self) -> io::Result<Private> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match &*folder {
            Some(all) => all,
            None => folder.insert(make(&self.scratch)?),
        };
        Private::make(all.join(self.next.fetch_add(1, Ordering::Relaxed).to_string()))
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let folder = self.folder.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = folder.take() {
            // Whatever stays is removed at the next start.
            let _ = fs::remove_dir_all(path);
            let _ = fs::remove_file(self.scratch.join(SCRATCH_NAME));
        }
    }
}

fn not_found(work: &Work, request: &SecretRequest, id: &SecretId) -> String {
    let SecretRequest { key, group, .. } = request;
    let group = if group.is_empty() { String::new() } else { format!(" (group {group:?})") };
    let mut scopes = vec![id.scope()];
    let mut wider = id.wider();
    while let Some(id) = wider {
        scopes.push(id.scope());
        wider = id.wider();
    }
    format!(
        "task {} asks for the secret {key:?}{group}, which is not there; it was looked for in {}. Make it: union create secret --name {key}",
        work.task.name,
        scopes.join(", then in ")
    )
}

/// Two files that are in each other's way are the task's doing; all else is the machine's.
fn not_written(work: &Work, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => failure::secret(
            "SecretUnusable",
            format!(
                "task {} asks for a file with a secret whose group is the key of another one that is a file too; give the group another name",
                work.task.name
            ),
        ),
        _ => failure::not_started(error),
    }
}

/// Answers the text of the variables that hold a secret; none when it is to be a file.
///
/// # Errors
/// What the user is told when it has to be a variable and cannot.
fn text(work: &Work, request: &SecretRequest, found: &Found) -> Result<Option<Zeroizing<String>>, Failure> {
    match (request.mount, as_variable(request, &found.value)) {
        (Mount::File, _) | (Mount::Any, Err(_)) => Ok(None),
        (Mount::Any | Mount::Variable, Ok(text)) => Ok(Some(text)),
        (Mount::Variable, Err(why)) => {
            let (task, id) = (&work.task.name, &found.id);
            Err(failure::secret(
                "SecretUnusable",
                format!(
                    "task {task} asks for the secret {id} as a variable, but {why}; ask for it as a file: mount_requirement=Secret.MountType.FILE"
                ),
            ))
        }
    }
}

/// Answers a value as the text of a variable, or why it cannot be one, in words.
fn as_variable(request: &SecretRequest, value: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not text in UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("it has a zero byte in it".to_owned());
    }
    let names = request.variables().into_iter().chain(request.variable.clone());
    let most = VARIABLE_BYTES_MAX - 1 - names.map(|name| name.len()).max().unwrap_or(0);
    if value.len() > most {
        return Err(format!("it has {} bytes, and a variable holds {most}", value.len()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn text_of(path: &Path) -> Zeroizing<String> {
    Zeroizing::new(path.display().to_string())
}

/// A folder with the secrets of one attempt, for its user alone; removed when it is dropped.
struct Private {
    path: PathBuf,
}

impl Private {
    fn make(path: PathBuf) -> io::Result<Self> {
        make_private(&path)?;
        Ok(Self { path })
    }

    /// Writes values to where the SDK looks for them, and to where the original has them: by their keys alone. Answers the
    /// latter, or the former where another secret has that place.
    fn put(&self, files: &[(SecretRequest, Found)]) -> io::Result<Vec<PathBuf>> {
        for (request, found) in files {
            let path = self.path.join(request.path());
            let folder = path.parent().unwrap_or(&self.path);
            if !folder.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            write_private(&path, &found.value)?;
        }
        let mut paths = Vec::with_capacity(files.len());
        for (request, found) in files {
            let (asked, plain) = (self.path.join(request.path()), self.path.join(request.key.to_lowercase()));
            if asked == plain || plain.exists() {
                paths.push(asked);
            } else {
                write_private(&plain, &found.value)?;
                paths.push(plain);
            }
        }
        Ok(paths)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a folder with secrets stays behind");
        }
    }
}

/// Removes a folder, whatever user code has made of its modes.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let mut open = vec![path.to_path_buf()];
            while let Some(folder) = open.pop() {
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
                for entry in fs::read_dir(&folder)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        open.push(entry.path());
                    }
                }
            }
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Writes a file; one that is there already is of the same secret, or of one whose name differs in case alone.
fn write_private(path: &Path, value: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(value)
}

/// Makes the folder of all folders: in memory if that can be, with a link to it in the scratch folder.
fn make(scratch: &Path) -> io::Result<PathBuf> {
    let name = scratch.join(SCRATCH_NAME);
    match in_memory() {
        Some(path) => {
            std::os::unix::fs::symlink(&path, &name)?;
            Ok(path)
        }
        None => make_private(&name).map(|()| name),
    }
}

#[cfg(target_os = "linux")]
fn in_memory() -> Option<PathBuf> {
    let (folder, mark) = MEMORY;
    let found = rustix::fs::statfs(folder).ok()?;
    if found.f_type != mark {
        return None;
    }
    // One that is there is somebody else's, of another machine or another time with the same number.
    (0..64)
        .map(|number| Path::new(folder).join(format!("{MEMORY_PREFIX}{}-{number}", std::process::id())))
        .find(|path| make_private(path).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> Option<PathBuf> {
    None
}

/// Removes what an earlier process left at `name`: a folder, or a link to one that is in memory.
fn clear(name: &Path) -> io::Result<()> {
    if let Ok(target) = fs::read_link(name) {
        if is_ours(&target) {
            remove(&target)?;
        }
        return fs::remove_file(name);
    }
    remove(name)
}

/// Says whether a link leads to where this program puts folders with secrets, and to one of this user.
fn is_ours(target: &Path) -> bool {
    let named = target.file_name().is_some_and(|name| name.to_string_lossy().starts_with(MEMORY_PREFIX));
    #[cfg(target_os = "linux")]
    let named = named && target.parent() == Some(Path::new(MEMORY.0));
    let user = rustix::process::getuid().as_raw();
    named && fs::symlink_metadata(target).is_ok_and(|found| found.is_dir() && found.uid() == user)
}

#[cfg(test)]
mod tests;

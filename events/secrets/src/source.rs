//! Where the keys come from: a file, a variable, or a command.

use crate::key::{Keys, KeysError};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use zeroize::Zeroizing;

/// The most that is read of a file, in bytes: a thousand keys.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// How long a command may take to print the keys.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// What the beginning of a file says to whoever opens it.
const HEADING: &str = "\
# The key of this server's secrets: whoever has it can read them, without it nobody can. Keep a copy elsewhere.
";

/// Keys that are not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key for secrets in {origin} cannot be used")]
    File {
        /// The setting.
        origin: String,
        /// What the system says.
        source: io::Error,
    },
    /// Other users of the machine can read the file.
    #[error("the key for secrets in {origin} can be read by others (mode {mode:03o}): say chmod 600 {}", path.display())]
    Exposed {
        /// The setting.
        origin: String,
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The command did not print them.
    #[error("{origin} did not print the key for secrets: {reason}")]
    Command {
        /// The setting.
        origin: String,
        /// How it ended.
        reason: String,
    },
    /// What is there is no key.
    #[error("{origin} holds no key for secrets: {source}")]
    Keys {
        /// The setting.
        origin: String,
        /// What is wrong with it.
        source: KeysError,
    },
}

/// Where the keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// A file that this program makes when it starts for the first time.
    Own(PathBuf),
    /// A file that somebody else made.
    File {
        /// Where it is.
        path: PathBuf,
        /// The setting that names it.
        named_by: String,
    },
    /// A variable of this process's environment.
    Variable {
        /// Its name.
        name: String,
        /// What it holds.
        text: Zeroizing<String>,
    },
    /// A command, for a shell, that prints them.
    Command {
        /// The command.
        command: String,
        /// The setting that names it.
        named_by: String,
    },
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(path) => write!(f, "the file {}", path.display()),
            Self::File { path, named_by } => write!(f, "the file {} ({named_by})", path.display()),
            Self::Variable { name, text: _ } => write!(f, "the variable {name}"),
            Self::Command { command: _, named_by } => write!(f, "the command of {named_by}"),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

impl KeySource {
    /// Reads the keys; none when the file is not there that this program is to make.
    ///
    /// # Errors
    /// When there are none, or others can read them.
    pub async fn load(&self) -> Result<Option<Keys>, KeyError> {
        let text = match self {
            Self::Own(path) if !path.exists() => return Ok(None),
            Self::Own(path) | Self::File { path, .. } => self.read(path)?,
            Self::Variable { name: _, text } => text.clone(),
            Self::Command { command, named_by: _ } => self.ask(command).await?,
        };
        let keys = Keys::parse(&text);
        keys.map(Some).map_err(|source| KeyError::Keys { origin: self.to_string(), source })
    }

    /// Answers the file that this program may write.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Own(path) | Self::File { path, .. } => Some(path),
            Self::Variable { .. } | Self::Command { .. } => None,
        }
    }

    /// Writes the keys into `path`, whole or not at all, and for this user alone.
    ///
    /// # Errors
    /// When they cannot be written; what was there is there still.
    pub(crate) fn write(&self, path: &Path, keys: &Keys) -> Result<(), KeyError> {
        replace(path, keys).map_err(|source| KeyError::File { origin: self.to_string(), source })
    }

    fn read(&self, path: &Path) -> Result<Zeroizing<String>, KeyError> {
        let failed = |source| KeyError::File { origin: self.to_string(), source };
        let file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let mode = found.permissions().mode() & 0o777;
        if !found.is_file() {
            return Err(failed(io::Error::new(ErrorKind::InvalidInput, "it is no file")));
        }
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { origin: self.to_string(), path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    }

    async fn ask(&self, command: &str) -> Result<Zeroizing<String>, KeyError> {
        let failed = |reason: String| KeyError::Command { origin: self.to_string(), reason };
        let asked = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let answer = tokio::time::timeout(COMMAND_MAX, asked).await;
        let answer =
            answer.map_err(|_| failed(format!("it did not end within {} s", COMMAND_MAX.as_secs())))?;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let printed = Zeroizing::new(answer.stdout);
        if !answer.status.success() {
            return Err(failed(format!("it ended with {}", answer.status)));
        }
        let text =
            std::str::from_utf8(&printed).map_err(|_| failed("what it printed is no text".to_owned()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn replace(path: &Path, keys: &Keys) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    // One that a process of this number left has the mode that it has.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_synced(&draft, keys).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // Not to leave a key behind where nobody looks for one; the first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_synced(draft: &Path, keys: &Keys) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(HEADING.as_bytes())?;
    file.write_all(keys.text().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, text: &str, mode: u32) -> KeySource {
        let path = folder.path().join("key");
        fs::write(&path, text).expect("a folder of our own");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a file of our own");
        KeySource::File { path, named_by: "--secrets-key-file".to_owned() }
    }

    async fn refused(source: &KeySource) -> String {
        source.load().await.expect_err("it is refused").to_string()
    }

    #[tokio::test]
    async fn a_file_that_is_written_is_for_its_owner_alone_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets.key");
        let source = KeySource::Own(path.clone());
        assert!(source.load().await.expect("it may be made").is_none());
        let keys = Keys::generate().expect("there are random numbers");
        source.write(&path, &keys).expect("a folder of our own");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let read = source.load().await.expect("it is right").expect("it is there");
        assert_eq!(read.names(), keys.names());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft stays");
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in [0o644, 0o640, 0o604] {
            let said = refused(&file(&folder, &"a".repeat(64), mode)).await;
            let path = folder.path().join("key");
            let path = path.display();
            assert_eq!(
                said,
                format!(
                    "the key for secrets in the file {path} (--secrets-key-file) can be read by others (mode {mode:o}): say chmod 600 {path}"
                )
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_key_or_not_there_is_refused_by_its_setting() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = refused(&file(&folder, "hunter2", 0o600)).await;
        assert!(said.contains("(--secrets-key-file) holds no key for secrets: word 1 of it"), "{said}");
        assert!(!said.contains("hunter2"));
        let none = KeySource::File { path: folder.path().join("none"), named_by: "--x".to_owned() };
        assert!(refused(&none).await.contains("none (--x) cannot be used"));
        let variable = KeySource::Variable { name: "K".to_owned(), text: Zeroizing::new(String::new()) };
        assert!(
            refused(&variable).await.starts_with("the variable K holds no key for secrets: there is no key")
        );
    }

    #[tokio::test]
    async fn a_command_prints_keys_or_is_refused_by_how_it_ended() {
        let command = |command: &str| KeySource::Command {
            command: command.to_owned(),
            named_by: "--secrets-key-command".to_owned(),
        };
        let key = "a".repeat(64);
        let keys =
            command(&format!("printf {key}")).load().await.expect("it prints one").expect("it is there");
        assert_eq!(keys.names(), Keys::parse(&key).expect("it is right").names());
        let said = refused(&command("echo secret; exit 3")).await;
        let expected = "the command of --secrets-key-command did not print the key for secrets: it ended with exit status: 3";
        assert_eq!(said, expected);
    }
}

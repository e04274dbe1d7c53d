//! Takes the outputs of a container out of its folder.
//!
//! The container is not trusted with where they are: no link is followed, nothing that is not a plain file or a folder is
//! opened for reading, and what is read is bounded.

use super::parse::{self, Form};
use super::task::Task;
use crate::failure;
use crate::machine::Machine;
use crate::report;
use bytes::Bytes;
use futures::StreamExt as _;
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, fstat, open, openat, statat};
use rustix::io::Errno;
use skein_idl::flyteidl::core::{
    Blob, BlobMetadata, BlobType, Literal, LiteralMap, LiteralType, literal_type, scalar,
};
use skein_log::BlobError;
use skein_log::blob_store::PIECE_BYTES;
use skein_model::Failure;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// In which file a container says why it failed.
const ERROR: &str = "_ERROR";
/// How much of that is read, in bytes.
const ERROR_BYTES_MAX: u64 = 1024 * 1024;
/// How many files a folder may have that is an output, and how deep they may lie.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 100;
/// The largest file that is an output, in bytes: 1 TiB.
const FILE_BYTES_MAX: u64 = 1 << 40;
/// How much of a text that is wrong is shown, in characters.
const SHOWN_CHARS: usize = 60;

/// Why an output cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// There is none.
    #[error("it is not there")]
    Missing,
    /// It is something that a container may not hand out.
    #[error("{path} is {found}; it has to be {wanted}")]
    Kind { path: String, found: &'static str, wanted: &'static str },
    /// It is too much.
    #[error("{path} has {found}; there may be {most}")]
    TooLarge { path: String, found: String, most: String },
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
}

/// Answers why the container says that it failed; none when it says nothing.
///
/// # Errors
/// When it says so with something that is no file.
pub(super) fn said_error(folder: &Path) -> Result<Option<String>, OutputError> {
    let mut text = Vec::new();
    match file_at(folder, Path::new(ERROR)) {
        Ok((file, _)) => {
            file.take(ERROR_BYTES_MAX)
                .read_to_end(&mut text)
                .map_err(|source| OutputError::Unreadable { path: ERROR.to_owned(), source })?;
            Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
        }
        Err(OutputError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes all outputs that `task` declares out of `folder`; files and folders are stored under `prefix`.
///
/// # Errors
/// What the user is told of the first that is not there or not what it has to be.
pub(super) async fn collect(
    machine: &Machine,
    task: &Task,
    folder: &Path,
    prefix: &str,
) -> Result<LiteralMap, Failure> {
    let mut outputs = LiteralMap::default();
    for (name, (declared, form)) in &task.declared {
        let place = task.outputs.path.join(name);
        let refuse = |error: OutputError| match error {
            OutputError::Missing => failure::output_not_found(name, &place.display().to_string()),
            error => failure::bad_output(format!("output {name} cannot be taken: {error}")),
        };
        let literal = match form {
            Form::Nothing => Ok(parse::nothing(declared).unwrap_or_default()),
            Form::Text(most) => match text_at(folder, name, *most) {
                Err(OutputError::Missing) => parse::nothing(declared).ok_or(OutputError::Missing),
                Err(error) => Err(error),
                Ok(text) => match parse::text(declared, &text) {
                    Ok(literal) => Ok(literal),
                    Err(right) => {
                        let shown: String = text.trim().chars().take(SHOWN_CHARS).collect();
                        return Err(failure::bad_output(format!(
                            "output {name} is {shown:?} in {}; it has to be {right}",
                            place.display()
                        )));
                    }
                },
            },
            Form::File | Form::Folder => {
                let uri = format!("{prefix}/{name}");
                match store(machine, folder, name, *form, &uri).await? {
                    Err(OutputError::Missing) => parse::nothing(declared).ok_or(OutputError::Missing),
                    Err(error) => Err(error),
                    Ok(()) => Ok(blob(declared, uri)),
                }
            }
        };
        outputs.literals.insert(name.clone(), literal.map_err(refuse)?);
    }
    Ok(outputs)
}

fn text_at(folder: &Path, name: &str, most: u64) -> Result<String, OutputError> {
    let (file, size) = file_at(folder, Path::new(name))?;
    let too_large = |size: u64| OutputError::TooLarge {
        path: name.to_owned(),
        found: format!("{size} bytes"),
        most: format!("{most}"),
    };
    if size > most {
        return Err(too_large(size));
    }
    let mut text = Vec::new();
    let unreadable = |source| OutputError::Unreadable { path: name.to_owned(), source };
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > most {
        return Err(too_large(text.len() as u64));
    }
    String::from_utf8(text).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Makes the literal of a file or folder that is stored at `uri`.
fn blob(declared: &LiteralType, uri: String) -> Literal {
    match &declared.r#type {
        Some(literal_type::Type::Blob(of)) => {
            let metadata = BlobMetadata {
                r#type: Some(BlobType { format: of.format.clone(), dimensionality: of.dimensionality }),
            };
            parse::of_scalar(scalar::Value::Blob(Blob { metadata: Some(metadata), uri }))
        }
        Some(literal_type::Type::UnionType(union)) => {
            let is_blob = |of: &&LiteralType| matches!(of.r#type, Some(literal_type::Type::Blob(_)));
            match union.variants.iter().find(is_blob) {
                Some(variant) => parse::in_union(blob(variant, uri), variant),
                None => Literal::default(),
            }
        }
        _ => Literal::default(),
    }
}

/// Stores a file, or a folder with all that is in it, at `uri`.
async fn store(
    machine: &Machine,
    folder: &Path,
    name: &str,
    form: Form,
    uri: &str,
) -> Result<Result<(), OutputError>, Failure> {
    if form == Form::File {
        let (file, _) = match file_at(folder, Path::new(name)) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        upload(machine, file, uri).await?;
        return Ok(Ok(()));
    }
    let (root, top) = (folder.to_owned(), PathBuf::from(name));
    let listed = tokio::task::spawn_blocking(move || list(&root, top)).await;
    let files = match listed {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => return Ok(Err(error)),
        Err(error) => return Err(failure::not_started(&error)),
    };
    if let Some(place) = machine.blobs.local_path(uri) {
        // A folder with nothing in it is one too, where there are folders.
        tokio::fs::create_dir_all(place).await.map_err(|error| failure::not_started(&error))?;
    }
    for path in files {
        let below = path.strip_prefix(name).unwrap_or(&path).display().to_string();
        match file_at(folder, &path) {
            Ok((file, _)) => upload(machine, file, &format!("{uri}/{below}")).await?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

async fn upload(machine: &Machine, file: File, uri: &str) -> Result<(), Failure> {
    let stored = report::insist(&machine.config, || async {
        let file = file.try_clone().map_err(|source| BlobError::Source { uri: uri.to_owned(), source })?;
        machine.blobs.put_stream(uri, pieces(file).boxed(), FILE_BYTES_MAX).await
    });
    match stored.await {
        Ok(_) => Ok(()),
        Err(error @ (BlobError::Outside { .. } | BlobError::Name { .. })) => {
            Err(failure::bad_output(format!("an output cannot be stored: {error}")))
        }
        Err(error) => Err(failure::not_started(&error)),
    }
}

/// Reads a file from its beginning, piece by piece.
fn pieces(file: File) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    use std::os::unix::fs::FileExt as _;
    futures::stream::try_unfold((file, 0_u64), |(file, at)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES];
            let count = file.read_at(&mut piece, at)?;
            piece.truncate(count);
            Ok::<_, io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(io::Error::other).flatten()?;
        let next = at + piece.len() as u64;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (file, next))))
    })
}

/// Opens the plain file at `path` below `folder`, and answers its size. No part of the path is a link.
fn file_at(folder: &Path, path: &Path) -> Result<(File, u64), OutputError> {
    const WANTED: &str = "a file";
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let parent = folder_at(folder, parent)?;
    // Opening a FIFO for reading waits for a writer unless it is told not to.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&parent, name, flags, Mode::empty()).map_err(|errno| fault(errno, path, WANTED))?;
    let stat = fstat(&file).map_err(|errno| fault(errno, path, WANTED))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or(0))),
        other => Err(kind(other, path, WANTED)),
    }
}

/// Opens the folder at `path` below `folder`, step by step.
fn folder_at(folder: &Path, path: &Path) -> Result<OwnedFd, OutputError> {
    const WANTED: &str = "a folder";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = open(folder, flags, Mode::empty()).map_err(|errno| fault(errno, path, WANTED))?;
    for part in path {
        at = openat(&at, part, flags, Mode::empty()).map_err(|errno| fault(errno, path, WANTED))?;
    }
    Ok(at)
}

/// Lists the files below `top`, by their paths below `folder`.
fn list(folder: &Path, top: PathBuf) -> Result<Vec<PathBuf>, OutputError> {
    let (mut files, mut open) = (Vec::new(), vec![top]);
    let mut entries = 0;
    while let Some(path) = open.pop() {
        if path.components().count() > DEPTH_MAX {
            let found = format!("more than {DEPTH_MAX} folders inside each other");
            return Err(OutputError::TooLarge { path: shown(&path), found, most: DEPTH_MAX.to_string() });
        }
        let at = folder_at(folder, &path)?;
        let unreadable = |errno: Errno| OutputError::Unreadable { path: shown(&path), source: errno.into() };
        for entry in Dir::new(at).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = std::str::from_utf8(name).map_err(|error| OutputError::Unreadable {
                path: shown(&path),
                source: io::Error::new(io::ErrorKind::InvalidData, error),
            })?;
            let inner = path.join(name);
            match kind_of(&entry, folder, &inner)? {
                FileType::Directory => open.push(inner),
                FileType::RegularFile => files.push(inner),
                other => return Err(kind(other, &inner, "a file or a folder")),
            }
            entries += 1;
            if entries > FILES_MAX {
                let found = format!("more than {FILES_MAX} files and folders");
                return Err(OutputError::TooLarge { path: shown(&path), found, most: FILES_MAX.to_string() });
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Answers what an entry of a folder is; not every file system says so in its list.
fn kind_of(entry: &DirEntry, folder: &Path, path: &Path) -> Result<FileType, OutputError> {
    if entry.file_type() != FileType::Unknown {
        return Ok(entry.file_type());
    }
    let parent = folder_at(folder, path.parent().unwrap_or(Path::new("")))?;
    let stat = statat(&parent, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.map_err(|errno| fault(errno, path, "a file or a folder"))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn fault(errno: Errno, path: &Path, wanted: &'static str) -> OutputError {
    match errno {
        Errno::NOENT => OutputError::Missing,
        // A link that was not to be followed.
        Errno::LOOP | Errno::MLINK => kind(FileType::Symlink, path, wanted),
        Errno::NOTDIR => OutputError::Kind { path: shown(path), found: "no folder", wanted },
        Errno::NXIO => kind(FileType::Socket, path, wanted),
        errno => OutputError::Unreadable { path: shown(path), source: errno.into() },
    }
}

fn kind(found: FileType, path: &Path, wanted: &'static str) -> OutputError {
    let found = match found {
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Directory => "a folder",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile => "a file",
        FileType::Unknown => "of an unknown kind",
    };
    OutputError::Kind { path: shown(path), found, wanted }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// An output folder with one of each that a container may leave there.
    fn left() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "1\n").expect("a file");
        std::fs::write(at("bytes"), b"\xff").expect("a file");
        symlink("/etc/passwd", at("link")).expect("a link");
        symlink("nothing", at("dangling")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RWXU).expect("a FIFO");
        std::fs::create_dir_all(at("folder/inner")).expect("a folder");
        std::fs::write(at("folder/inner/file"), "2").expect("a file");
        std::fs::create_dir(at("linked")).expect("a folder");
        symlink("/etc", at("linked/etc")).expect("a link");
        symlink("folder", at("to-folder")).expect("a link");
        folder
    }

    #[test]
    fn a_text_is_that_of_a_plain_file_and_nothing_else_is_opened() {
        let folder = left();
        assert_eq!(text_at(folder.path(), "file", 8).expect("it is a file"), "1\n");
        for (name, expected) in [
            ("nothing", "it is not there"),
            ("link", "link is a symbolic link; it has to be a file"),
            ("dangling", "dangling is a symbolic link; it has to be a file"),
            ("fifo", "fifo is a FIFO; it has to be a file"),
            ("folder", "folder is a folder; it has to be a file"),
            ("bytes", "bytes cannot be read: invalid utf-8"),
        ] {
            let refused = text_at(folder.path(), name, 8).expect_err("it is no text").to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        let refused = text_at(folder.path(), "file", 1).expect_err("it is too long").to_string();
        assert_eq!(refused, "file has 2 bytes; there may be 1");
    }

    #[test]
    fn a_folder_is_listed_whole_and_no_link_in_it_is_followed() {
        let folder = left();
        let listed = |name: &str| list(folder.path(), PathBuf::from(name)).map_err(|error| error.to_string());
        assert_eq!(listed("folder"), Ok(vec![PathBuf::from("folder/inner/file")]));
        assert_eq!(listed("file"), Err("file is no folder; it has to be a folder".to_owned()));
        let refused = "linked/etc is a symbolic link; it has to be a file or a folder".to_owned();
        assert_eq!(listed("linked"), Err(refused));
        assert!(listed("to-folder").is_err());
        let through = file_at(folder.path(), Path::new("to-folder/inner/file"));
        assert!(through.is_err(), "a part of the path is a link");
    }

    #[test]
    fn an_error_is_what_the_container_wrote_down_and_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(said_error(folder.path()).expect("nothing is wrong"), None);
        let size = usize::try_from(ERROR_BYTES_MAX).expect("it is small");
        std::fs::write(folder.path().join(ERROR), "e".repeat(size + 1)).expect("a file");
        assert_eq!(said_error(folder.path()).expect("it is a file").map(|said| said.len()), Some(size));
        std::fs::remove_file(folder.path().join(ERROR)).expect("it is there");
        symlink("/etc/passwd", folder.path().join(ERROR)).expect("a link");
        assert!(said_error(folder.path()).is_err());
    }
}

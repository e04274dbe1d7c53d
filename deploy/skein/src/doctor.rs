//! Says of everything that Skein needs whether this machine has it, and what to do where not.

use crate::args::{self, Doctor};
use crate::machine;
use crate::python;
use skein_workers::gpus::DriverError;
use skein_workers::{Containers, Mode, container};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What one check found.
pub enum Finding {
    Fine(String),
    /// Works, but less well than it could.
    Note(String, &'static str),
    NotFine(String, String),
}

/// Below this many flushes a second, every acknowledgement is felt.
const FSYNCS_LOW: f64 = 200.0;
/// How long flushes are counted.
const FSYNC_TIME: Duration = Duration::from_millis(300);
/// Less free space than this is worth a word, in bytes.
const SPACE_LOW: u64 = 2 << 30;

/// Prints a line for each check, `containers` being what [`containers`] found; answers 0 when nothing stands in the way.
pub fn run(doctor: &Doctor, containers: Finding) -> ExitCode {
    let folder = args::data_folder(doctor.data.clone()).map(|folder| existing(&folder));
    let findings = [
        ("python", python_finding(doctor)),
        ("port", port(doctor.listen)),
        ("disk", folder.as_deref().map_or_else(|e| not_fine(e, "say --data DIR"), space)),
        ("fsync", folder.as_deref().map_or_else(|e| not_fine(e, "say --data DIR"), fsync)),
        ("cgroups", cgroups()),
        ("gpus", gpus()),
        ("containers", containers),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, finding) in findings {
        match finding {
            Finding::Fine(what) => println!("fine      {name:<11} {what}"),
            Finding::Note(what, hint) => println!("fine      {name:<11} {what}; {hint}"),
            Finding::NotFine(what, hint) => {
                println!("not fine  {name:<11} {what}\n          {:<11} → {hint}", "");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn not_fine(what: impl std::fmt::Display, hint: &str) -> Finding {
    Finding::NotFine(what.to_string(), hint.to_owned())
}

fn python_finding(doctor: &Doctor) -> Finding {
    match python::find(doctor.python.as_deref()) {
        Ok(found) => Finding::Fine(format!(
            "{} is Python {} with flytekit {}",
            found.path.display(),
            found.version,
            found.flytekit
        )),
        Err(error) => not_fine(
            error,
            "`python3 -m venv .venv && .venv/bin/pip install flytekit`, then --python .venv/bin/python",
        ),
    }
}

fn port(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::Fine(format!("{address} is free")),
        Err(error) => not_fine(
            format!("{address}: {error}"),
            "end what listens there (perhaps another `skein up`), or take another: --listen 127.0.0.1:0 finds a free one",
        ),
    }
}

fn space(folder: &Path) -> Finding {
    match rustix::fs::statvfs(folder) {
        Ok(stats) => {
            let free = stats.f_bavail.saturating_mul(stats.f_frsize);
            let what = format!("{} GiB free at {}", free >> 30, folder.display());
            if free < SPACE_LOW {
                not_fine(what, "free some, or put the data elsewhere: --data DIR")
            } else {
                Finding::Fine(what)
            }
        }
        Err(error) => not_fine(format!("{}: {error}", folder.display()), "say --data DIR"),
    }
}

fn fsync(folder: &Path) -> Finding {
    match flushes_per_second(folder) {
        Ok(rate) if rate < FSYNCS_LOW => Finding::Note(
            format!("{rate:.0} durable writes a second"),
            "acknowledgements wait for the disk: a local SSD is faster",
        ),
        Ok(rate) => Finding::Fine(format!("{rate:.0} durable writes a second")),
        Err(error) => not_fine(
            format!("{}: {error}", folder.display()),
            "the data folder has to be writable: --data DIR",
        ),
    }
}

fn flushes_per_second(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join(format!(".skein-doctor-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < FSYNC_TIME {
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        count += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(f64::from(count) / seconds)
}

fn cgroups() -> Finding {
    const HINT: &str = "tasks run without limits of memory and processor";
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        Finding::Fine("version 2".to_owned())
    } else if Path::new("/sys/fs/cgroup/memory").exists() {
        Finding::Fine("version 1".to_owned())
    } else {
        Finding::Note("none".to_owned(), HINT)
    }
}

fn gpus() -> Finding {
    const HINT: &str = "tasks that ask for one are refused; --gpu NAME=COUNT declares what no driver tells";
    match machine::discovered() {
        Ok(devices) if devices.is_empty() => Finding::Note("the driver tells of none".to_owned(), HINT),
        Ok(devices) => {
            let each = devices.iter().map(|device| {
                let memory = device.memory_bytes.map(|bytes| format!(", {} MiB", bytes >> 20));
                format!("{} ({}{})", device.gpu, device.id, memory.unwrap_or_default())
            });
            Finding::Fine(each.collect::<Vec<_>>().join(", "))
        }
        Err(DriverError::Absent { .. }) => Finding::Note("no NVIDIA driver".to_owned(), HINT),
        Err(error) => not_fine(error, "see what nvidia-smi says; without GPUs: --no-gpus"),
    }
}

/// Looks for what runs container tasks.
pub async fn containers(doctor: &Doctor) -> Finding {
    // Any Python can say whether there are mount namespaces.
    let python = python::find(doctor.python.as_deref()).map_or_else(|_| "python3".into(), |found| found.path);
    match container::find(Mode::Auto, &python).await {
        Ok(found @ Containers::Engine(_)) => Finding::Fine(found.words()),
        Ok(found @ Containers::Host) => Finding::Note(
            format!("no engine: container tasks run {}", found.words()),
            "with Docker or Podman they run in their images",
        ),
        Ok(Containers::None(why)) | Err(why) => Finding::Note(why, "container tasks are refused"),
    }
}

/// The folder, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|above| above.is_dir()).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

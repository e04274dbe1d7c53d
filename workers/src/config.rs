//! Everything about workers that can be set.

use crate::cgroups::Cgroups;
use crate::container::Containers;
use crate::gpus::Device;
use skein_model::task_rules::Pattern;
use skein_model::{Offer, PoolId};
use skein_secrets::Vault;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the workers of one pool on one machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool whose work is leased.
    pub pool: PoolId,
    /// The name under which the workers lease; unique among all workers of the pool. Each slot appends its number.
    pub worker: String,
    /// How many attempts or chunks run at once. Default: one a core, because user code mostly computes.
    pub slots: NonZeroUsize,
    /// The Python interpreter; it must have `flytekit`. What no image is mapped for runs there.
    pub interpreter: PathBuf,
    /// The interpreters that images stand for; of several that an image matches the first counts. Default: none.
    pub images: Vec<ImageRule>,
    /// What runs tasks that are containers of their own. Default: nothing.
    pub containers: Containers,
    /// A folder of this process alone; what an earlier one left there is removed at the start. Working folders and
    /// unpacked code archives go there.
    pub scratch: PathBuf,
    /// Where interpreters keep compiled modules; may be shared by processes and may be deleted at any time. Default: in
    /// `scratch`. Without it every start compiles the whole SDK, which takes three times as long as the rest of it.
    pub bytecode: PathBuf,
    /// How long interpreters are kept that nobody uses. 1 s and more; default 60 s: work comes in bursts, a start costs
    /// a second, and an idle interpreter holds 84 MB.
    pub idle_ttl: Duration,
    /// How long an interpreter may take to start. Default 120 s: importing the SDK without bytecode on a loaded machine
    /// takes ten.
    pub start_timeout: Duration,
    /// How long user code has between SIGTERM and SIGKILL. Default 2 s.
    pub kill_grace: Duration,
    /// Whether functions run without the SDK's own entry point where nothing is lost by that. Default: yes.
    pub fast_path: FastPath,
    /// How many bytes of error text one chunk reports before its remaining items are given back; a report has to fit
    /// into one record of the log. Default 384 KiB.
    pub chunk_error_bytes_max: usize,
    /// How many chunks one interpreter runs before a new one takes its place; bounds what user code leaks. Default 10 000.
    pub chunks_per_interpreter: u32,
    /// What is kept of what user code prints.
    pub log: LogLimits,
    /// What a code archive may be.
    pub archive: ArchiveLimits,
    /// How long the first repetition of a report that was not answered waits; doubles up to `report_delay_max`.
    /// Default 50 ms.
    pub report_delay_first: Duration,
    /// How long a repetition of a report waits at most. Default 5 s.
    pub report_delay_max: Duration,
    /// Variables of this process's environment that user code gets. Everything else, this program's own secrets
    /// included, it does not see. A name that ends with `*` stands for all that begin so.
    pub env_passed: Vec<String>,
    /// Variables that user code gets beside those; what a task or its execution sets goes before. Default: none.
    pub env_added: Vec<(String, String)>,
    /// Where the secrets are that tasks ask for. Default: none, and such tasks fail.
    pub secrets: Option<Arc<Vault>>,
    /// The accelerators that are handed out, each to one attempt or chunk at a time; whoever asks for none sees none. Default:
    /// none, and then they are nobody's to hand out: user code sees what this process does, and what is asked for is not
    /// looked at.
    pub gpus: Option<Vec<Device>>,
    /// Where limits of memory and processor are held to. Default: nowhere, and then they are only noted.
    pub cgroups: Option<Arc<Cgroups>>,
    /// What the machine has. Default: not known, and then nothing is refused for want of it.
    pub offer: Option<Offer>,
}

impl std::fmt::Debug for Cgroups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cgroups").field(&self.place()).finish()
    }
}

/// An environment that stands for images.
#[derive(Clone, Debug)]
pub struct ImageRule {
    /// The names of the images, whole, with their registry and tag.
    pub pattern: Pattern,
    /// The interpreter of the environment, which must have `flytekit`.
    pub interpreter: PathBuf,
}

/// Whether functions are run by the SDK's own entry point where another way gives the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// They are called directly when all values are plain; otherwise the loaded task is dispatched, without files.
    On,
    /// The entry point runs all of them.
    Off,
}

/// Bounds on what is kept of an attempt's output.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// How much is compressed at once and can be read then, in bytes. Default, and at most,
    /// [`skein_log::printed::FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
    /// With how much text an object is full, in bytes. Default [`skein_log::printed::OBJECT_BYTES`].
    pub object_bytes: u64,
    /// How many bytes of an attempt are kept. Default 64 MiB.
    pub bytes_max: u64,
    /// How many bytes are held back while it is not known whose they are. Default 256 KiB.
    pub held_bytes_max: usize,
    /// How long printed text waits at most before it can be read. Default 1 s.
    pub flush_every: Duration,
}

/// Bounds on a code archive.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveLimits {
    /// Its size in bytes. Default 256 MiB, which is held in memory while it is unpacked.
    pub bytes_max: u64,
    /// The size of what is in it, in bytes. Default 4 GiB.
    pub unpacked_bytes_max: u64,
    /// How many entries it has. Default 200 000.
    pub entries_max: u64,
}

impl Config {
    /// Makes a configuration with the defaults.
    pub fn new(pool: PoolId, interpreter: PathBuf, scratch: PathBuf) -> Self {
        Self {
            pool,
            worker: format!("worker-{}", std::process::id()),
            slots: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            interpreter,
            images: Vec::new(),
            containers: Containers::None("nobody said what runs them".to_owned()),
            bytecode: scratch.join("bytecode"),
            scratch,
            idle_ttl: Duration::from_secs(60),
            start_timeout: Duration::from_secs(120),
            kill_grace: Duration::from_secs(2),
            fast_path: FastPath::On,
            chunk_error_bytes_max: 384 * 1024,
            chunks_per_interpreter: 10_000,
            log: LogLimits {
                frame_bytes_max: skein_log::printed::FRAME_BYTES_MAX,
                object_bytes: skein_log::printed::OBJECT_BYTES,
                bytes_max: 64 * 1024 * 1024,
                held_bytes_max: 256 * 1024,
                flush_every: Duration::from_secs(1),
            },
            archive: ArchiveLimits {
                bytes_max: 256 * 1024 * 1024,
                unpacked_bytes_max: 4 * 1024 * 1024 * 1024,
                entries_max: 200_000,
            },
            report_delay_first: Duration::from_millis(50),
            report_delay_max: Duration::from_secs(5),
            env_added: Vec::new(),
            env_passed: ENV_PASSED.map(str::to_owned).to_vec(),
            secrets: None,
            gpus: None,
            cgroups: None,
            offer: None,
        }
    }
}

/// What a program needs to find its parts, its user and the network; no names that usually hold secrets.
const ENV_PASSED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "CUDA_*",
    "OMP_NUM_THREADS",
];

//! One zygote: an interpreter that has the SDK imported, or a program that has tasks, and makes a child for whoever asks.
//!
//! Two tasks own its control socket, one for each direction. The zygote alone sends signals to children, because it
//! alone knows which process ids are still theirs. It kills all of them when the socket closes, so nothing outlives
//! this program, however it ends.

mod error;

pub use error::StartError;

use crate::child::Exit;
use crate::config::Config;
use crate::frames::Frames;
use crate::nest::Ground;
use crate::usage::Pid;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Signal;
use skein_protocol::{Control, PROTOCOL, Said, VERSION, frames, native};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child as Process, ChildStderr, Command};
use tokio::sync::{mpsc, oneshot, watch};

/// How much of what a zygote complains about is kept for the error message, in bytes.
const COMPLAINT_BYTES_MAX: usize = 2048;

/// How long a zygote may take to end everything that it forked.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What a zygote is made of.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// An interpreter.
    Python {
        /// Its path.
        interpreter: PathBuf,
        /// Where the interpreter side of the worker lies.
        package: PathBuf,
    },
    /// A user's program.
    Program {
        /// Its path.
        path: PathBuf,
    },
}

impl Origin {
    /// Names it in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Python { interpreter, .. } => format!("the interpreter {}", interpreter.display()),
            Self::Program { path } => format!("the program {}", path.display()),
        }
    }

    /// Names in messages what it does before it is ready.
    const fn task(&self) -> &'static str {
        match self {
            Self::Python { .. } => "import flytekit",
            Self::Program { .. } => "say which protocol it speaks",
        }
    }

    /// Answers the command that starts it, without what all have in common.
    fn command(&self, config: &Config) -> Command {
        let version = skein_protocol::VERSION.to_string();
        match self {
            Self::Python { interpreter, package } => {
                let mut command = Command::new(interpreter);
                command
                    .arg("-X")
                    .arg(format!("pycache_prefix={}", config.bytecode.display()))
                    .args(["-c", crate::python::START])
                    .arg(package)
                    .arg(version);
                command
            }
            Self::Program { path } => {
                let mut command = Command::new(path);
                command.args([native::SERVE, native::VERSION_FLAG, &version]);
                command
            }
        }
    }
}

/// What a child is born with.
pub(crate) struct Birth {
    /// Its end of the socket.
    pub socket: OwnedFd,
    /// Where it prints to.
    pub log: OwnedFd,
    /// The page on which it notes how far it is.
    pub progress: OwnedFd,
}

enum Order {
    Fork(u64, Birth),
    Kill(u64, i32),
}

/// Who waits for a child.
struct Expected {
    exit: watch::Sender<Option<Exit>>,
    pid: Arc<Pid>,
}

/// What is told of a child.
pub(crate) struct Forked {
    /// Its number, by which the zygote knows it.
    pub number: u64,
    /// Its end.
    pub exit: watch::Receiver<Option<Exit>>,
    /// Its process, as soon as that is told.
    pub pid: Arc<Pid>,
}

type Waiting = Arc<Mutex<HashMap<u64, Expected>>>;

/// A zygote that is ready. Everything it forked is killed when it is dropped.
pub(crate) struct Zygote {
    orders: mpsc::UnboundedSender<Order>,
    waiting: Waiting,
    next: AtomicU64,
    _root: Root,
}

/// What a zygote's process hangs on: it ends when this is dropped.
enum Root {
    /// An interpreter that was started.
    Process(Option<Process>),
    /// A child of another zygote.
    Nest {
        /// Held for its end alone.
        _ground: Ground,
    },
}

impl Drop for Root {
    /// A zygote ends what it forked, and then itself, when its socket closes; one that does not do so is killed.
    fn drop(&mut self) {
        if let Self::Process(process) = self
            && let (Some(mut process), Ok(runtime)) = (process.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                if tokio::time::timeout(END_TIMEOUT, process.wait()).await.is_err() {
                    tracing::warn!("a zygote that did not end is killed");
                    let _ = process.kill().await;
                }
            });
        }
    }
}

impl Zygote {
    /// Starts a zygote and waits until it has imported the SDK.
    pub(crate) async fn start(config: &Config, from: &Origin) -> Result<Self, StartError> {
        let (origin, task) = (from.name(), from.task());
        let spawn = |source| StartError::Spawn { origin: origin.clone(), source };
        let (mut process, control) = spawn_process(config, from).map_err(spawn)?;
        let mut frames = Frames::new(UnixStream::from_std(control).map_err(spawn)?);
        let complaint = collect_complaint(process.stderr.take().expect("standard error is piped"));
        let ready = tokio::time::timeout(config.start_timeout, frames.receive::<Said>());
        let foreign = match ready.await {
            Ok(Ok(Some(Said { ready: Some(versions), .. }))) => match other_version(&versions) {
                None => {
                    tracing::info!(origin, ?versions, "ready");
                    return Self::over(frames, Root::Process(Some(process))).map_err(spawn);
                }
                other => other,
            },
            Ok(Ok(None)) => {
                let is_killed = is_killed(&mut process).await;
                let complaint = complaint.await.unwrap_or_default();
                return Err(StartError::Ended { origin, task, complaint, is_killed });
            }
            Err(_) => None,
            Ok(Ok(Some(_))) => Some("it did not say that it is ready".to_owned()),
            Ok(Err(error)) => Some(format!("what it said first is no message ({error})")),
        };
        // It may go on for ever. Nothing was forked yet that its end would leave behind.
        process.kill().await.map_err(spawn)?;
        Err(match foreign {
            Some(said) => StartError::Foreign { origin, said },
            None => StartError::Slow { origin, task, waited: config.start_timeout },
        })
    }

    /// Takes a child for a zygote, which it has become.
    ///
    /// # Errors
    /// When there are no more files to be had.
    pub(crate) fn on(ground: Ground, frames: Frames) -> io::Result<Self> {
        Self::over(frames, Root::Nest { _ground: ground })
    }

    fn over(frames: Frames, root: Root) -> io::Result<Self> {
        let writing = frames.writer()?;
        let waiting = Waiting::default();
        let (orders, queue) = mpsc::unbounded_channel();
        tokio::spawn(serve(writing, queue, frames, Arc::clone(&waiting)));
        Ok(Self { orders, waiting, next: AtomicU64::new(0), _root: root })
    }

    /// Orders a child. Answers where what becomes of it will be told.
    pub(crate) fn fork(&self, birth: Birth) -> Forked {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, exit) = watch::channel(None);
        let pid = Arc::new(Pid::default());
        let expected = Expected { exit: sender, pid: Arc::clone(&pid) };
        lock(&self.waiting).insert(number, expected);
        if self.orders.send(Order::Fork(number, birth)).is_err() {
            lock(&self.waiting).remove(&number);
        }
        Forked { number, exit, pid }
    }

    /// Orders a signal to a child's process group; without effect when the child has ended.
    pub(crate) fn kill(&self, number: u64, signal: Signal) {
        // When nobody takes the order the zygote is gone, and its children with it.
        let _ = self.orders.send(Order::Kill(number, signal.as_raw()));
    }

    /// Says whether it can still fork.
    pub(crate) fn is_alive(&self) -> bool {
        !self.orders.is_closed()
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, Expected>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn_process(config: &Config, origin: &Origin) -> io::Result<(Process, StdUnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let temporary = config.scratch.join("tmp");
    std::fs::create_dir_all(&temporary)?;
    let process = origin
        .command(config)
        .env_clear()
        .envs(crate::environment::passed(config, origin))
        .env("TMPDIR", temporary)
        // Coloured tracebacks would be imported for nobody to see.
        .env("FLYTE_SDK_RICH_TRACEBACKS", "0")
        .current_dir(&config.scratch)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal is for this program, which drains first.
        .process_group(0)
        .spawn()?;
    Ok((process, ours))
}

/// Waits for the end of a process that has closed its socket, and says whether a signal that it cannot catch ended it. One that goes
/// on is killed, and that does not count.
async fn is_killed(process: &mut Process) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    match tokio::time::timeout(END_TIMEOUT, process.wait()).await {
        Ok(ended) => ended.is_ok_and(|status| status.signal() == Some(Signal::KILL.as_raw())),
        Err(_) => {
            let _ = process.kill().await;
            false
        }
    }
}

/// Answers what is wrong with the version that a zygote says it speaks; none when it is this worker's.
fn other_version(versions: &BTreeMap<String, String>) -> Option<String> {
    let found = versions.get(PROTOCOL).map_or("none", String::as_str);
    (found != VERSION.to_string()).then(|| {
        format!(
            "it speaks version {found} of the worker protocol, and this worker version {VERSION}: build both from one release of Skein"
        )
    })
}

/// Keeps the end of what the zygote prints, and answers it when the zygote has ended.
fn collect_complaint(mut stderr: ChildStderr) -> oneshot::Receiver<String> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut part = [0; 1024];
        while let Ok(count @ 1..) = stderr.read(&mut part).await {
            tracing::debug!(text = %String::from_utf8_lossy(&part[..count]), "interpreter printed");
            kept.extend_from_slice(&part[..count]);
            let excess = kept.len().saturating_sub(COMPLAINT_BYTES_MAX);
            kept.drain(..excess);
        }
        // Nobody may be waiting for it any more.
        let _ = sender.send(String::from_utf8_lossy(&kept).trim().to_owned());
    });
    receiver
}

/// Speaks with the zygote until there is no one to give orders, or no one who takes them or can be understood.
async fn serve(
    socket: UnixStream,
    mut orders: mpsc::UnboundedReceiver<Order>,
    frames: Frames,
    waiting: Waiting,
) {
    tokio::select! {
        () = carry_out(&socket, &mut orders) => {}
        () = listen(frames, &waiting) => {}
    }
    orders.close();
    // Both directions: its children end, if it is one.
    let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
    // Orders that nobody takes any more have children waiting too.
    lock(&waiting).clear();
}

async fn carry_out(socket: &UnixStream, orders: &mut mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let sent = match order {
            Order::Fork(fork, Birth { socket: child, log, progress }) => {
                send(socket, &Control::Fork { fork }, &[child.as_fd(), log.as_fd(), progress.as_fd()]).await
            }
            Order::Kill(kill, signal) => send(socket, &Control::Kill { kill, signal }, &[]).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "the zygote takes no orders");
            return;
        }
    }
}

async fn send(socket: &UnixStream, message: &Control, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = frames::encode(message)?;
    let sent = socket.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(io::Error::other("more files than an order can carry"));
        }
        Ok(sendmsg(socket, &[IoSlice::new(&frame)], &mut ancillary, SendFlags::NOSIGNAL)?)
    });
    // An order is a few dozen bytes: the kernel takes it whole or not at all.
    if sent.await? == frame.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}

/// Hands on what the zygote says, until it ends; whoever still waits then is told by the end of their channel.
async fn listen(mut frames: Frames, waiting: &Waiting) {
    loop {
        let said = match frames.receive::<Said>().await {
            Ok(Some(said)) => said,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the zygote is not understood"),
        };
        if let Some(forked) = said.forked {
            tracing::debug!(child = forked, pid = said.pid, "child forked");
            if let (Ok(pid), Some(expected)) = (u32::try_from(said.pid), lock(waiting).get(&forked)) {
                expected.pid.tell(pid);
            }
        }
        if let Some(exited) = said.exited
            && let Some(Expected { exit, pid }) = lock(waiting).remove(&exited)
        {
            pid.forget();
            exit.send_replace(Some(Exit::of(said.status)));
        }
    }
}

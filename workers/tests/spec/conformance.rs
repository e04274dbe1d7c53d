//! The protocol, as `PROTOCOL.md` has it, spoken to each of its implementations: with the same words, for the same answers.

use crate::native::program;
use crate::support::{PATIENCE, collection, integer, is_alive, map, python};
use prost::Message as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use skein_protocol::messages::{
    Chunk, ChunkJob, Ended, Load, LoadJob, Loaded, Part, Setting, Single, SingleJob, Told,
};
use skein_protocol::{Control, NativeCommand, PROTOCOL, Plain, Said, VERSION, frames, native};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// One implementation.
struct Side {
    name: &'static str,
    command: fn(version: &str) -> Command,
    /// The command line of a task, single or mapped, that the two have in common.
    argv: fn(task: &str, is_map: bool) -> Vec<String>,
}

const SIDES: [Side; 2] = [
    Side { name: "python", command: of_python, argv: argv_of_python },
    Side { name: "rust", command: of_rust, argv: argv_of_rust },
];

fn of_python(version: &str) -> Command {
    let start = "import sys; sys.path.insert(0, sys.argv[1]); from skein_worker.zygote import main; main(sys.argv[2])";
    let mut command = Command::new(python());
    command.args(["-c", start]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python")).arg(version);
    command
}

fn of_rust(version: &str) -> Command {
    let mut command = Command::new(program());
    command.args([native::SERVE, native::VERSION_FLAG, version]);
    command
}

fn argv_of_python(task: &str, is_map: bool) -> Vec<String> {
    const RESOLVER: &str = "flytekit.core.python_auto_container.default_task_resolver";
    let (command, resolver, module) = if is_map {
        ("pyflyte-map-execute", "flytekit.core.array_node_map_task.ArrayNodeMapTaskResolver", "maps")
    } else {
        ("pyflyte-execute", RESOLVER, "single")
    };
    let mut argv = vec![
        command,
        "--inputs",
        "/absent/inputs.pb",
        "--output-prefix",
        "/absent/outputs",
        "--raw-output-data-prefix",
        "/absent/raw",
        "--checkpoint-path",
        "",
        "--prev-checkpoint",
        "\"\"",
        "--resolver",
        resolver,
        "--",
    ];
    if is_map {
        argv.extend(["vars", "", "resolver", RESOLVER]);
    }
    argv.extend(["task-module", module, "task-name", task]);
    argv.into_iter().map(str::to_owned).collect()
}

fn argv_of_rust(task: &str, _is_map: bool) -> Vec<String> {
    let program = program().display().to_string();
    NativeCommand { program, digest: "xxh3:0".to_owned(), task: format!("trials.{task}") }.arguments()
}

/// A zygote, and the worker's end of its socket.
struct Zygote {
    control: UnixStream,
    process: std::process::Child,
    folder: tempfile::TempDir,
    children: AtomicU64,
}

/// A child, and the worker's ends of what it has.
struct Child {
    number: u64,
    socket: UnixStream,
    log: UnixStream,
    page: File,
    pid: u32,
}

fn start(side: &Side, version: &str) -> Zygote {
    let (control, theirs) = UnixStream::pair().unwrap();
    control.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = (side.command)(version);
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    // Its own copy of the other end would keep the socket open.
    drop(command);
    Zygote { control, process, folder: tempfile::tempdir().unwrap(), children: AtomicU64::new(7) }
}

fn ready(side: &Side) -> Zygote {
    let mut zygote = start(side, &VERSION.to_string());
    let said: Said = zygote.hear();
    let versions = said.ready.unwrap_or_else(|| panic!("{} was not ready first", side.name));
    assert_eq!(versions[PROTOCOL], VERSION.to_string(), "{}", side.name);
    zygote
}

impl Zygote {
    fn hear(&mut self) -> Said {
        frames::read(&mut self.control).unwrap().unwrap()
    }

    fn order(&self, order: Control, files: &[std::os::fd::BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(files.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(files)));
        let frame = frames::encode(&order).unwrap();
        sendmsg(&self.control, &[IoSlice::new(&frame)], &mut ancillary, SendFlags::empty()).unwrap();
    }

    fn fork(&mut self) -> Child {
        let number = self.children.fetch_add(1, Ordering::Relaxed);
        let ((socket, child), (log, child_log)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        for ours in [&socket, &log] {
            ours.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let path = self.folder.path().join(number.to_string());
        let page = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        page.set_len(4096).unwrap();
        page.write_all_at(&(-1_i64).to_ne_bytes(), 0).unwrap();
        self.order(Control::Fork { fork: number }, &[child.as_fd(), child_log.as_fd(), page.as_fd()]);
        let said = self.hear();
        assert_eq!(said.forked, Some(number));
        Child { number, socket, log, page, pid: said.pid.try_into().unwrap() }
    }

    fn setting(&self, argv: Vec<String>) -> Setting {
        let folder = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string();
        let env = [("PATH", "/usr/bin:/bin"), ("FLYTE_ATTEMPT_NUMBER", "0")];
        Setting {
            argv,
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            cwd: self.folder.path().join("work").display().to_string(),
            path: vec![folder("tests/tasks")],
            own: folder("python"),
            secret: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn load(&self, child: &mut Child, argv: Vec<String>) -> Loaded {
        let int = || "int".to_owned();
        let load = Load {
            setting: self.setting(argv),
            dispatch: true,
            plain: true,
            inputs: BTreeMap::from([("x".to_owned(), int())]),
            output: Some(int()),
        };
        child.say(&LoadJob { load });
        child.hear()
    }

    fn single(&self, child: &mut Child, argv: Vec<String>, job: u32, x: i64, once: bool) -> Told {
        let single = Single {
            setting: self.setting(argv),
            outputs: self.folder.path().join("outputs").display().to_string(),
            publish: None,
            prefix: "file:///absent".to_owned(),
            values: Some(BTreeMap::from([("x".to_owned(), Plain::Int(x))])),
            inputs: None,
            once,
            job,
        };
        child.say(&SingleJob { single });
        child.hear()
    }
}

impl Child {
    fn say<T: Serialize>(&mut self, message: &T) {
        self.socket.write_all(&frames::encode(message).unwrap()).unwrap();
    }

    fn hear<T: DeserializeOwned>(&mut self) -> T {
        frames::read(&mut self.socket).unwrap().unwrap()
    }

    /// What has arrived of what it printed.
    fn printed(&mut self) -> String {
        self.log.set_nonblocking(true).unwrap();
        let mut printed = Vec::new();
        // Ends where more may come.
        let _ = self.log.read_to_end(&mut printed);
        String::from_utf8(printed).unwrap()
    }
}

#[test]
fn a_zygote_that_is_asked_for_another_version_says_its_own_and_ends() {
    for side in &SIDES {
        let mut zygote = start(side, "0");
        let said: Option<Said> = frames::read(&mut zygote.control).unwrap();
        assert_eq!(said, None, "{}", side.name);
        let mut complaint = String::new();
        zygote.process.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        assert!(!zygote.process.wait().unwrap().success(), "{}", side.name);
        assert!(
            complaint.contains("speaks version 1 of the worker protocol, and the worker version 0"),
            "{complaint}"
        );
    }
}

#[test]
fn a_child_loads_a_task_runs_attempts_of_it_and_ends_with_the_last() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let mut child = zygote.fork();
        let argv = (side.argv)("double", false);
        let loaded = zygote.load(&mut child, argv.clone());
        assert_eq!(loaded, Loaded { loaded: Some(None), pid: Some(child.pid), ended: None }, "{}", side.name);
        for (job, x, once) in [(1, 3, false), (2, -4, true)] {
            let told = zygote.single(&mut child, argv.clone(), job, x, once);
            assert_eq!(told.job, Some(job), "{}", side.name);
            assert!(told.is_finished && told.is_direct && told.ended.is_none(), "{}: {told:?}", side.name);
            assert_eq!(told.value, Plain::Int(2 * x), "{}", side.name);
        }
        assert_eq!(child.hear::<Ended>(), Ended { ended: 0 }, "{}", side.name);
        let said = zygote.hear();
        assert_eq!((said.exited, said.status), (Some(child.number), Some(0)), "{}", side.name);
        let mut printed = String::new();
        child.log.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "doubling 3\ndoubling -4\n", "{}", side.name);
    }
}

#[test]
fn what_was_printed_has_left_the_process_when_it_answers() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let mut child = zygote.fork();
        let argv = (side.argv)("mutters", false);
        assert_eq!(zygote.load(&mut child, argv.clone()).loaded, Some(None), "{}", side.name);
        assert!(zygote.single(&mut child, argv, 1, 3, false).is_finished, "{}", side.name);
        assert_eq!(child.printed(), "mutters 3 ", "{}", side.name);
        let mut child = zygote.fork();
        let argv = (side.argv)("mutters", true);
        assert_eq!(zygote.load(&mut child, argv.clone()).loaded, Some(None), "{}", side.name);
        settled(side, &mut child, &chunk(&zygote, argv, 0, 5..7));
        assert_eq!(child.printed(), "mutters 5 mutters 6 ", "{}", side.name);
    }
}

/// Items of plain values.
fn chunk(zygote: &Zygote, argv: Vec<String>, start: u32, values: std::ops::Range<i64>) -> ChunkJob {
    let folder = |name: &str| zygote.folder.path().join(name).display().to_string();
    let chunk = Chunk {
        start,
        count: u32::try_from(values.clone().count()).unwrap(),
        argv: argv.clone(),
        env: BTreeMap::new(),
        cwd: folder("work"),
        outputs: folder("outputs"),
        budget: 1 << 20,
        job: 1,
        within: None,
        columns: Some(BTreeMap::from([("x".to_owned(), values.map(Plain::Int).collect())])),
        bound: Some(BTreeMap::new()),
        inputs: None,
        names: None,
        skip: None,
        mark: None,
    };
    ChunkJob { chunk, setting: zygote.setting(argv) }
}

/// All that a child says of the items of a chunk, which it settles in order.
fn settled(side: &Side, child: &mut Child, job: &ChunkJob) -> Part {
    child.say(job);
    let mut all = Part { upto: Some(job.chunk.start), ..Part::default() };
    while !all.done {
        let part: Part = child.hear();
        assert_eq!(part.job, Some(job.chunk.job), "{}", side.name);
        assert!(part.upto.is_some() && part.upto >= all.upto, "{}: {part:?}", side.name);
        all.values.extend(part.values);
        all.literals.extend(part.literals);
        all.failed.extend(part.failed);
        (all.upto, all.done) = (part.upto, part.done);
    }
    all
}

#[test]
fn the_items_of_a_chunk_are_settled_in_order_those_that_fail_by_their_errors() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let mut child = zygote.fork();
        let argv = (side.argv)("odd_raises", true);
        assert_eq!(zygote.load(&mut child, argv.clone()).loaded, Some(None), "{}", side.name);
        let told = settled(side, &mut child, &chunk(&zygote, argv, 100, 10..15));
        assert_eq!((told.literals, told.upto), (Vec::new(), Some(105)), "{}", side.name);
        assert_eq!(told.values, [10, 12, 14].map(Plain::Int), "{}", side.name);
        let failed: Vec<_> =
            told.failed.iter().map(|(item, document, _)| (*item, document.is_some())).collect();
        assert_eq!(failed, [(101, true), (103, true)], "{}", side.name);
        child.socket.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(child.hear::<Ended>(), Ended { ended: 0 }, "{}", side.name);
        let mut item = [0; 8];
        child.page.read_exact_at(&mut item, 0).unwrap();
        assert!(i64::from_ne_bytes(item) < 0, "{}: no item runs any more", side.name);
    }
}

#[test]
fn a_chunk_whose_time_is_over_ends_after_the_item_that_runs() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let mut child = zygote.fork();
        let argv = (side.argv)("takes_a_while", true);
        assert_eq!(zygote.load(&mut child, argv.clone()).loaded, Some(None), "{}", side.name);
        let mut job = chunk(&zygote, argv, 7, 0..5);
        job.chunk.within = Some(0.001);
        let told = settled(side, &mut child, &job);
        assert_eq!((told.values, told.upto), (vec![Plain::Int(0)], Some(8)), "{}", side.name);
        job.chunk.within = None;
        job.chunk.job = 2;
        assert_eq!(
            settled(side, &mut child, &job).upto,
            Some(12),
            "{}: the next has its own time",
            side.name
        );
    }
}

#[test]
fn a_chunk_of_a_file_begins_where_it_is_told() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let mut child = zygote.fork();
        let argv = (side.argv)("odd_raises", true);
        assert_eq!(zygote.load(&mut child, argv.clone()).loaded, Some(None), "{}", side.name);
        let path = zygote.folder.path().join("inputs.pb");
        let inputs = map([("x", collection([0, 2, 4, 6, 8].map(integer).to_vec()))]);
        std::fs::write(&path, inputs.encode_to_vec()).unwrap();
        let mut job = chunk(&zygote, argv, 52, 0..2);
        (job.chunk.columns, job.chunk.bound) = (None, None);
        job.chunk.inputs = Some(path.display().to_string());
        (job.chunk.names, job.chunk.skip) = (Some(Vec::new()), Some(2));
        let told = settled(side, &mut child, &job);
        assert_eq!(
            (told.values, told.failed, told.upto),
            (Vec::new(), Vec::new(), Some(54)),
            "{}",
            side.name
        );
        let literal = |x| BTreeMap::from([("o0".to_owned(), integer(x).encode_to_vec().into())]);
        assert_eq!(told.literals, [(52, literal(4)), (53, literal(6))], "{}", side.name);
    }
}

#[test]
fn a_signal_ends_a_child_and_the_end_of_the_socket_ends_all() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let (one, mut other) = (zygote.fork(), zygote.fork());
        zygote.load(&mut other, (side.argv)("double", false));
        zygote.order(Control::Kill { kill: one.number, signal: 9 }, &[]);
        let said = zygote.hear();
        assert_eq!((said.exited, said.status), (Some(one.number), Some(-9)), "{}", side.name);
        // Without effect, and no reason to end.
        zygote.order(Control::Kill { kill: one.number, signal: 9 }, &[]);
        assert!(is_alive(other.pid), "{}", side.name);
        zygote.control.shutdown(std::net::Shutdown::Both).unwrap();
        zygote.process.wait().unwrap();
        assert!(!is_alive(other.pid), "{}", side.name);
    }
}

#[test]
fn a_child_whose_worker_goes_ends() {
    for side in &SIDES {
        let mut zygote = ready(side);
        let child = zygote.fork();
        let number = child.number;
        drop(child);
        let said = zygote.hear();
        assert_eq!((said.exited, said.status), (Some(number), Some(0)), "{}", side.name);
    }
}

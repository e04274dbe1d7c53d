//! Tasks that tests use: each type there and back, and each way of failing.

#![expect(clippy::panic, reason = "a task that panics is what is tried")]

use skein_task::{Error, Isolation, Program, Result, Task, Timedelta, context};
use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// How often this process ran [`count`].
static CALLS: AtomicI64 = AtomicI64::new(0);

/// What comes back as it went in.
type Everything = (bool, f64, String, SystemTime, Timedelta, Vec<i64>);

fn everything(
    flag: bool,
    number: f64,
    text: String,
    time: SystemTime,
    span: Timedelta,
    list: Vec<i64>,
) -> Everything {
    (flag, number, text, time, span, list)
}

fn nested(
    table: HashMap<String, Vec<f64>>,
    perhaps: Option<i64>,
    wait: Duration,
) -> (BTreeMap<String, Vec<f64>>, Option<i64>, Duration) {
    (table.into_iter().collect(), perhaps, wait)
}

fn square(x: i64) -> i64 {
    x.wrapping_mul(x)
}

fn double(x: i64) -> i64 {
    println!("doubling {x}");
    x.wrapping_mul(2)
}

/// Prints something that is not a whole line.
fn mutters(x: i64) -> i64 {
    print!("mutters {x} ");
    x
}

fn odd_raises(x: i64) -> Result<i64> {
    if x % 2 == 0 { Ok(x) } else { Err(Error::new(format!("odd {x}"))) }
}

/// Takes longer than results wait before they are sent.
fn takes_a_while(x: i64) -> i64 {
    std::thread::sleep(Duration::from_millis(30));
    x
}

/// Answers the process id and how often it was called there.
fn count(_x: i64) -> Vec<i64> {
    vec![i64::from(std::process::id()), CALLS.fetch_add(1, Ordering::Relaxed) + 1]
}

/// Starts a process that leaves the group of this one, and has another that leaves it in turn. Answers the id of the latter.
fn leaves(_x: i64) -> Result<i64> {
    let script = "setsid sleep 600 >left & echo $!; exec sleep 600";
    let mut left = Command::new("setsid")
        .args(["sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = left.stdout.take().ok_or_else(|| Error::new("its output is a pipe"))?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok(line.trim().parse()?)
}

/// Does to its process, or answers, what `how` says.
fn end(how: String) -> Result<i64> {
    println!("ends: {how}");
    match how.as_str() {
        "error" => Err(Error::new("no wool").with_code("USER:NoWool")),
        "recoverable" => Err(Error::recoverable("no wool yet")),
        "parse" => Ok("x".parse::<i64>()?),
        "panic" => panic!("out of wool"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "sleep" => loop {
            std::thread::park();
        },
        other => Ok(i64::try_from(other.len())?),
    }
}

/// Fails for multiples of `of`, and ends the process for 13.
fn picky(x: i64, of: i64) -> Result<String> {
    if x == 13 {
        std::process::abort();
    }
    if x % of == 0 {
        return Err(Error::new(format!("{x} is not wanted")));
    }
    Ok(format!("{x} at {:?}", context::item()))
}

/// Fails as long as the attempts are fewer.
fn third_time(x: i64) -> Result<i64> {
    match context::attempt() {
        2.. => Ok(x),
        attempt => Err(Error::recoverable(format!("attempt {attempt} is too early"))),
    }
}

/// Tells where it runs: the execution, and a line for the file that the variable `WITNESS` names.
fn witness(x: i64) -> Result<String> {
    if let Some(path) = context::variable("WITNESS") {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(file, "{x} {}", std::process::id())?;
    }
    std::fs::write("beside", "in the working folder")?;
    context::execution().ok_or_else(|| Error::new("there is no execution"))
}

fn nothing() {}

fn main() -> ExitCode {
    let outputs = ["flag", "number", "text", "time", "span", "list"];
    Program::new()
        .with(Task::new("trials.everything", outputs, everything).outputs(outputs))
        .with(
            Task::new("trials.nested", ["table", "perhaps", "wait"], nested)
                .outputs(["table", "perhaps", "wait"]),
        )
        .with(Task::new("trials.square", ["x"], square))
        .with(Task::new("trials.known_square", ["x"], square).cache("1"))
        .with(Task::new("trials.double", ["x"], double))
        .with(Task::new("trials.mutters", ["x"], mutters))
        .with(Task::new("trials.odd_raises", ["x"], odd_raises))
        .with(Task::new("trials.takes_a_while", ["x"], takes_a_while))
        .with(Task::new("trials.count", ["x"], count))
        .with(Task::new("trials.count_fresh", ["x"], count).isolation(Isolation::Fresh))
        .with(Task::new("trials.leaves", ["x"], leaves))
        .with(Task::new("trials.end", ["how"], end))
        .with(Task::new("trials.picky", ["x", "of"], picky))
        .with(Task::new("trials.third_time", ["x"], third_time).retries(2))
        .with(Task::new("trials.witness", ["x"], witness).timeout(Duration::from_secs(60)))
        .with(Task::new("trials.nothing", [], nothing))
        .run()
}

//! The command line of tasks that are programs of their own.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The first word of the command line of such a task.
pub const COMMAND: &str = "skein-native-execute";
/// The type of such a task, as its template says it.
pub const TASK_TYPE: &str = "skein-native";
/// The word with which a worker starts such a program; [`VERSION_FLAG`] and the version that it speaks follow.
pub const SERVE: &str = "serve";
/// What comes before the version of the protocol.
pub const VERSION_FLAG: &str = "--protocol";

const PROGRAM: &str = "--program";
const DIGEST: &str = "--digest";
const TASK: &str = "--task";
const INPUTS: &str = "--inputs";
const OUTPUTS: &str = "--output-prefix";
/// How much of a program is read at once, in bytes.
const PART_BYTES: usize = 256 * 1024;

/// What such a command line says. Everything in it comes from whoever registered the task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NativeCommand {
    /// The program's absolute path.
    pub program: String,
    /// Its [`digest`].
    pub digest: String,
    /// The task's name in the program.
    pub task: String,
}

/// A command line that starts with [`COMMAND`] and lacks something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingWord {
    /// What is not there, or has no value.
    pub word: &'static str,
}

impl fmt::Display for MissingWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command line {COMMAND} needs {} and a value after it", self.word)
    }
}

impl std::error::Error for MissingWord {}

impl NativeCommand {
    /// Answers the arguments of the container with which the task is registered: with the variables that the engine
    /// puts the places of inputs and outputs in for.
    pub fn arguments(&self) -> Vec<String> {
        let words = [
            COMMAND,
            PROGRAM,
            &self.program,
            DIGEST,
            &self.digest,
            TASK,
            &self.task,
            INPUTS,
            "{{.input}}",
            OUTPUTS,
            "{{.outputPrefix}}",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Reads a command line; none when it is another one.
    ///
    /// # Errors
    /// [`MissingWord`] when it is one and not whole.
    pub fn parse(argv: &[String]) -> Option<Result<Self, MissingWord>> {
        if argv.first().is_none_or(|first| first != COMMAND) {
            return None;
        }
        let value = |word| value_of(argv, word).map(str::to_owned).ok_or(MissingWord { word });
        let read = || Ok(Self { program: value(PROGRAM)?, digest: value(DIGEST)?, task: value(TASK)? });
        Some(read())
    }

    /// Answers where a rendered command line says that the inputs are.
    pub fn inputs(argv: &[String]) -> Option<&str> {
        value_of(argv, INPUTS)
    }
}

fn value_of<'a>(argv: &'a [String], word: &str) -> Option<&'a str> {
    // Words and values take turns after the command, so that a value that looks like a word is none.
    argv.get(1..)?.chunks_exact(2).find(|pair| pair[0] == word).map(|pair| pair[1].as_str())
}

/// Answers what tells the content of a program: `xxh3:` and 32 hexadecimal digits. It tells two builds apart, and is no
/// protection against somebody who wants two to look the same.
///
/// # Errors
/// Those of reading the file.
pub fn digest(program: &Path) -> io::Result<String> {
    let mut file = File::open(program)?;
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    let mut part = vec![0; PART_BYTES];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(format!("xxh3:{:032x}", hash.digest128())),
            count => hash.update(&part[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> NativeCommand {
        let [program, digest, task] = ["/opt/--task", "xxh3:0", "--digest"].map(str::to_owned);
        NativeCommand { program, digest, task }
    }

    #[test]
    fn a_command_line_is_read_as_it_was_written_whatever_stands_in_it() {
        assert_eq!(NativeCommand::parse(&command().arguments()), Some(Ok(command())));
        assert_eq!(NativeCommand::inputs(&command().arguments()), Some("{{.input}}"));
    }

    #[test]
    fn a_command_line_that_is_another_or_not_whole_is_told_apart() {
        assert_eq!(NativeCommand::parse(&["pyflyte-execute".to_owned()]), None);
        assert_eq!(NativeCommand::parse(&[]), None);
        let cut = &command().arguments()[..4];
        let missing = NativeCommand::parse(cut).expect("it starts so").expect_err("it is not whole");
        assert_eq!(
            missing.to_string(),
            "the command line skein-native-execute needs --digest and a value after it"
        );
    }

    #[test]
    fn a_digest_tells_the_content_and_not_the_file() {
        let folder = std::env::temp_dir().join(format!("skein-digest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect("a file");
            digest(&folder.join(name)).expect("it can be read")
        };
        let (one, same, other) = (file("one", "text"), file("same", "text"), file("other", "texts"));
        std::fs::remove_dir_all(&folder).expect("it is ours");
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert!(one.starts_with("xxh3:") && one.len() == 37, "{one}");
    }
}

//! Command lines of tasks: which archive or program they need, and where they read and write.

use skein_protocol::{MissingWord, NativeCommand, native};

/// A command line, taken apart as far as the worker has to look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// The code archive that has to be there; none when the code is in the interpreter's environment.
    pub archive: Option<String>,
    /// The command that is run then.
    pub argv: Vec<String>,
}

/// What the SDK's entry point calls itself.
const FAST: &str = "pyflyte-fast-execute";
const SINGLE: &str = "pyflyte-execute";
const MAP: &str = "pyflyte-map-execute";

impl CommandLine {
    /// Takes `args` apart.
    pub(crate) fn parse(args: &[String]) -> Self {
        if args.first().is_none_or(|command| command != FAST) {
            return Self { archive: None, argv: args.to_vec() };
        }
        let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
        let (options, command) = args.split_at(end);
        let archive = options.iter().position(|arg| arg == "--additional-distribution");
        Self {
            archive: archive.and_then(|at| options.get(at + 1)).cloned(),
            argv: command.iter().skip(1).cloned().collect(),
        }
    }

    /// Says whether the SDK's entry point runs it, for one task or for an item of a map.
    pub(crate) fn is_sdk(&self) -> bool {
        self.argv.first().is_some_and(|command| command == SINGLE || command == MAP)
    }

    /// Says whether the SDK's entry point runs it for one task.
    pub(crate) fn is_single(&self) -> bool {
        self.argv.first().is_some_and(|command| command == SINGLE)
    }

    /// Says whether the SDK's entry point runs it for an item of a map.
    pub(crate) fn is_map(&self) -> bool {
        self.argv.first().is_some_and(|command| command == MAP)
    }

    /// Says where the archive is and where it was unpacked, as a dynamic task needs to know: what
    /// `pyflyte-fast-execute` does.
    pub(crate) fn tell_archive(&mut self, folder: &str) {
        let Some(archive) = self.archive.clone() else { return };
        let Some(at) = self.own().iter().position(|arg| arg == "--resolver") else { return };
        let told =
            ["--dynamic-addl-distro".to_owned(), archive, "--dynamic-dest-dir".to_owned(), folder.to_owned()];
        self.argv.splice(at..at, told);
    }

    /// Says whether a program of its own runs it.
    pub(crate) fn is_native(&self) -> bool {
        self.argv.first().is_some_and(|command| command == native::COMMAND)
    }

    /// Answers the program that runs it; none when that is the SDK's entry point or a command.
    pub(crate) fn native(&self) -> Option<Result<NativeCommand, MissingWord>> {
        NativeCommand::parse(&self.argv)
    }

    /// Puts `local` where the command line says `uri`.
    pub(crate) fn redirect(&mut self, uri: &str, local: &str) {
        // User code's own commands may have it inside a longer argument.
        let whole = self.is_sdk() || self.is_native();
        for arg in &mut self.argv {
            if arg == uri {
                local.clone_into(arg);
            } else if !whole && arg.contains(uri) {
                *arg = arg.replace(uri, local);
            }
        }
    }

    /// Answers what comes before the arguments of the task's loader.
    fn own(&self) -> &[String] {
        let end = self.argv.iter().position(|arg| arg == "--").unwrap_or(self.argv.len());
        &self.argv[..end]
    }

    /// Answers the command line without what differs between tries: the same for all work of one task that the same
    /// process can do.
    pub(crate) fn identity(&self) -> Vec<String> {
        const DIFFERS: [&str; 5] = [
            "--inputs",
            "--output-prefix",
            "--raw-output-data-prefix",
            "--checkpoint-path",
            "--prev-checkpoint",
        ];
        let own = self.own().len();
        let differs = |at: usize| at > 0 && at < own && DIFFERS.contains(&self.argv[at - 1].as_str());
        self.argv.iter().enumerate().filter(|(at, _)| !differs(*at)).map(|(_, arg)| arg.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<String> {
        text.split(' ').map(|arg| if arg == "''" { String::new() } else { arg.to_owned() }).collect()
    }

    #[test]
    fn a_fast_command_gives_its_archive_and_the_command_inside_with_empty_arguments_kept() {
        let line = CommandLine::parse(&args(
            "pyflyte-fast-execute --additional-distribution s3://b/x.tar.gz --dest-dir . -- pyflyte-map-execute --inputs i --resolver r -- vars '' resolver q",
        ));
        assert_eq!(line.archive.as_deref(), Some("s3://b/x.tar.gz"));
        assert_eq!(line.argv, args("pyflyte-map-execute --inputs i --resolver r -- vars '' resolver q"));
    }

    #[test]
    fn the_archive_is_told_before_the_resolver_and_not_inside_the_loaders_arguments() {
        let mut line = CommandLine::parse(&args(
            "pyflyte-fast-execute --additional-distribution u --dest-dir . -- pyflyte-execute --inputs i --resolver r -- --resolver x",
        ));
        line.tell_archive("/code");
        let told = "pyflyte-execute --inputs i --dynamic-addl-distro u --dynamic-dest-dir /code --resolver r -- --resolver x";
        assert_eq!(line.argv, args(told));
    }

    #[test]
    fn only_whole_arguments_of_the_sdk_are_redirected_but_also_parts_of_a_users_own() {
        let mut sdk =
            CommandLine::parse(&args("pyflyte-execute --output-prefix file:///p/0 --raw file:///p/0/raw"));
        sdk.redirect("file:///p/0", "/local");
        assert_eq!(sdk.argv, args("pyflyte-execute --output-prefix /local --raw file:///p/0/raw"));
        let mut own = CommandLine::parse(&args("cp out.csv file:///p/0/out.csv"));
        own.redirect("file:///p/0", "/local");
        assert_eq!(own.argv, args("cp out.csv /local/out.csv"));
    }
}

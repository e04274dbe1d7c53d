//! Which program a task needs, and what is said and charged when it is another one, or none.

use crate::native::{Types, int, program, task_of};
use crate::support::{House, integer, map};
use skein_model::{Charge, Work};
use skein_protocol::native;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn a_program_that_is_not_there_or_another_one_is_an_error_that_says_what_would_be_right() {
    let mut house = House::open().await;
    let folder = house.folder.path().to_path_buf();
    let (inputs, types) = (map([("x", integer(2))]), ([("x", int())], [("o0", int())]));
    let absent = folder.join("absent");
    let copy = folder.join("copy");
    let mut bytes = std::fs::read(program()).unwrap();
    bytes.push(0);
    std::fs::write(&copy, bytes).unwrap();
    let digest = native::digest(&program()).unwrap();
    for (path, code, words) in [
        (absent.as_path(), "ProgramNotFound", "cannot be read"),
        (copy.as_path(), "ProgramChanged", "but what is there has xxh3:"),
        (Path::new("trials"), "ProgramNotFound", "an absolute path is needed"),
    ] {
        let types: (Types<'_>, Types<'_>) = (&types.0, &types.1);
        let work = task_of(path, digest.clone(), &house, "trials.square", types, inputs.clone()).await;
        let failure = house.failure(work).await;
        assert_eq!((failure.code.as_str(), failure.charge), (code, Charge::User), "{}", failure.message);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert!(failure.message.contains("trials.square"), "{}", failure.message);
        assert!(failure.message.contains(&path.display().to_string()), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_file_that_speaks_no_protocol_or_another_version_is_told_as_it_is() {
    let mut house = House::open().await;
    let scripts = [
        ("text", "no program", "cannot be started"),
        (
            "mute",
            "#!/bin/sh\necho 'I know nothing' >&2\nexit 1\n",
            "ended and did not say which protocol it speaks: I know nothing",
        ),
        // {ready: {protocol: "0"}}
        (
            "old",
            "#!/bin/sh\nprintf '\\000\\000\\000\\023\\201\\245ready\\201\\250protocol\\2410' >&0\nsleep 5\n",
            "speaks version 0 of the worker protocol, and this worker version 1",
        ),
    ];
    for (name, text, words) in scripts {
        let work = script(&house, name, text, 0o755).await;
        let failure = house.failure(work).await;
        assert!(failure.message.contains(words), "{name}: {}", failure.message);
        let told = (failure.code.as_str(), failure.charge);
        assert_eq!(told, ("ProgramUnusable", Charge::User), "{name}");
    }
}

#[tokio::test]
async fn what_the_machine_does_to_a_program_is_not_charged_to_its_task() {
    let mut house = House::open().await;
    let work = script(&house, "killed", "#!/bin/sh\nkill -KILL $$\n", 0o755).await;
    let failure = house.failure(work).await;
    assert_eq!((failure.code.as_str(), failure.charge), ("StartFailed", Charge::System), "{failure:?}");
}

#[tokio::test]
async fn a_program_that_may_not_be_run_is_told_with_what_to_do() {
    let mut house = House::open().await;
    let work = script(&house, "plain", "#!/bin/sh\n", 0o644).await;
    let failure = house.failure(work).await;
    assert_eq!((failure.code.as_str(), failure.charge), ("ProgramUnusable", Charge::User));
    assert!(failure.message.contains("may not be run: chmod +x"), "{}", failure.message);
}

/// One try of a task of a program that is this script.
async fn script(house: &House, name: &str, text: &str, mode: u32) -> Work {
    let path = house.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let digest = native::digest(&path).unwrap();
    let types: (Types<'_>, Types<'_>) = (&[("x", int())], &[("o0", int())]);
    task_of(&path, digest, house, "t", types, map([("x", integer(1))])).await
}

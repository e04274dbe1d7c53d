//! Tasks of programs of their own: what they get and give, and how they fail.

use crate::support::{
    House, collection, eventually, integer, is_alive, list_of, map, map_of, primitive, range, simple, string,
};
use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::core::{
    Literal, LiteralMap, LiteralType, SimpleType, TaskTemplate, TypedInterface, UnionType, Variable,
    VariableMap, literal, literal_type, primitive as of,
};
use skein_log::TaskQueue;
use skein_model::command::Outcome;
use skein_model::event::ItemRange;
use skein_model::work::WorkKind;
use skein_model::{BlobRef, Charge, FailureCause, Isolation, Work};
use skein_protocol::{NativeCommand, native};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program whose tasks the tests use: an example of the crate `skein-task`.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(2).unwrap();
    let path = folder.join("examples/trials");
    assert!(
        path.is_file(),
        "{} is not there: cargo build --package skein-task --examples makes it",
        path.display()
    );
    path
}

pub(crate) type Types<'a> = &'a [(&'a str, LiteralType)];

async fn template(house: &House, inputs: Types<'_>, outputs: Types<'_>) -> BlobRef {
    let variables = |types: Types<'_>| {
        let variable =
            |r#type: &LiteralType| Variable { r#type: Some(r#type.clone()), ..Variable::default() };
        let variables = types.iter().map(|(name, declared)| ((*name).to_owned(), variable(declared)));
        Some(VariableMap { variables: variables.collect() })
    };
    let interface = TypedInterface { inputs: variables(inputs), outputs: variables(outputs) };
    let bytes =
        Bytes::from(TaskTemplate { interface: Some(interface), ..TaskTemplate::default() }.encode_to_vec());
    let uri = house.blobs.url(&format!("templates/{:x}", xxhash_rust::xxh3::xxh3_64(&bytes)));
    house.blobs.put(&uri, bytes).await.unwrap()
}

/// One try of a task of `program`.
pub(crate) async fn task_of(
    program: &Path,
    digest: String,
    house: &House,
    name: &str,
    types: (Types<'_>, Types<'_>),
    inputs: LiteralMap,
) -> Work {
    let mut work = house.task(name, 0, None).await;
    let command = NativeCommand { program: program.display().to_string(), digest, task: name.to_owned() };
    let rendered = |word: String| {
        word.replace("{{.input}}", &work.input_uri).replace("{{.outputPrefix}}", &work.output_prefix)
    };
    work.args = command.arguments().into_iter().map(rendered).collect();
    work.template = template(house, types.0, types.1).await;
    work.inputs = skein_model::DataRef::Inline(inputs.encode_to_vec().into());
    work.isolation = Some(Isolation::Reuse);
    work
}

async fn task(house: &House, name: &str, types: (Types<'_>, Types<'_>), inputs: LiteralMap) -> Work {
    let program = program();
    let digest = native::digest(&program).unwrap();
    task_of(&program, digest, house, name, types, inputs).await
}

pub(crate) fn int() -> LiteralType {
    simple(SimpleType::Integer)
}

pub(crate) async fn of_integer(house: &House, name: &str, x: i64, output: LiteralType) -> Work {
    task(house, name, (&[("x", int())], &[("o0", output)]), map([("x", integer(x))])).await
}

/// Items of a map over a task that takes the integer `x`.
pub(crate) async fn items_of(house: &House, name: &str, items: ItemRange) -> Work {
    let values = (items.start..items.end).map(|x| integer(x.into())).collect();
    let types: (Types<'_>, Types<'_>) = (&[("x", int())], &[("o0", int())]);
    let mut work = task(house, name, types, map([("x", collection(values))])).await;
    work.kind = WorkKind::Items { bound: Vec::new(), of: items.end, within: None };
    work.id.items = Some(items);
    work
}

async fn ends(house: &House, how: &str) -> Work {
    let types: (Types<'_>, Types<'_>) = (&[("how", simple(SimpleType::String))], &[("o0", int())]);
    task(house, "trials.end", types, map([("how", string(how))])).await
}

async fn succeeded(house: &mut House, work: Work) -> LiteralMap {
    match house.outcome(work).await {
        Outcome::Succeeded { outputs, deck: None } => house.load(&outputs).await,
        other => panic!("{other:?}"),
    }
}

fn numbers(literal: &Literal) -> Vec<i64> {
    let Some(literal::Value::Collection(list)) = &literal.value else { panic!("{literal:?}") };
    list.literals.iter().map(number).collect()
}

fn number(literal: &Literal) -> i64 {
    let Some(literal::Value::Scalar(scalar)) = &literal.value else { panic!("{literal:?}") };
    match &scalar.value {
        Some(skein_idl::flyteidl::core::scalar::Value::Primitive(primitive)) => match primitive.value {
            Some(of::Value::Integer(value)) => value,
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_task_gets_and_gives_each_type_by_its_name() {
    let mut house = House::open().await;
    let time = primitive(of::Value::Datetime(prost_types::Timestamp { seconds: -2, nanos: 500_000_000 }));
    let span = primitive(of::Value::Duration(prost_types::Duration { seconds: -1, nanos: -500_000_000 }));
    let inputs = map([
        ("flag", primitive(of::Value::Boolean(true))),
        ("number", primitive(of::Value::FloatValue(-1.5))),
        ("text", string("geese \u{1fabf}")),
        ("time", time),
        ("span", span),
        ("list", collection(vec![integer(1), integer(-2)])),
    ]);
    let types = [
        ("flag", simple(SimpleType::Boolean)),
        ("number", simple(SimpleType::Float)),
        ("text", simple(SimpleType::String)),
        ("time", simple(SimpleType::Datetime)),
        ("span", simple(SimpleType::Duration)),
        ("list", list_of(int())),
    ];
    let work = task(&house, "trials.everything", (&types, &types), inputs.clone()).await;
    assert_eq!(succeeded(&mut house, work).await, inputs);
}

#[tokio::test]
async fn what_is_optional_may_be_left_out_and_a_wrong_value_is_named() {
    let mut house = House::open().await;
    let variants = vec![int(), simple(SimpleType::None)];
    let union = LiteralType {
        r#type: Some(literal_type::Type::UnionType(UnionType { variants })),
        ..LiteralType::default()
    };
    let types = [
        ("table", map_of(list_of(simple(SimpleType::Float)))),
        ("perhaps", union),
        ("wait", simple(SimpleType::Duration)),
    ];
    let wait = |seconds| primitive(of::Value::Duration(prost_types::Duration { seconds, nanos: 0 }));
    let table = || Literal { value: Some(literal::Value::Map(LiteralMap::default())), ..Literal::default() };
    let given = map([("table", table()), ("wait", wait(3))]);
    let work = task(&house, "trials.nested", (&types, &types), given).await;
    let outputs = succeeded(&mut house, work).await.literals;
    assert_eq!((&outputs["wait"], outputs.len()), (&wait(3), 3));

    let given = map([("table", table()), ("wait", wait(-3))]);
    let work = task(&house, "trials.nested", (&types, &types), given).await;
    let failure = house.failure(work).await;
    assert_eq!(failure.code, "USER:WrongInput");
    assert_eq!(failure.message, "input wait is a timedelta of -3 s, and has to be timedelta, not negative");
}

#[tokio::test]
async fn one_process_runs_attempt_after_attempt_and_a_fresh_one_runs_one() {
    let mut house = House::open().await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let work = of_integer(&house, "trials.count", 1, list_of(int())).await;
        told.push(numbers(&succeeded(&mut house, work).await.literals["o0"]));
    }
    assert!(told.iter().all(|each| each[0] == told[0][0]), "one process: {told:?}");
    assert_eq!(told.iter().map(|each| each[1]).collect::<Vec<_>>(), [1, 2, 3]);
    for isolation in [Some(Isolation::Fresh), Some(Isolation::Fork), None] {
        let mut work = of_integer(&house, "trials.count", 1, list_of(int())).await;
        work.isolation = isolation;
        let alone = numbers(&succeeded(&mut house, work).await.literals["o0"]);
        assert_eq!(alone[1], 1, "{isolation:?}");
        assert!(told.iter().all(|each| each[0] != alone[0]), "{isolation:?}");
    }
}

#[tokio::test]
async fn each_way_of_failing_is_charged_as_it_is_in_python_and_the_next_attempt_is_none_the_worse() {
    let mut house = House::open().await;
    let raised = |recoverable| FailureCause::TaskRaised { recoverable };
    let cases = [
        ("error", "USER:NoWool", raised(false), "no wool"),
        ("recoverable", "USER:Recoverable", raised(true), "no wool yet"),
        ("parse", "USER:Error", raised(false), "invalid digit found in string"),
        ("panic", "USER:Panic", raised(false), ": out of wool"),
        ("abort", "Error", FailureCause::Signal(6), "exit code (134)"),
        ("exit", "Error", FailureCause::ExitCode(3), "ends: exit"),
    ];
    for (how, code, cause, words) in cases {
        let work = ends(&house, how).await;
        let failure = house.failure(work).await;
        assert_eq!(
            (failure.code.as_str(), failure.cause, failure.charge),
            (code, cause, Charge::User),
            "{how}"
        );
        assert!(failure.message.contains(words), "{how}: {}", failure.message);
        let work = of_integer(&house, "trials.square", 7, int()).await;
        assert_eq!(succeeded(&mut house, work).await, map([("o0", integer(49))]), "after {how}");
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_ended() {
    let mut house = House::open().await;
    let mut work = ends(&house, "sleep").await;
    work.timeout = Some(Duration::from_millis(300));
    assert_eq!(house.failure(work).await.cause, FailureCause::TimedOut);
}

#[tokio::test]
async fn what_a_task_started_ends_with_its_process_wherever_it_went() {
    let mut house = House::open().await;
    let mut work = of_integer(&house, "trials.leaves", 1, int()).await;
    work.isolation = Some(Isolation::Fresh);
    let left = number(&succeeded(&mut house, work).await.literals["o0"]);
    let left = u32::try_from(left).unwrap();
    eventually("what the task started to end", || !is_alive(left)).await;
}

#[tokio::test]
async fn what_a_task_prints_is_its_log_and_it_is_told_where_it_runs() {
    let mut house = House::open().await;
    let work = ends(&house, "printed").await;
    let prefix = work.output_prefix.clone();
    assert_eq!(succeeded(&mut house, work).await, map([("o0", integer(7))]));
    assert_eq!(house.log(&prefix).await, "ends: printed\n");

    let work = of_integer(&house, "trials.witness", 5, simple(SimpleType::String)).await;
    assert_eq!(succeeded(&mut house, work).await, map([("o0", string("x"))]));
    assert!(std::fs::read_to_string(house.witness()).unwrap().starts_with("5 "));
}

async fn picky(house: &House, items: ItemRange) -> Work {
    let types: (Types<'_>, Types<'_>) =
        (&[("of", int()), ("x", int())], &[("o0", simple(SimpleType::String))]);
    let values = (items.start..items.end).map(|x| integer(x.into())).collect();
    let inputs = map([("of", integer(5)), ("x", collection(values))]);
    let mut work = task(house, "trials.picky", types, inputs).await;
    work.kind = WorkKind::Items { bound: vec!["of".to_owned()], of: items.end, within: None };
    work.id.items = Some(items);
    work
}

#[tokio::test]
async fn a_map_over_a_task_runs_item_by_item_and_each_that_fails_is_named() {
    let mut house = House::open().await;
    let work = picky(&house, range(1, 11)).await;
    let chunk = house.chunk(work).await;
    let failed: Vec<_> =
        chunk.failures.iter().map(|item| (item.index, item.failure.message.as_str())).collect();
    assert_eq!(failed, [(5, "5 is not wanted"), (10, "10 is not wanted")]);
    let texts = house.elements(&chunk).await;
    assert_eq!(texts.len(), 8);
    assert_eq!(texts[0], string("1 at Some(1)"));
    assert_eq!(texts[7], string("9 at Some(9)"));
}

#[tokio::test]
async fn an_item_that_ends_its_process_is_charged_alone_and_the_others_are_given_back() {
    let mut house = House::open().await;
    let work = picky(&house, range(11, 16)).await;
    let chunk = house.chunk(work).await;
    let charged: Vec<_> = chunk.failures.iter().map(|item| (item.index, &item.failure.cause)).collect();
    assert_eq!(charged, [(13, &FailureCause::Signal(6))]);
    assert_eq!(chunk.returned, [range(14, 16)], "what had not begun");
    assert_eq!(house.elements(&chunk).await, [string("11 at Some(11)"), string("12 at Some(12)")]);
}

#[tokio::test]
async fn a_chunk_whose_time_is_over_ends_after_the_item_that_runs_and_gives_the_others_back() {
    let mut house = House::open().await;
    let items = range(3, 9);
    let mut work = items_of(&house, "trials.square", items).await;
    work.kind = WorkKind::Items { bound: Vec::new(), of: items.end, within: Some(Duration::ZERO) };
    let chunk = house.chunk(work).await;
    assert_eq!((chunk.failures, chunk.returned), (Vec::new(), vec![range(4, 9)]));
    let work = items_of(&house, "trials.square", range(4, 9)).await;
    let chunk = house.chunk(work).await;
    assert_eq!(house.elements(&chunk).await, [16, 25, 36, 49, 64].map(integer));
}

#[tokio::test]
async fn items_that_were_announced_run_in_the_process_that_was_made_for_them() {
    let mut house = House::open().await;
    let work = witnesses(&house, range(0, 2)).await;
    house.queue.announce(work).await.unwrap();
    eventually("a process has the task", || !processes_in(house.folder.path()).is_empty()).await;
    let made = processes_in(house.folder.path());
    let work = witnesses(&house, range(0, 2)).await;
    let chunk = house.chunk(work).await;
    assert_eq!(house.elements(&chunk).await, [string("x"), string("x")]);
    let witness = std::fs::read_to_string(house.witness()).unwrap();
    let ran = witness.lines().map(|line| line.split_once(' ').unwrap().1);
    assert_eq!(ran.collect::<Vec<_>>(), [&made[0], &made[0]]);
}

/// Items that tell which process ran them.
async fn witnesses(house: &House, items: ItemRange) -> Work {
    let mut work = items_of(house, "trials.witness", items).await;
    work.template = template(house, &[("x", int())], &[("o0", simple(SimpleType::String))]).await;
    work
}

/// The processes that are in a working folder below `folder`: those that have a task.
fn processes_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_in = |process: &PathBuf| {
        let is_child =
            std::fs::read_to_string(process.join("cmdline")).is_ok_and(|line| line.contains("serve-child"));
        is_child
            && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| {
                cwd.starts_with(folder)
                    && cwd.strip_prefix(folder).is_ok_and(|inside| inside != Path::new("scratch"))
            })
    };
    let found = entries.map(|entry| entry.path()).filter(is_in);
    found.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

#[tokio::test]
async fn a_map_whose_values_are_not_plain_goes_by_literals() {
    let mut house = House::open().await;
    let union = |inner| LiteralType {
        r#type: Some(literal_type::Type::UnionType(UnionType {
            variants: vec![inner, simple(SimpleType::None)],
        })),
        ..LiteralType::default()
    };
    let types: (Types<'_>, Types<'_>) = (
        &[
            ("perhaps", union(int())),
            ("table", map_of(list_of(simple(SimpleType::Float)))),
            ("wait", simple(SimpleType::Duration)),
        ],
        &[
            ("perhaps", union(int())),
            ("table", map_of(list_of(simple(SimpleType::Float)))),
            ("wait", simple(SimpleType::Duration)),
        ],
    );
    let table = Literal { value: Some(literal::Value::Map(LiteralMap::default())), ..Literal::default() };
    let wait = |seconds| primitive(of::Value::Duration(prost_types::Duration { seconds, nanos: 0 }));
    let waits = vec![wait(1), wait(-1), wait(3)];
    let inputs =
        map([("perhaps", collection(vec![integer(1); 3])), ("table", table), ("wait", collection(waits))]);
    let mut work = task(&house, "trials.nested", types, inputs).await;
    work.kind = WorkKind::Items { bound: vec!["table".to_owned()], of: 3, within: None };
    work.id.items = Some(range(0, 3));
    let chunk = house.chunk(work).await;
    assert_eq!(chunk.failures.iter().map(|item| item.index).collect::<Vec<_>>(), [1]);
    let outputs = house.load(&chunk.outputs).await.literals;
    assert_eq!(outputs["wait"], collection(vec![wait(1), wait(3)]));
}

#[tokio::test]
async fn a_task_that_the_program_does_not_have_fails_by_name() {
    let mut house = House::open().await;
    let work = of_integer(&house, "trials.unknown", 1, int()).await;
    let failure = house.failure(work).await;
    assert_eq!(failure.code, "USER:TaskNotFound");
    assert!(failure.message.contains("has no task trials.unknown"), "{}", failure.message);
}

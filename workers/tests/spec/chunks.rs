//! Ranges of a map's items, through the direct call and through the SDK's dispatch.

use crate::support::{
    House, collection, eventually, integer, integers, is_alive, primitive as value, range, simple, string,
};
use skein_idl::flyteidl::core::{Literal, LiteralType, SimpleType, literal, primitive, scalar};
use skein_log::{Stop, TaskQueue};
use skein_model::event::FinishedChunk;
use skein_model::{Charge, FailureCause, Work};
use skein_workers::FastPath;
use std::time::Duration;

pub(crate) fn int() -> LiteralType {
    simple(SimpleType::Integer)
}

pub(crate) async fn ints(
    house: &House,
    name: &str,
    start: u32,
    end: u32,
    output: Option<LiteralType>,
) -> Work {
    house.items(name, range(start, end), integers(range(start, end)), Vec::new(), output).await
}

/// Takes the path of the user's module out of a message: it differs from house to house.
pub(crate) fn without_folder(message: &str) -> String {
    let module =
        |line: &str| ["/maps.py", "/single.py", "/corpus.py"].into_iter().find_map(|name| line.find(name));
    let lines = message.lines().map(|line| match module(line) {
        Some(at) => format!("      File \"{}", &line[at + 1..]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs the same work on a worker that calls directly and on one that does not.
pub(crate) async fn both(make: impl AsyncFn(&House) -> Work) -> [(House, FinishedChunk); 2] {
    let mut answers = Vec::new();
    for path in [FastPath::On, FastPath::Off] {
        let mut house = House::with(|config| config.fast_path = path).await;
        let work = make(&house).await;
        let chunk = house.chunk(work).await;
        answers.push((house, chunk));
    }
    answers.try_into().map_err(|_| "two").unwrap()
}

#[tokio::test]
async fn items_are_answered_in_order() {
    for (house, chunk) in
        both(async |house| ints(house, "is_even", 10, 20, Some(simple(SimpleType::Boolean))).await).await
    {
        let even = |x| value(primitive::Value::Boolean(x % 2 == 0));
        assert_eq!(house.elements(&chunk).await, (10..20).map(even).collect::<Vec<_>>());
        assert_eq!((chunk.failures, chunk.returned), (Vec::new(), Vec::new()));
        assert_eq!(chunk.range, range(10, 20));
    }
}

#[tokio::test]
async fn what_is_bound_is_whole_and_new_for_each_item() {
    let make = async |house: &House| {
        let names = collection(vec![string("a"), string("b")]);
        let bound = vec![
            ("by", simple(SimpleType::Float), value(primitive::Value::FloatValue(0.5))),
            ("names", crate::support::list_of(simple(SimpleType::String)), names),
        ];
        house
            .items("scaled", range(0, 3), integers(range(0, 3)), bound, Some(simple(SimpleType::String)))
            .await
    };
    for (house, chunk) in both(make).await {
        let expected = ["0.0 ['a', 'b', '0']", "0.5 ['a', 'b', '1']", "1.0 ['a', 'b', '2']"].map(string);
        assert_eq!(house.elements(&chunk).await, expected, "{:?}", chunk.failures);
    }
}

#[tokio::test]
async fn an_item_that_raises_fails_alone_in_the_words_of_the_sdk() {
    let answers = both(async |house| ints(house, "odd_raises", 0, 6, Some(int())).await).await;
    let mut messages = Vec::new();
    for (house, chunk) in &answers {
        assert_eq!(house.elements(chunk).await, [0, 2, 4].map(integer));
        assert_eq!(chunk.failures.iter().map(|failed| failed.index).collect::<Vec<_>>(), [1, 3, 5]);
        for failed in &chunk.failures {
            assert_eq!(failed.failure.code, "USER:RuntimeError");
            assert_eq!(failed.failure.cause, FailureCause::TaskRaised { recoverable: false });
        }
        messages.push(without_folder(&chunk.failures[1].failure.message));
    }
    assert!(messages[0].ends_with("Message:\n\n    ValueError: odd 3"), "{}", messages[0]);
    assert_eq!(messages[0], messages[1]);
}

#[tokio::test]
async fn a_result_that_is_not_plain_is_what_the_sdk_makes_of_it() {
    let answers = both(async |house| ints(house, "as_int", 0, 6, Some(int())).await).await;
    let mut fates = Vec::new();
    for (house, chunk) in &answers {
        assert_eq!(house.elements(chunk).await, [1, i64::MIN].map(integer));
        let failures = chunk.failures.iter().map(|f| {
            let failure = &f.failure;
            // The trace goes through threads of the SDK, and is not the same from run to run.
            let message = failure.message.split_once("\nMessage:").unwrap().1.to_owned();
            (f.index, failure.code.clone(), failure.cause.clone(), message)
        });
        fates.push(failures.collect::<Vec<_>>());
    }
    assert_eq!(fates[0].iter().map(|fate| fate.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(fates[0], fates[1]);
}

#[tokio::test]
async fn an_integer_that_no_literal_can_hold_ends_the_process_as_it_does_without_us() {
    for (house, chunk) in both(async |house| ints(house, "as_int", 5, 8, Some(int())).await).await {
        assert_eq!(house.elements(&chunk).await, [integer(i64::MIN)]);
        assert_eq!(
            (chunk.failures[0].index, &chunk.failures[0].failure.cause),
            (6, &FailureCause::ExitCode(1))
        );
        assert_eq!(chunk.returned, [range(7, 8)]);
    }
}

#[tokio::test]
async fn an_item_that_kills_the_process_is_charged_and_the_rest_goes_back() {
    for (house, chunk) in both(async |house| ints(house, "seven_dies", 5, 12, Some(int())).await).await {
        let [failed] = &chunk.failures[..] else { panic!("{:?}", chunk.failures) };
        assert_eq!((failed.index, &failed.failure.cause), (7, &FailureCause::Signal(9)));
        let back: Vec<u32> = chunk.returned.iter().flat_map(|range| range.start..range.end).collect();
        let kept = house.elements(&chunk).await.len();
        assert_eq!(back.len() + kept + 1, 7, "{chunk:?}");
        assert!(back.ends_with(&[8, 9, 10, 11]), "{chunk:?}");
    }
}

#[tokio::test]
async fn an_item_that_exits_is_charged_with_its_exit_code_and_the_next_chunk_runs() {
    let mut house = House::open().await;
    let work = ints(&house, "seven_exits", 7, 9, Some(int())).await;
    let chunk = house.chunk(work).await;
    assert_eq!(chunk.failures[0].index, 7);
    assert_eq!(
        (&chunk.failures[0].failure.cause, chunk.failures[0].failure.charge),
        (&FailureCause::ExitCode(3), Charge::User)
    );
    assert_eq!(chunk.returned, [range(8, 9)]);
    let work = ints(&house, "seven_exits", 8, 9, Some(int())).await;
    let chunk = house.chunk(work).await;
    assert_eq!(house.elements(&chunk).await, [integer(8)]);
}

#[tokio::test]
async fn an_item_that_runs_too_long_is_charged_and_what_was_delivered_is_kept() {
    let mut house = House::with(|config| config.kill_grace = Duration::ZERO).await;
    let mut work = ints(&house, "seven_sleeps", 4, 10, Some(int())).await;
    work.timeout = Some(Duration::from_secs(1));
    let chunk = house.chunk(work).await;
    let [failed] = &chunk.failures[..] else { panic!("{:?}", chunk.failures) };
    assert_eq!((failed.index, failed.failure.code.as_str()), (7, "TimeoutExpired"));
    assert_eq!(house.elements(&chunk).await, [4, 5, 6].map(integer));
    assert_eq!(chunk.returned, [range(8, 10)]);
}

#[tokio::test]
async fn an_item_knows_its_place_in_the_whole_map_and_its_execution() {
    for (house, chunk) in
        both(async |house| ints(house, "index_of", 40, 42, Some(simple(SimpleType::String))).await).await
    {
        assert_eq!(house.elements(&chunk).await, ["40", "41"].map(string), "{:?}", chunk.failures);
    }
    for (house, chunk) in
        both(async |house| ints(house, "name_of", 0, 1, Some(simple(SimpleType::String))).await).await
    {
        assert_eq!(house.elements(&chunk).await, ["x"].map(string), "{:?}", chunk.failures);
    }
}

#[tokio::test]
async fn chunks_of_one_task_share_a_process_and_those_of_another_do_not() {
    let mut house = House::with(|config| config.slots = 1.try_into().unwrap()).await;
    let mut processes = Vec::new();
    for (start, env) in [(0, "a"), (10, "a"), (20, "b")] {
        let mut work = ints(&house, "process_of", start, start + 2, Some(int())).await;
        work.env.push(("OTHER".to_owned(), env.to_owned()));
        let chunk = house.chunk(work).await;
        let found = house.elements(&chunk).await;
        assert_eq!(found[0], found[1]);
        processes.push(found[0].clone());
    }
    assert_eq!(processes[0], processes[1]);
    assert_ne!(processes[1], processes[2]);
}

#[tokio::test]
async fn items_without_outputs_succeed_with_none() {
    for (house, chunk) in both(async |house| ints(house, "returns_nothing", 0, 3, None).await).await {
        assert!(chunk.failures.is_empty() && chunk.returned.is_empty(), "{chunk:?}");
        assert!(house.load(&chunk.outputs).await.literals.is_empty());
    }
}

#[tokio::test]
async fn errors_that_fill_a_report_end_the_chunk_and_the_rest_goes_back() {
    let mut house = House::with(|config| config.chunk_error_bytes_max = 4096).await;
    let work = ints(&house, "odd_raises", 0, 1000, Some(int())).await;
    let chunk = house.chunk(work).await;
    assert!((2..20).contains(&chunk.failures.len()), "{}", chunk.failures.len());
    assert_eq!(chunk.returned.len(), 1);
    assert_eq!(chunk.returned[0].end, 1000);
}

#[tokio::test]
async fn a_chunk_that_is_withdrawn_is_killed_and_the_slot_goes_on() {
    let mut house = House::with(|config| {
        config.slots = 1.try_into().unwrap();
        config.kill_grace = Duration::ZERO;
    })
    .await;
    let work = house.task("sleeps", 600, None).await;
    let id = work.id.clone();
    house.offer(work).await;
    let witness = house.witness();
    eventually("user code runs", || std::fs::read_to_string(&witness).is_ok_and(|text| !text.is_empty()))
        .await;
    let pid = std::fs::read_to_string(&witness).unwrap().parse().unwrap();
    house.queue.withdraw(Stop::Work(id)).await.unwrap();
    eventually("it is gone", || !is_alive(pid)).await;
    let work = ints(&house, "is_even", 0, 1, Some(simple(SimpleType::Boolean))).await;
    assert_eq!(house.chunk(work).await.failures, []);
}

/// Values of every plain type, ordinary ones and those at the edge.
fn corpus() -> Vec<(&'static str, LiteralType, Vec<Literal>)> {
    use primitive::Value::{Boolean, Datetime, Duration, FloatValue, Integer, StringValue};
    let floats =
        [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, 1e308];
    let texts = ["", "a", "ünï – 日本 \u{1F600}", "\0\n\t", "'\"\\"];
    let times = [
        (0, 0),
        (-1, 999_999_000),
        (1_700_000_000, 123_456_000),
        (253_402_300_799, 999_999_000),
        (-62_135_596_800, 0),
        (5, 1),
    ];
    let spans =
        [(0, 0), (-1, -500_000_000), (86_400 * 365, 1_000), (0, -1_000), (315_576_000_000 - 1, 0), (7, 1)];
    let many = |literals: Vec<Literal>| collection(literals);
    let dict = |entries: &[(&str, Literal)]| Literal {
        value: Some(literal::Value::Map(crate::support::map(entries.iter().cloned()))),
        ..Literal::default()
    };
    vec![
        ("same_int", int(), [0, 1, -1, 255, 65_536, i64::MAX, i64::MIN].map(|x| value(Integer(x))).into()),
        (
            "same_float",
            simple(SimpleType::Float),
            floats.map(|x| value(FloatValue(x))).into_iter().chain([integer(3)]).collect(),
        ),
        ("same_bool", simple(SimpleType::Boolean), [true, false].map(|x| value(Boolean(x))).into()),
        ("same_str", simple(SimpleType::String), texts.map(|x| value(StringValue(x.to_owned()))).into()),
        (
            "same_datetime",
            simple(SimpleType::Datetime),
            times.map(|(seconds, nanos)| value(Datetime(prost_types::Timestamp { seconds, nanos }))).into(),
        ),
        (
            "same_timedelta",
            simple(SimpleType::Duration),
            spans.map(|(seconds, nanos)| value(Duration(prost_types::Duration { seconds, nanos }))).into(),
        ),
        (
            "same_list",
            crate::support::list_of(crate::support::list_of(int())),
            vec![many(vec![]), many(vec![many(vec![]), many(vec![integer(1), integer(-2)])])],
        ),
        (
            "same_dict",
            crate::support::map_of(crate::support::list_of(simple(SimpleType::Float))),
            vec![
                dict(&[]),
                dict(&[("a", many(vec![])), ("é", many(vec![value(FloatValue(0.1))])), ("", many(vec![]))]),
            ],
        ),
    ]
}

#[tokio::test]
async fn the_direct_call_and_the_dispatch_of_the_sdk_give_the_same_bytes() {
    use prost::Message;
    let mut direct = House::open().await;
    let mut dispatch = House::with(|config| config.fast_path = FastPath::Off).await;
    for (name, declared, values) in corpus() {
        // One value a chunk: a value that only the SDK can take must not decide for the others.
        for (at, value) in values.into_iter().enumerate() {
            let at = u32::try_from(at).unwrap();
            let mut answers = Vec::new();
            for house in [&mut direct, &mut dispatch] {
                let values = (declared.clone(), vec![value.clone()]);
                let work =
                    house.items(name, range(at, at + 1), values, Vec::new(), Some(declared.clone())).await;
                let chunk = house.chunk(work).await;
                let failed: Vec<_> =
                    chunk.failures.iter().map(|failed| failed.failure.code.clone()).collect();
                answers.push((house.load(&chunk.outputs).await.encode_to_vec(), failed));
            }
            assert_eq!(answers[0], answers[1], "{name} {value:?}");
            assert!(!answers[0].0.is_empty() || !answers[0].1.is_empty(), "{name} {value:?}");
        }
    }
}

#[tokio::test]
async fn an_optional_value_goes_through_the_dispatch_of_the_sdk() {
    use skein_idl::flyteidl::core::{Scalar, TypeStructure, Union, UnionType, Void, literal_type};
    let mut house = House::open().await;
    let tag = TypeStructure { tag: "none".to_owned(), ..TypeStructure::default() };
    let none = LiteralType { structure: Some(tag), ..simple(SimpleType::None) };
    let declared = LiteralType {
        r#type: Some(literal_type::Type::UnionType(UnionType { variants: vec![int(), none.clone()] })),
        ..LiteralType::default()
    };
    let void = Scalar { value: Some(scalar::Value::NoneType(Void {})) };
    let inner = Literal { value: Some(literal::Value::Scalar(Box::new(void))), ..Literal::default() };
    let union = Union { value: Some(Box::new(inner)), r#type: Some(none) };
    let literal = Literal {
        value: Some(literal::Value::Scalar(Box::new(Scalar {
            value: Some(scalar::Value::Union(Box::new(union))),
        }))),
        ..Literal::default()
    };
    let work = house
        .items("optional", range(0, 1), (declared.clone(), vec![literal]), Vec::new(), Some(declared))
        .await;
    let chunk = house.chunk(work).await;
    assert_eq!(chunk.failures, []);
    assert_eq!(house.elements(&chunk).await.len(), 1);
}

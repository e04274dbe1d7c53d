//! Maps: items a second, and what they cost.

use super::{Bench, Effort};
use crate::client::{Client, Id, What, now, request, seconds};
use crate::encode;
use crate::figures::{Bound, Figure};
use crate::server::Server;
use bytes::Bytes;
use skein_model::literals;

const RATE: &str = "items/s";
/// What runs before memory is looked at, so that what every map needs once is there.
const WARM_UP: u32 = 1_000;

/// One map that ran.
pub(super) struct Ran {
    pub(super) id: Id,
    /// From the start of the map's node to its end, in seconds.
    node: f64,
    /// From before CreateExecution to the execution's end.
    whole: f64,
}

/// Runs a map and takes its times.
pub(super) async fn run(client: &Client, workflow: &str, inputs: &[(&str, Bytes)]) -> anyhow::Result<Ran> {
    let request = request(What::Workflow(workflow), inputs);
    let began = now();
    let id = client.create(request).await?;
    let closure = client.wait(&id).await?;
    let ended = seconds(closure.updated_at.as_ref());
    let mut node = f64::NAN;
    for found in client.nodes(&id).await? {
        if found.metadata.is_some_and(|metadata| metadata.is_array) {
            let closure = found.closure.unwrap_or_default();
            node = seconds(closure.updated_at.as_ref()) - seconds(closure.started_at.as_ref());
        }
    }
    Ok(Ran { id, node, whole: ended - began })
}

/// One kind of map.
pub(super) struct Kind<'a> {
    pub(super) what: &'a str,
    pub(super) workflow: &'a str,
    pub(super) inputs: Vec<(&'a str, Bytes)>,
    pub(super) count: u32,
    pub(super) node: Bound,
    pub(super) whole: Bound,
}

/// Runs a map once to warm up, and several times for the figures: of its node, and of the whole execution.
pub(super) async fn measure(bench: &Bench, client: &Client, kind: Kind<'_>) -> anyhow::Result<Vec<Figure>> {
    let runs = if kind.count > 500_000 { 3 } else { bench.effort.runs() };
    let (mut node, mut whole) = (Vec::new(), Vec::new());
    run(client, kind.workflow, &kind.inputs).await?;
    for _ in 0..runs {
        let ran = run(client, kind.workflow, &kind.inputs).await?;
        anyhow::ensure!(client.output_bytes(&ran.id).await? > 0, "a map without outputs");
        node.push(f64::from(kind.count) / ran.node);
        whole.push(f64::from(kind.count) / ran.whole);
    }
    let created = format!("{}, CreateExecution to SUCCEEDED", kind.what);
    Ok(vec![Figure::new(kind.what, RATE, node, kind.node), Figure::new(created, RATE, whole, kind.whole)])
}

/// Maps of plain values.
pub(super) async fn plain(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let client = bench.client().await?;
    let mut figures = Vec::new();
    let counts: &[(u32, &str)] = match bench.effort {
        Effort::Short => &[(100_000, "map of 100 000, int to bool")],
        Effort::Full => &[
            (10_000, "map of 10 000, int to bool"),
            (100_000, "map of 100 000, int to bool"),
            (1_000_000, "map of 1 000 000, int to bool"),
        ],
    };
    for &(count, what) in counts {
        let inputs = vec![("xs", encode::integers(count))];
        let (node, whole) = match count {
            0..100_000 => (Bound::None, Bound::None),
            _ => (Bound::AtLeast(100_000.0), Bound::AtLeast(60_000.0)),
        };
        let kind = Kind { what, workflow: "maps.ints", inputs, count, node, whole };
        figures.extend(measure(bench, &client, kind).await?);
    }
    for kind in others() {
        figures.extend(measure(bench, &client, kind).await?);
    }
    Ok(figures)
}

fn others() -> [Kind<'static>; 4] {
    let count = 100_000;
    let text = literals::encode_string(&"x".repeat(100));
    let numbers = (0..100).map(|value| literals::encode_float(f64::from(value)));
    let vector = encode::list(numbers);
    let kind = |what, workflow, inputs, count, least| Kind {
        what,
        workflow,
        inputs,
        count,
        node: Bound::AtLeast(least),
        whole: Bound::None,
    };
    let factor = literals::encode_integer(3);
    [
        kind(
            "map of two arguments, one bound",
            "maps.partials",
            vec![("xs", encode::integers(count)), ("factor", factor)],
            count,
            60_000.0,
        ),
        kind(
            "map of 100 bytes, str to str",
            "maps.texts",
            vec![("xs", encode::list((0..count).map(|_| text.clone())))],
            count,
            60_000.0,
        ),
        // The first run, which is not counted, fills the cache.
        kind(
            "map of 100 000, int to bool, all of it in the cache",
            "maps.cached",
            vec![("xs", encode::integers(count))],
            count,
            200_000.0,
        ),
        // A hundred floats take 1.5 kB, and a request has at most 32 MiB.
        kind(
            "map of list[float] of 100 to float",
            "maps.vectors",
            vec![("xs", encode::list((0..20_000).map(|_| vector.clone())))],
            20_000,
            20_000.0,
        ),
    ]
}

/// What the largest map costs a server that has run little before.
pub(super) async fn memory(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let count: u32 = if bench.effort == Effort::Full { 1_000_000 } else { 100_000 };
    let server = Server::new(&bench.how).await?;
    let client = Client::connect(&server.url).await?;
    run(&client, "maps.ints", &[("xs", encode::integers(WARM_UP))]).await?;
    server.forget_peak()?;
    let (before, _) = server.memory()?;
    let ran = run(&client, "maps.ints", &[("xs", encode::integers(count))]).await?;
    let (_, peak) = server.memory()?;
    let bytes = server.journal_bytes(&ran.id.name).await?;
    server.stop().await?;
    Ok(vec![
        Figure::new(
            format!("memory over idle, map of {count}"),
            "MiB",
            vec![peak - before],
            Bound::AtMost(64.0),
        ),
        Figure::new("log bytes an item", "B", vec![bytes as f64 / f64::from(count)], Bound::AtMost(4.0)),
    ])
}

/// A map that is larger than what may be held, over a list that is uploaded as it is made.
pub(super) async fn large(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let count: u32 = if bench.effort == Effort::Full { 10_000_000 } else { 2_000_000 };
    let server = Server::new(&bench.how).await?;
    let client = Client::connect(&server.url).await?;
    run(&client, "maps.ints", &[("xs", encode::integers(WARM_UP))]).await?;
    server.forget_peak()?;
    let list = encode::StoredIntegers::new(count);
    let uri = client.upload("xs.pb", list.length(), list.pieces()).await?;
    let ran = run(&client, "maps.ints", &[("xs", list.at(uri))]).await?;
    let (_, peak) = server.memory()?;
    anyhow::ensure!(client.output_bytes(&ran.id).await? > 0, "a map without outputs");
    server.stop().await?;
    let what = format!("map of {count}, streamed");
    Ok(vec![
        Figure::new(&what, RATE, vec![f64::from(count) / ran.node], Bound::None),
        Figure::new(
            format!("{what}, CreateExecution to SUCCEEDED"),
            RATE,
            vec![f64::from(count) / ran.whole],
            Bound::None,
        ),
        Figure::new(format!("{what}: memory in all"), "MiB", vec![peak], Bound::AtMost(128.0)),
    ])
}

/// Maps that need the SDK's own dispatch.
pub(super) async fn dispatched(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let client = bench.client().await?;
    let readings = |count: u32| encode::list((0..count).map(reading));
    let kinds = [
        ("map of a dataclass, reuse", "maps.reused", 10_000, 5_000.0),
        ("map of a dataclass to a file, reuse", "maps.files", 2_000, 5_000.0),
        ("map of a dataclass, fork", "maps.forked", 500, 150.0),
    ];
    let mut figures = Vec::new();
    for (what, workflow, count, least) in kinds {
        let inputs = vec![("xs", readings(count))];
        let kind = Kind { what, workflow, inputs, count, node: Bound::AtLeast(least), whole: Bound::None };
        figures.extend(measure(bench, &client, kind).await?.into_iter().take(1));
    }
    Ok(figures)
}

/// Encodes a dataclass with one field, as the SDK does.
fn reading(value: u32) -> Bytes {
    use prost::Message as _;
    use skein_idl::flyteidl::core::{Binary, Literal, Scalar, literal, scalar};
    let mut packed = vec![0x81, 0xa5];
    packed.extend_from_slice(b"value");
    packed.push(0xce);
    packed.extend_from_slice(&value.to_be_bytes());
    let binary = Binary { value: packed.into(), tag: "msgpack".to_owned() };
    let scalar = Scalar { value: Some(scalar::Value::Binary(binary)) };
    let literal = Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() };
    literal.encode_to_vec().into()
}

/// A map of which one item in a hundred takes a tenth of a second.
pub(super) async fn uneven(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let count: u32 = if bench.effort == Effort::Full { 100_000 } else { 10_000 };
    let client = bench.client().await?;
    // As for every other map: the interpreter's start is told by itself, and not in here.
    run(&client, "maps.ints", &[("xs", encode::integers(WARM_UP))]).await?;
    let ran = run(&client, "maps.uneven", &[("xs", encode::integers(count))]).await?;
    // As many slots as `skein up` makes: one a core.
    let slots = std::thread::available_parallelism()?.get() as f64;
    let best = f64::from(count / 100) * 0.1 / slots;
    let what = format!("map of {count}, 1 % take 100 ms: over the best possible");
    Ok(vec![Figure::new(what, "times", vec![ran.node / best], Bound::AtMost(1.1))])
}

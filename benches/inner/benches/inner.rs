//! How long the inner parts take, each alone: `cargo bench -p skein-inner [-- NAME]`.

use skein_inner::parts::PARTS;

fn main() {
    divan::main();
}

#[divan::bench(args = PARTS.map(|part| part.name))]
fn inner(bencher: divan::Bencher<'_, '_>, name: &str) {
    let part = PARTS.iter().find(|part| part.name == name).expect("it is one of these");
    let mut run = (part.prepare)();
    bencher.bench_local(&mut *run);
}

//! Runs one part once, for callgrind, which counts what [`measured`] does: `inner-once NAME`. Without a name it lists all.

use skein_inner::parts::PARTS;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        PARTS.iter().for_each(|part| println!("{}", part.name));
        return ExitCode::SUCCESS;
    };
    let Some(part) = PARTS.iter().find(|part| part.name == name) else {
        eprintln!("no part is called {name}");
        return ExitCode::FAILURE;
    };
    let mut run = (part.prepare)();
    // Once before, so that what is made on first use is there.
    run();
    measured(&mut *run);
    ExitCode::SUCCESS
}

/// What is counted: callgrind knows it by its name.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    run();
    std::hint::black_box(());
}

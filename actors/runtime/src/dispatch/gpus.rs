//! What work that asks for accelerators counts against. Which ones it gets is the worker's to say.

use skein_core::schedule::Limit;
use skein_model::{Gpu, TaskResources};

/// Answers the limits of work that asks for `resources` where there are `gpus`: all of them, and those that will do for it. None
/// where nothing is asked for, or nothing is known of what there is.
pub(super) fn limits(resources: &TaskResources, gpus: &[Gpu]) -> Vec<Limit> {
    let takes = resources.gpus();
    if takes == 0 || gpus.is_empty() {
        return Vec::new();
    }
    let count = |gpus: usize| u32::try_from(gpus).unwrap_or(u32::MAX).max(1);
    let fitting = count(gpus.iter().filter(|gpu| resources.takes(gpu)).count());
    let all = Limit { key: "gpu".to_owned(), most: count(gpus.len()), takes };
    match &resources.accelerator {
        None => vec![all],
        Some(kind) => vec![Limit { key: format!("gpu {kind}"), most: fitting, takes }, all],
    }
}

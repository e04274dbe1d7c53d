//! Reads series, and makes an answer of them.

use super::{Cpu, Gpu, Gpus, ItemUsed, Memory, Part, Peaks, TRIES_MAX, Tried, Usage, Usages};
use crate::error::ApiError;
use crate::printed::{self, Found, Left, Log, Of, Source, Wanted};
use crate::shared::Shared;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use skein_log::BlobError;
use skein_log::usage::{self, ENCODED_BYTES_MAX, Series, Step};
use skein_model::event::ItemRange;
use skein_model::resources::Amounts;
use skein_model::{ExecutionId, Used};
use std::time::Duration;

/// How many series of one try are read, the last ones: it has one, and one more for each crash.
const RUNS_MAX: usize = 64;
/// How many tries are read at once for a list.
const READS_MAX: usize = 16;

/// Answers what a try, a range of items or an item used.
///
/// # Errors
/// As [`printed::find`], and when nothing has run yet.
pub(crate) async fn read(shared: &Shared, wanted: &Wanted, part: &Part) -> Result<Usage, ApiError> {
    let source = match printed::find(shared, wanted, Left::Used).await? {
        Found::Log(source) => source,
        Found::NotBegun(why) => return Err(ApiError::NotFound(why)),
    };
    let all = All::of(shared, &source).await?;
    let ExecutionId { project, domain, name } = &wanted.execution;
    let (items, item) = match wanted.of {
        Of::Attempt => (None, None),
        Of::Range(ItemRange { start, end }) => (Some((start, end)), None),
        Of::Item(item) => (None, Some(item)),
    };
    let by_item = items.map(|_| usage::by_item(&all.steps)).unwrap_or_default();
    let by_item = by_item.into_iter().map(|(item, used)| ItemUsed { item, peaks: Peaks::of(used) });
    let steps = usage::thinned(&all.steps, &part.range, part.points);
    Ok(Usage {
        execution: format!("{project}/{domain}/{name}"),
        node: wanted.node.clone(),
        attempt: source.attempt,
        items,
        item,
        ended: source.has_ended,
        from_ms: steps.iter().map(|step| step.from_ms).collect(),
        to_ms: steps.iter().map(|step| step.to_ms).collect(),
        memory: all.memory(&steps),
        cpu: all.cpu(&steps),
        gpu: all.gpus(&steps),
        by_item: by_item.collect(),
    })
}

/// Lists what the tries of an execution used, or those of one node of it.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution or node.
pub(crate) async fn list(shared: &Shared, id: &ExecutionId, node: Option<&str>) -> Result<Usages, ApiError> {
    let known = printed::list(shared, id, node, Left::Used).await?;
    let left_out = known.logs.len().saturating_sub(TRIES_MAX);
    let tried = async |log: Log| {
        let of = log.items.map_or(Of::Attempt, |(start, end)| Of::Range(ItemRange { start, end }));
        let wanted = Wanted { execution: id.clone(), node: log.node.clone(), attempt: Some(log.attempt), of };
        let Found::Log(source) = printed::find(shared, &wanted, Left::Used).await? else { return Ok(None) };
        let all = All::of(shared, &source).await?;
        Ok::<_, ApiError>(Some(Tried {
            node: log.node,
            attempt: log.attempt,
            items: log.items,
            ended: log.ended,
            memory_limit: all.limits.memory_bytes,
            cpu_limit: all.limits.cpu_millis.map(cores),
            peaks: all.used.map(Peaks::of),
        }))
    };
    let tries = stream::iter(known.logs.into_iter().take(TRIES_MAX).map(tried));
    let tries: Vec<Option<Tried>> = tries.buffered(READS_MAX).try_collect().await?;
    let tries = tries.into_iter().flatten().collect();
    Ok(Usages { execution: known.execution, ended: known.ended, tries, left_out })
}

/// Everything that is known of what something used.
struct All {
    requests: Amounts,
    limits: Amounts,
    gpus: Vec<usage::Gpu>,
    steps: Vec<Step>,
    used: Option<Used>,
    /// Whether the processor time of a step may be another item's.
    is_item: bool,
}

impl All {
    /// Reads all series of a source. A try that ran more than once has several; what it asks for is what it asked for last.
    async fn of(shared: &Shared, source: &Source) -> Result<Self, ApiError> {
        let mut all = Self {
            requests: source.resources.requests,
            limits: source.resources.limits,
            gpus: Vec::new(),
            steps: Vec::new(),
            used: None,
            is_item: source.item.is_some(),
        };
        for folder in &source.folders {
            let objects = shared.blobs.list(folder).await?;
            for uri in objects.iter().skip(objects.len().saturating_sub(RUNS_MAX)) {
                let object = match shared.blobs.get(uri, ENCODED_BYTES_MAX).await {
                    Ok(object) => object,
                    Err(BlobError::NotFound { .. }) => continue,
                    Err(error) => return Err(error.into()),
                };
                all.add(Series::decode(&object).map_err(|error| ApiError::internal(uri, &error))?);
            }
        }
        all.steps.sort_by_key(|step| step.from_ms);
        if let Some(item) = source.item {
            all.steps = usage::of_item(&all.steps, item);
            all.used = usage::by_item(&all.steps).remove(&item);
        } else {
            all.used = usage::used(&all.steps);
        }
        // The journal knows of peaks between two looks.
        all.used = match (all.used, source.used) {
            (Some(seen), Some(told)) => {
                Some(Used { memory_bytes: seen.memory_bytes.max(told.memory_bytes), ..seen })
            }
            (seen, told) => seen.or(told),
        };
        Ok(all)
    }

    fn add(&mut self, mut series: Series) {
        (self.requests, self.limits) = (series.requests, series.limits);
        if self.gpus != series.gpus {
            // It ran elsewhere before: those steps have other accelerators.
            self.steps.iter_mut().for_each(|step| step.gpus.clear());
            self.gpus = series.gpus;
        }
        self.steps.append(&mut series.steps);
    }

    fn memory(&self, steps: &[Step]) -> Memory {
        let (limit, requested) = (self.limits.memory_bytes, self.requests.memory_bytes);
        let peak = self.used.map(|used| used.memory_bytes);
        let used = steps.iter().map(|step| step.memory_bytes).collect();
        Memory { limit, requested, allocated: requested.max(peak), peak, used }
    }

    fn cpu(&self, steps: &[Step]) -> Cpu {
        let own = |step: &Step, of: f64| (!self.is_item || step.is_whole).then_some(of);
        let mean = |step: &Step| {
            let time = Duration::from_millis(step.to_ms - step.from_ms).as_secs_f64();
            own(step, if time > 0.0 { rounded(seconds(step.cpu_micros) / time) } else { 0.0 })
        };
        Cpu {
            limit: self.limits.cpu_millis.map(cores),
            allocated: self.requests.cpu_millis.map(cores),
            peak: self.used.map(|used| cores(used.cpu_millis)),
            seconds: self.used.map(|used| seconds(used.cpu_micros)),
            used: steps.iter().map(|step| own(step, cores(step.cpu_millis))).collect(),
            mean: steps.iter().map(mean).collect(),
        }
    }

    fn gpus(&self, steps: &[Step]) -> Gpus {
        let asked = self.requests.gpus.max(self.limits.gpus).unwrap_or_default();
        let allocated = asked.max(self.gpus.len() as u64);
        let parts = f64::from(u32::try_from(allocated).unwrap_or(u32::MAX).max(1));
        let share = |step: &Step| {
            let busy: Vec<u32> = step.gpus.iter().filter_map(|gpu| gpu.percent.map(u32::from)).collect();
            (!busy.is_empty()).then(|| rounded(f64::from(busy.iter().sum::<u32>()) / parts))
        };
        let device = |(at, gpu): (usize, &usage::Gpu)| {
            let of = |step: &Step| step.gpus.get(at).copied();
            Gpu {
                id: gpu.id.clone(),
                memory_limit: gpu.memory_bytes,
                memory_peak: self.steps.iter().filter_map(|step| Some(of(step)?.memory_bytes)).max(),
                peak: self.steps.iter().filter_map(|step| of(step)?.percent).max(),
                memory_used: steps.iter().map(|step| Some(of(step)?.memory_bytes)).collect(),
                used: steps.iter().map(|step| of(step)?.percent).collect(),
            }
        };
        let devices = self.gpus.iter().enumerate().map(device).collect();
        Gpus { allocated, used: steps.iter().map(share).collect(), devices }
    }
}

impl Peaks {
    fn of(used: Used) -> Self {
        Self {
            memory: used.memory_bytes,
            cpu: cores(used.cpu_millis),
            cpu_seconds: seconds(used.cpu_micros),
            gpu_memory: used.gpu_memory_bytes,
            gpu: used.gpu_percent,
        }
    }
}

fn cores(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

/// Leaves off what nobody can see.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

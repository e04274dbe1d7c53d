//! One piece of work that is looked at: its series, from the first step to the object that is complete.

use super::driver::Meters;
use super::sense::{Sense, Target};
use super::tree::Kernel;
use super::{TICK, Usage};
use crate::gpus::{self, Device};
use bytes::Bytes;
use skein_log::BlobStore;
use skein_log::usage::{self, Gpu, GpuUse, Series, Step};
use skein_model::{Used, Work, paths};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Work that is younger is not looked at yet.
const AGE_MIN: Duration = Duration::from_millis(250);
/// How long an object is left as it is while its work runs: so long, and as long again for each so many steps, because a
/// larger object costs more to write anew. What was seen since is lost if this process is killed.
const STORE_EVERY: Duration = Duration::from_secs(1);
const STORE_STEPS: usize = 512;
/// How long the store may take. A result must not wait for a store that is out of reach.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// Over less time than this a share of the processor is chance.
const SHARE_MIN: Duration = Duration::from_millis(100);

/// A piece of work, and what was seen of it.
pub(super) struct Watch {
    work: Arc<Work>,
    began: Instant,
    state: Mutex<State>,
    /// Held by whoever writes the object, so that an older one never comes after a newer one.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    sense: Option<Sense>,
    series: Series,
    /// When the series begins: by the clock, in milliseconds since 1970.
    began_ms: Option<u64>,
    /// The most memory that a process of its own had, which may lie between two looks, in bytes.
    resident_max: u64,
    /// When the last step ended.
    looked: Option<Instant>,
    /// The item that ran then.
    item: Option<u32>,
    stored: Option<Instant>,
}

/// What is seen at a moment.
struct Look {
    at: Instant,
    memory_bytes: u64,
    resident_max: u64,
    /// Processor time since the last look.
    cpu: Duration,
    item: Option<u32>,
    gpus: Vec<GpuUse>,
}

/// A piece of work that is looked at until this is dropped.
pub(crate) struct Watched {
    usage: Arc<Usage>,
    watch: Arc<Watch>,
}

/// What was seen of a piece of work that has ended, and is to be stored.
pub(crate) struct Kept {
    usage: Arc<Usage>,
    watch: Arc<Watch>,
}

impl Watched {
    pub(super) const fn new(usage: Arc<Usage>, watch: Arc<Watch>) -> Self {
        Self { usage, watch }
    }

    /// Says which processes run it from now on.
    pub(crate) fn runs(&self, target: Target) {
        let item = target.first_item;
        let sense = Sense::new(target);
        let mut state = self.watch.state();
        state.looked = Some(Instant::now());
        state.item = item;
        state.sense = Some(sense);
    }

    /// Says that they run it no more. Looks once more, if that was done before: the time since then is part of it.
    pub(crate) fn rests(&self) {
        if !self.watch.state().series.steps.is_empty() {
            self.watch.look(&Kernel::new(), &self.usage.meters, &self.usage.gpus);
        }
        self.watch.state().sense = None;
    }

    /// Ends it; answers what it used, if anything was seen, and what is to be stored then.
    pub(crate) fn end(self) -> (Option<Used>, Option<Kept>) {
        let state = self.watch.state();
        let used = usage::used(&state.series.steps);
        let resident_max = state.resident_max;
        drop(state);
        let used = used.map(|used| Used { memory_bytes: used.memory_bytes.max(resident_max), ..used });
        let kept = Kept { usage: Arc::clone(&self.usage), watch: Arc::clone(&self.watch) };
        (used, used.map(|_| kept))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.state().sense = None;
        self.usage.forget(&self.watch);
    }
}

impl Kept {
    /// Stores it.
    pub(crate) async fn store(self) {
        self.watch.complete(&self.usage.blobs).await;
    }
}

impl Watch {
    pub(super) fn new(work: Arc<Work>) -> Self {
        Self { work, began: Instant::now(), state: Mutex::default(), storing: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at it, and adds what is seen to its series. Says whether that is to be stored.
    pub(super) fn look(&self, kernel: &Kernel, meters: &Meters, devices: &[Device]) -> bool {
        if self.began.elapsed() < AGE_MIN {
            return false;
        }
        // Not held while the kernel is asked: whoever ends the work does not wait for that.
        let (before, sense) = {
            let state = self.state();
            (state.looked, state.sense.clone())
        };
        let Some(mut sense) = sense else { return false };
        let Some(seen) = sense.look(kernel) else { return false };
        let ids = self.gpu_ids();
        let read: Vec<_> = ids.iter().map(|id| Some((*id, meters.read(id)?))).collect();
        let read: Option<Vec<_>> = read.into_iter().collect();
        let mut state = self.state();
        // Another process may run it by now, or none, or somebody has looked meanwhile.
        if state.looked != before || !state.sense.as_ref().is_some_and(|now| now.is_of(&sense)) {
            return false;
        }
        state.sense = Some(sense);
        if state.began_ms.is_none() {
            state.began_ms = Some(now_ms(self.began));
            let memory = |id: &str| devices.iter().find(|device| device.id == id)?.memory_bytes;
            let gpu = |(id, metered): &(&str, super::driver::Metered)| Gpu {
                id: (*id).to_owned(),
                memory_bytes: metered.total_bytes.or_else(|| memory(id)),
            };
            let gpus = read.iter().flatten().map(gpu).take(usage::GPUS_MAX).collect();
            let resources = &self.work.resources;
            state.series = Series::new(resources.requests, resources.limits, gpus);
        }
        let gpus = read.iter().flatten().map(|(_, metered)| metered.used).take(usage::GPUS_MAX).collect();
        state.add(
            self.began,
            Look {
                at: seen.at,
                memory_bytes: seen.memory_bytes,
                resident_max: seen.resident_max,
                cpu: seen.cpu,
                item: seen.item,
                gpus,
            },
        );
        state.is_due(Instant::now())
    }

    /// Answers the accelerators that it was given.
    fn gpu_ids(&self) -> Vec<&str> {
        if self.work.resources.gpus() == 0 {
            return Vec::new();
        }
        let visible = self.work.env.iter().find(|(name, _)| name == gpus::VISIBLE);
        let ids = visible.map(|(_, ids)| ids.split(',').filter(|id| !id.is_empty()).collect());
        ids.unwrap_or_default()
    }

    /// Writes the object while the work runs, unless it is being written. What the store does not take comes with the next.
    pub(super) async fn store(&self, blobs: &BlobStore) {
        if let Ok(_alone) = self.storing.try_lock() {
            self.write(blobs).await;
        }
    }

    /// Writes the object for the last time.
    async fn complete(&self, blobs: &BlobStore) {
        let _alone = self.storing.lock().await;
        self.write(blobs).await;
    }

    async fn write(&self, blobs: &BlobStore) {
        let (uri, object) = {
            let mut state = self.state();
            let Some(began_ms) = state.began_ms else { return };
            state.stored = Some(Instant::now());
            let uri = paths::usage_object(&self.work.output_prefix, began_ms);
            (uri, Bytes::from(state.series.encode()))
        };
        match tokio::time::timeout(STORE_TIMEOUT, blobs.put(&uri, object)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(uri, %error, "what an attempt uses is not stored"),
            Err(_) => tracing::warn!(uri, "what an attempt uses is not stored: the blob store is silent"),
        }
    }
}

impl State {
    fn add(&mut self, began: Instant, look: Look) {
        let Look { at, memory_bytes, resident_max, cpu, item, gpus } = look;
        let base = self.began_ms.unwrap_or_default();
        let ms = |moment: Instant| base + millis(moment.saturating_duration_since(began));
        let before = self.looked.unwrap_or(began);
        // The clock of the series is that of this process, so that it never goes back.
        let last = self.series.steps.last().map_or(0, |step| step.to_ms);
        let from_ms = ms(before).max(last);
        let to_ms = ms(at).max(from_ms);
        let spent = at.saturating_duration_since(before);
        let cpu_micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        let is_share = spent >= SHARE_MIN;
        let cpu_millis = if is_share { cpu_micros / millis(spent).max(1) } else { 0 };
        let is_whole = item == self.item;
        self.series.push(Step { from_ms, to_ms, item, is_whole, memory_bytes, cpu_micros, cpu_millis, gpus });
        self.resident_max = self.resident_max.max(resident_max);
        self.looked = Some(at);
        self.item = item;
    }

    fn is_due(&self, now: Instant) -> bool {
        let times = u32::try_from(self.series.steps.len() / STORE_STEPS).unwrap_or(u32::MAX);
        let every = STORE_EVERY.saturating_mul(times.saturating_add(1)).saturating_sub(TICK / 2);
        self.stored.is_none_or(|stored| now.saturating_duration_since(stored) >= every)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Answers the time by the clock at a moment that has passed, in milliseconds since 1970.
fn now_ms(moment: Instant) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    millis(since.saturating_sub(moment.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::PoolId;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> State {
        State { began_ms: Some(1_000_000), ..State::default() }
    }

    fn look(at: Instant, item: Option<u32>, cpu_ms: u64) -> Look {
        let cpu = Duration::from_millis(cpu_ms);
        Look { at, memory_bytes: 7, resident_max: 9, cpu, item, gpus: Vec::new() }
    }

    #[test]
    fn steps_follow_each_other_and_say_whose_they_are() {
        let (began, mut state) = (Instant::now(), state());
        state.looked = Some(began);
        state.item = Some(3);
        for (after, item, cpu) in [(1, Some(3), 500), (2, Some(4), 1_000), (3, Some(4), 1_500)] {
            state.add(began, look(began + after * SECOND, item, cpu));
        }
        let seen: Vec<_> = state
            .series
            .steps
            .iter()
            .map(|step| (step.from_ms, step.to_ms, step.item, step.is_whole, step.cpu_millis))
            .collect();
        assert_eq!(
            seen,
            [
                (1_000_000, 1_001_000, Some(3), true, 500),
                (1_001_000, 1_002_000, Some(4), false, 1_000),
                (1_002_000, 1_003_000, Some(4), true, 1_500),
            ]
        );
        assert_eq!(state.resident_max, 9);
    }

    #[test]
    fn a_share_of_the_processor_is_not_told_of_a_moment() {
        let (began, mut state) = (Instant::now(), state());
        state.looked = Some(began);
        state.add(began, look(began + Duration::from_millis(5), None, 5));
        let [step] = &state.series.steps[..] else { panic!("one step") };
        assert_eq!((step.cpu_micros, step.cpu_millis), (5_000, 0));
    }

    #[test]
    fn an_object_is_written_at_once_then_each_second_then_less_often() {
        let (began, mut state) = (Instant::now(), state());
        assert!(state.is_due(began));
        state.stored = Some(began);
        assert!(!state.is_due(began + SECOND / 2));
        assert!(state.is_due(began + SECOND));
        for tick in 0..2_000_u32 {
            state.add(began, look(began + TICK * tick, Some(tick), 0));
        }
        assert!(!state.is_due(began + 3 * SECOND));
        assert!(state.is_due(began + 4 * SECOND));
    }

    #[tokio::test]
    async fn work_that_was_never_looked_at_leaves_nothing_and_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("a folder of our own"));
        let usage = Usage::new(blobs, None);
        let work = skein_log::conformance::task_queue::work(&PoolId("p".to_owned()), "e", "n", 0);
        let watched = usage.watch(&Arc::new(work));
        assert_eq!(usage.watches().len(), 1);
        watched.runs(Target::of_process(std::process::id()));
        watched.rests();
        let (used, kept) = watched.end();
        assert!(used.is_none() && kept.is_none() && usage.watches().is_empty());
    }

    /// Run where there is an NVIDIA driver: `cargo test --workspace --lib an_accelerator -- --ignored --nocapture`.
    #[tokio::test]
    #[ignore = "needs an NVIDIA driver"]
    async fn an_accelerator_is_seen_with_the_attempt_that_has_it() {
        use crate::gpus::Driver as _;
        let folder = tempfile::tempdir().expect("a folder");
        let usage = Usage::new(Arc::new(BlobStore::local(folder.path()).expect("a folder of our own")), None);
        let cards = crate::gpus::Nvml::load().expect("a driver").cards().expect("it tells of them");
        let mut work = skein_log::conformance::task_queue::work(&PoolId("p".to_owned()), "e", "n", 0);
        work.resources.limits.gpus = Some(1);
        work.env = vec![(gpus::VISIBLE.to_owned(), cards[0].uuid.clone())];
        let old = Instant::now().checked_sub(SECOND).expect("the machine runs for a second");
        let watch = Arc::new(Watch { began: old, ..Watch::new(Arc::new(work)) });
        let watched = Watched::new(Arc::clone(&usage), Arc::clone(&watch));
        watched.runs(Target::of_process(std::process::id()));
        watch.look(&Kernel::new(), &usage.meters, &[]);
        let series = watch.state().series.clone();
        println!("{:?} {:?}", series.gpus, series.steps);
        assert_eq!(series.gpus[0].memory_bytes, Some(cards[0].memory_bytes));
        assert!(series.steps[0].gpus[0].percent.is_some(), "a whole card says how busy it is");
        assert!(watched.end().0.expect("it was looked at").gpu_memory_bytes.is_some());
    }

    #[tokio::test]
    async fn what_was_seen_is_stored_with_what_was_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("a folder of our own"));
        let usage = Usage::new(Arc::clone(&blobs), None);
        let mut work = skein_log::conformance::task_queue::work(&PoolId("p".to_owned()), "e", "n", 0);
        work.output_prefix = blobs.url("p");
        work.resources.limits.memory_bytes = Some(1 << 30);
        let old = Instant::now().checked_sub(SECOND).expect("the machine runs for a second");
        let watch = Arc::new(Watch { began: old, ..Watch::new(Arc::new(work)) });
        let watched = Watched::new(Arc::clone(&usage), Arc::clone(&watch));
        watched.runs(Target::of_process(std::process::id()));
        assert!(watch.look(&Kernel::new(), &usage.meters, &[]), "the first look is stored at once");
        watched.rests();
        let (used, kept) = watched.end();
        let used = used.expect("it was looked at");
        assert!(used.memory_bytes > 1 << 20, "this process has more than a megabyte");
        kept.expect("it was looked at").store().await;
        let listed = blobs.list(&paths::usage_folder(&blobs.url("p"))).await.expect("a folder");
        let [uri] = &listed[..] else { panic!("one object: {listed:?}") };
        let object = blobs.get(uri, usage::ENCODED_BYTES_MAX).await.expect("it was listed");
        let series = Series::decode(&object).expect("it was written so");
        assert!(!series.steps.is_empty());
        assert_eq!(series.limits.memory_bytes, Some(1 << 30));
    }
}

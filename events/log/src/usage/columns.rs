//! Steps as columns of numbers, each as what it differs from the one before.

use super::{Damaged, GpuUse, Step};

/// Appends the columns of `steps`, of which each has `gpus` accelerators.
pub(super) fn write(steps: &[Step], began_ms: u64, gpus: usize, out: &mut Vec<u8>) {
    let mut end = began_ms;
    let pauses = steps.iter().map(|step| {
        let pause = step.from_ms.saturating_sub(end);
        end = step.to_ms;
        pause
    });
    column(pauses, out);
    column(steps.iter().map(|step| step.to_ms.saturating_sub(step.from_ms)), out);
    column(steps.iter().map(item_of), out);
    column(steps.iter().map(|step| step.memory_bytes), out);
    column(steps.iter().map(|step| step.cpu_micros), out);
    column(steps.iter().map(|step| step.cpu_millis), out);
    for at in 0..gpus {
        let of = |step: &Step| step.gpus.get(at).copied().unwrap_or_default();
        column(steps.iter().map(|step| of(step).memory_bytes), out);
        column(steps.iter().map(|step| of(step).percent.map_or(0, |percent| u64::from(percent) + 1)), out);
    }
}

fn item_of(step: &Step) -> u64 {
    step.item.map_or(0, |item| 2 * u64::from(item) + 2) + u64::from(step.is_whole)
}

fn column(numbers: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut before = 0_u64;
    for number in numbers {
        let more = number.wrapping_sub(before).cast_signed();
        before = number;
        // Small in either direction is small.
        let mut left = ((more << 1) ^ (more >> 63)).cast_unsigned();
        while left >= 0x80 {
            out.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }
}

/// Reads the columns of an object.
pub(super) struct Columns<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Columns<'a> {
    pub(super) const fn new(rest: &'a [u8], count: usize) -> Self {
        Self { rest, count }
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// [`Damaged`] when there are more or fewer, or numbers that cannot be.
    pub(super) fn steps(mut self, began_ms: u64, gpus: usize) -> Result<Vec<Step>, Damaged> {
        let (pauses, times, items) = (self.column()?, self.column()?, self.column()?);
        let (memory, cpu, peaks) = (self.column()?, self.column()?, self.column()?);
        let mut of_gpus = Vec::with_capacity(gpus);
        for _ in 0..gpus {
            of_gpus.push((self.column()?, self.column()?));
        }
        if !self.rest.is_empty() {
            return Err(Damaged::new(format!("{} bytes follow its last column", self.rest.len())));
        }
        let mut end = began_ms;
        let step = |at: usize| {
            let from_ms = end.checked_add(pauses[at]);
            let to_ms = from_ms.and_then(|from| from.checked_add(times[at]));
            let (from_ms, to_ms) = from_ms.zip(to_ms).ok_or_else(|| Damaged::new("its times are none"))?;
            end = to_ms;
            let (item, is_whole) = item(items[at])?;
            let gpus = of_gpus.iter().map(|(memory, busy)| gpu(memory[at], busy[at]));
            Ok(Step {
                from_ms,
                to_ms,
                item,
                is_whole,
                memory_bytes: memory[at],
                cpu_micros: cpu[at],
                cpu_millis: peaks[at],
                gpus: gpus.collect::<Result<_, _>>()?,
            })
        };
        (0..self.count).map(step).collect()
    }

    fn column(&mut self) -> Result<Vec<u64>, Damaged> {
        let (mut before, mut numbers) = (0_u64, Vec::with_capacity(self.count));
        for _ in 0..self.count {
            let coded = self.number()?;
            let more = (coded >> 1).cast_signed() ^ -(coded & 1).cast_signed();
            before = before.wrapping_add(more.cast_unsigned());
            numbers.push(before);
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = take(&mut self.rest, 1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged::new("a number has more than 64 bits"))
    }
}

fn item(coded: u64) -> Result<(Option<u32>, bool), Damaged> {
    let item = match coded >> 1 {
        0 => None,
        more => Some(u32::try_from(more - 1).map_err(|_| Damaged::new("an item is none"))?),
    };
    Ok((item, coded & 1 == 1))
}

fn gpu(memory_bytes: u64, busy: u64) -> Result<GpuUse, Damaged> {
    let percent = match busy {
        0 => None,
        more @ 1..=101 => Some((more - 1) as u8),
        _ => return Err(Damaged::new("an accelerator is busier than it can be")),
    };
    Ok(GpuUse { memory_bytes, percent })
}

/// Takes `count` bytes.
///
/// # Errors
/// [`Damaged`] when there are fewer.
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Damaged> {
    let (taken, left) = rest.split_at_checked(count).ok_or_else(|| Damaged::new("it ends too early"))?;
    *rest = left;
    Ok(taken)
}

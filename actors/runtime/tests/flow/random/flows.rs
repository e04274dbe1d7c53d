//! Workflows as plain data, made by a seed, calculated without an engine, and made smaller.

use skein_model::Failure;
use std::collections::BTreeSet;

/// Values stay below this.
pub const BELOW: i64 = 1_009;
/// The deepest that flows are in each other.
const DEPTH_MAX: usize = 6;
/// How many steps a program has at most.
const STEPS_MAX: u64 = 40;
/// How often a task is tried again.
pub const RETRIES: u32 = 2;
/// What a task fails with,
pub const BOOM: &str = "USER:RuntimeError";
/// one that asks for another try when there is none,
pub const EXHAUSTED: &str = "RetriesExhausted|USER:Recoverable";
/// and a branch of which no case holds.
pub const UNCHECKED: &str = "UserProvidedError";

/// `SplitMix64`.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What a step does with the values of others, of which 0 is what its flow was given.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Adds all, and one.
    Sum,
    /// The same, once it has asked so often for another try.
    Again(u32),
    /// Fails.
    Boom,
    /// Adds one to each of a list of all, and then adds all.
    Map,
    /// Lets time pass, and then adds all.
    Sleep,
    /// Runs another flow with the first.
    Sub(Flow),
    /// The same where the first is less than this, else adds all.
    Branch(i64, Flow),
    /// Fails unless the first is less than this.
    Check(i64),
    /// Has a task make the nodes of a flow.
    Make(Flow),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: Kind,
    /// Of the steps before it, by place and one; 0 is what the flow was given.
    pub uses: Vec<usize>,
}

/// Steps; a flow gives the sum of all, and one.
#[derive(Clone, Debug)]
pub struct Flow {
    pub steps: Vec<Step>,
    /// Whether what can run still does when something has failed.
    pub patient: bool,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub seed: u64,
    pub x: i64,
    pub main: Flow,
}

impl Program {
    pub fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut left = STEPS_MAX;
        let fails = dice.below(2) == 0;
        let main = Flow::random(&mut dice, &mut left, 1, false, fails);
        Self { seed, x: i64::try_from(dice.below(20)).unwrap_or_default(), main }
    }

    /// Says whether an execution may come to this: of several failures, any may be told.
    pub fn allows(&self, outcome: &Result<i64, Failure>) -> bool {
        match (self.main.value(self.x), outcome) {
            (Ok(value), Ok(told)) => value == *told,
            (Err(codes), Err(told)) => codes.contains(told.code.as_str()),
            _ => false,
        }
    }

    /// Lists programs with a little less in them, those first that lose most.
    pub fn smaller(&self) -> Vec<Self> {
        let inner = self.main.steps.iter().filter_map(|step| step.kind.flow().cloned());
        let flows = inner.chain(self.main.smaller());
        flows.map(|main| Self { main, ..self.clone() }).collect()
    }
}

impl Flow {
    fn random(dice: &mut Dice, left: &mut u64, depth: usize, is_made: bool, fails: bool) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for _ in 0..=dice.below(4) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            let place = steps.len() as u64;
            let mut uses: Vec<usize> =
                (0..=dice.below(3)).filter_map(|_| usize::try_from(dice.below(place + 1)).ok()).collect();
            uses.sort_unstable();
            uses.dedup();
            let kind = Kind::random(dice, left, depth, is_made, fails);
            steps.push(Step { kind, uses });
        }
        Self { steps, patient: !is_made && dice.below(3) == 0 }
    }

    /// Lists flows without one of the steps, or with a simpler one.
    fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for place in (0..self.steps.len()).rev() {
            let mut steps = self.steps.clone();
            steps.remove(place);
            for used in steps.iter_mut().flat_map(|step| &mut step.uses) {
                *used = if *used == place + 1 { 0 } else { *used - usize::from(*used > place) };
            }
            all.push(steps);
        }
        for (place, step) in self.steps.iter().enumerate() {
            for kind in step.kind.smaller() {
                let mut steps = self.steps.clone();
                steps[place].kind = kind;
                all.push(steps);
            }
        }
        all.into_iter().map(|steps| Self { steps, ..self.clone() }).collect()
    }

    /// The sum of all steps, and one; or the codes of all failures that it may end with.
    fn value(&self, x: i64) -> Result<i64, BTreeSet<&'static str>> {
        let mut values = vec![Some(x)];
        let mut codes = BTreeSet::new();
        for step in &self.steps {
            let used: Option<Vec<i64>> = step.uses.iter().map(|place| values[*place]).collect();
            values.push(used.and_then(|used| step.kind.value(&used).map_err(|more| codes.extend(more)).ok()));
        }
        if !codes.is_empty() {
            return Err(codes);
        }
        Ok(sum(values.into_iter().skip(1).flatten()))
    }
}

/// What every task does that does nothing else.
pub fn sum(values: impl IntoIterator<Item = i64>) -> i64 {
    values.into_iter().fold(1, |sum, value| (sum + value) % BELOW)
}

impl Kind {
    fn random(dice: &mut Dice, left: &mut u64, depth: usize, is_made: bool, fails: bool) -> Self {
        let limit = i64::try_from(dice.below(60)).unwrap_or_default();
        let choice = dice.below(16);
        if depth < DEPTH_MAX && *left > 0 && choice < 6 {
            let mut inner = |is_made| Flow::random(dice, left, depth + 1, is_made, fails);
            return match (choice, is_made) {
                (0 | 1, _) | (_, true) => Self::Make(inner(true)),
                (2 | 3, false) => Self::Sub(inner(false)),
                (_, false) => Self::Branch(limit, inner(false)),
            };
        }
        match (choice, fails) {
            (6 | 7, _) => Self::Map,
            (8, _) => Self::Sleep,
            (9 | 10, _) => {
                Self::Again(u32::try_from(dice.below(2 + u64::from(fails) * 2)).unwrap_or_default())
            }
            (11, true) => Self::Boom,
            (12, true) => Self::Check(limit),
            _ => Self::Sum,
        }
    }

    const fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Sub(flow) | Self::Branch(_, flow) | Self::Make(flow) => Some(flow),
            _ => None,
        }
    }

    fn smaller(&self) -> Vec<Self> {
        let simple = (!matches!(self, Self::Sum)).then_some(Self::Sum);
        let inside = self.flow().map(Flow::smaller).unwrap_or_default();
        let inside = inside.into_iter().map(|flow| match self {
            Self::Branch(limit, _) => Self::Branch(*limit, flow),
            Self::Make(_) => Self::Make(flow),
            _ => Self::Sub(flow),
        });
        simple.into_iter().chain(inside).collect()
    }

    fn value(&self, used: &[i64]) -> Result<i64, BTreeSet<&'static str>> {
        match self {
            Self::Sum | Self::Sleep => Ok(sum(used.iter().copied())),
            Self::Again(times) if *times > RETRIES => Err(BTreeSet::from([EXHAUSTED])),
            Self::Again(_) => Ok(sum(used.iter().copied())),
            Self::Boom => Err(BTreeSet::from([BOOM])),
            Self::Map => Ok(sum(used.iter().map(|value| (value + 1) % BELOW))),
            Self::Sub(flow) | Self::Make(flow) => flow.value(used[0]),
            Self::Branch(limit, flow) if used[0] < *limit => flow.value(used[0]),
            Self::Branch(..) => Ok(sum(used.iter().copied())),
            Self::Check(limit) if used[0] < *limit => Ok(sum(used.iter().copied())),
            Self::Check(_) => Err(BTreeSet::from([UNCHECKED])),
        }
    }
}

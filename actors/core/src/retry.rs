//! Whether a try that failed is followed by another, when, and what the user is told when not.

use skein_model::{Charge, Failure, FailureCause};
use std::time::Duration;

/// How often the system tries again for reasons of its own (contract 6.1).
pub const SYSTEM_RETRIES: u32 = 3;
/// How often a try that was interrupted through nobody's fault is repeated before the execution gives up.
pub const INTERRUPTIONS: u32 = 10;
/// The wait before the first system retry; it doubles with each, up to [`BACKOFF_MAX`]. Chance makes each up to a quarter
/// shorter or longer, so that what failed together does not come again together.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest wait before a system retry.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What the tries so far were charged to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tries charged to the task's own retries.
    pub user: u32,
    /// Tries charged to the system.
    pub system: u32,
    /// Tries that nobody pays for.
    pub interruption: u32,
}

impl Spent {
    /// Answers the sum with one more failure.
    #[must_use]
    pub const fn with(mut self, charge: Charge) -> Self {
        match charge {
            Charge::User => self.user += 1,
            Charge::System => self.system += 1,
            Charge::Interruption => self.interruption += 1,
        }
        self
    }
}

/// What follows a failed try.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Another, after this long.
    Again(Duration),
    /// Nothing: this is what the node or item failed with.
    Final(Failure),
}

/// Says what follows `failure`, when `spent` was spent before it and the task may be tried `attempts` times.
///
/// `draw` is what chance says of this try.
pub fn next(attempts: u32, spent: Spent, failure: &Failure, draw: u64) -> Next {
    if !failure.is_retryable() {
        return Next::Final(failure.clone());
    }
    let now = spent.with(failure.charge);
    let (done, of, wait) = match failure.charge {
        Charge::User => (now.user, attempts, Duration::ZERO),
        Charge::System => (now.system, SYSTEM_RETRIES + 1, backoff(spent.system, draw)),
        Charge::Interruption => (now.interruption, INTERRUPTIONS + 1, Duration::ZERO),
    };
    if done < of {
        return Next::Again(wait);
    }
    Next::Final(exhausted(failure, done, of))
}

/// Answers how long to wait before a system retry that has so many before it.
pub fn backoff(retries_before: u32, draw: u64) -> Duration {
    /// How many lengths of a wait chance tells apart.
    const LENGTHS: u32 = 1024;
    let full = BACKOFF_FIRST.saturating_mul(1 << retries_before.min(16)).min(BACKOFF_MAX);
    let drawn = u32::try_from(draw % u64::from(LENGTHS)).unwrap_or_default();
    full * 3 / 4 + full / 2 * drawn / LENGTHS
}

/// The original counts the system's retries without the first try: `[3/3]` after four.
fn exhausted(failure: &Failure, done: u32, of: u32) -> Failure {
    let (done, of, kind) = match failure.charge {
        Charge::User => (done, of, "USER"),
        Charge::System => (done - 1, of - 1, "SYSTEM"),
        Charge::Interruption => (done - 1, of - 1, "SYSTEM"),
    };
    // A try that ran out of time keeps its code (contract 9.4): users match on it.
    let code = match failure.cause {
        FailureCause::TimedOut if of > 1 => failure.code.clone(),
        _ => format!("RetriesExhausted|{}", failure.code),
    };
    let message = format!("[{done}/{of}] currentAttempt done. Last Error: {kind}::{}", failure.message);
    Failure { code, message, cause: failure.cause.clone(), charge: failure.charge }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(cause: FailureCause, charge: Charge) -> Failure {
        Failure { code: "C".to_owned(), message: "m".to_owned(), cause, charge }
    }

    fn recoverable() -> Failure {
        failure(FailureCause::TaskRaised { recoverable: true }, Charge::User)
    }

    #[test]
    fn a_plain_exception_is_not_tried_again_whatever_the_retries() {
        let plain = failure(FailureCause::TaskRaised { recoverable: false }, Charge::User);
        assert_eq!(next(3, Spent::default(), &plain, 0), Next::Final(plain.clone()));
    }

    #[test]
    fn a_recoverable_exception_is_tried_again_until_the_retries_are_used() {
        let twice = Spent { user: 1, ..Spent::default() };
        assert_eq!(next(3, twice, &recoverable(), 0), Next::Again(Duration::ZERO));
        let thrice = Spent { user: 2, ..Spent::default() };
        let Next::Final(failure) = next(3, thrice, &recoverable(), 0) else { panic!("no retry is left") };
        assert_eq!(failure.code, "RetriesExhausted|C");
        assert_eq!(failure.message, "[3/3] currentAttempt done. Last Error: USER::m");
    }

    #[test]
    fn a_fault_of_the_system_costs_the_task_nothing() {
        let lost = failure(FailureCause::WorkerLost, Charge::System);
        let spent = Spent { user: 0, system: 2, interruption: 0 };
        assert_eq!(next(1, spent, &lost, 512), Next::Again(Duration::from_millis(800)));
        let spent = Spent { user: 0, system: 3, interruption: 0 };
        let Next::Final(last) = next(1, spent, &lost, 0) else { panic!("four tries were made") };
        assert_eq!(last.message, "[3/3] currentAttempt done. Last Error: SYSTEM::m");
        assert_eq!(last.charge, Charge::System);
    }

    #[test]
    fn system_retries_wait_longer_each_time_but_never_longer_than_the_limit() {
        assert_eq!(backoff(0, 512), BACKOFF_FIRST);
        assert_eq!(backoff(1, 512), BACKOFF_FIRST * 2);
        assert_eq!(backoff(40, 512), BACKOFF_MAX);
    }

    #[test]
    fn chance_makes_a_wait_up_to_a_quarter_shorter_or_longer() {
        assert_eq!(backoff(0, 0), BACKOFF_FIRST * 3 / 4);
        assert!(backoff(0, 1023) < BACKOFF_FIRST * 5 / 4 && backoff(0, 1023) > BACKOFF_FIRST * 6 / 5);
        assert_eq!(backoff(0, 1024), backoff(0, 0));
    }
}

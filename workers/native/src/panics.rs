//! Panics of user code, which fail an attempt and not the process.

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// What the last panic of this thread said, and where it was.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics noted, beside what is done about them anyway.
pub(crate) fn note() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload_as_str().unwrap_or("something that is no text");
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        LAST.set(Some(format!("the task panicked{place}: {said}")));
        before(info);
    }));
}

/// Calls `function`; a panic becomes the user's error.
pub(crate) fn caught<T>(function: impl FnOnce() -> Result<T>) -> Result<T> {
    // What it leaves half changed is its own: the attempts that it shares a process with are of the same task.
    catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|_| {
        let said = LAST.take().unwrap_or_else(|| "the task panicked".to_owned());
        Err(Error::panicked(said))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_what_and_where() {
        note();
        let error = caught::<()>(|| std::panic::panic_any("out of wool")).expect_err("it panicked");
        assert_eq!(error.code(), "USER:Panic");
        assert!(error.message().ends_with(": out of wool"), "{}", error.message());
        assert!(error.message().contains("panics.rs:"), "{}", error.message());
        assert_eq!(caught(|| Ok(1)), Ok(1));
    }
}

//! Where things of an execution lie in the blob store, so that engine, workers and gateway agree without asking.
//!
//! Everything is derived from the execution's data prefix, which stands in [`crate::event::Created`].

use crate::event::ItemRange;
use crate::ids::{Attempt, ExecutionId, NodeId};

/// The folder of an execution under the store's root (which ends without a slash).
pub fn data_prefix(root: &str, execution: &ExecutionId) -> String {
    format!("{root}/metadata/{}-{}-{}", execution.project, execution.domain, execution.name)
}

/// The folder for large values of user code, when nobody chose another.
pub fn raw_prefix(root: &str, execution: &ExecutionId) -> String {
    format!("{root}/raw/{}-{}-{}", execution.project, execution.domain, execution.name)
}

/// The folder of large values of one try of a node.
pub fn try_raw_prefix(raw_prefix: &str, node: &NodeId, attempt: Attempt) -> String {
    format!("{raw_prefix}/{node}/{attempt}")
}

/// The folder where one try of a node leaves its checkpoint; in it each item of a map has one of its own, by its index:
/// what runs together with it may be other items with the next try.
pub fn checkpoint(raw_prefix: &str, node: &NodeId, attempt: Attempt) -> String {
    format!("{}/_flytecheckpoints", try_raw_prefix(raw_prefix, node, attempt))
}

/// The inputs of a node.
pub fn node_inputs(data_prefix: &str, node: &NodeId) -> String {
    format!("{data_prefix}/{node}/data/inputs.pb")
}

/// The folder of one try of a node.
pub fn attempt_prefix(data_prefix: &str, node: &NodeId, attempt: Attempt) -> String {
    format!("{data_prefix}/{node}/data/{attempt}")
}

/// The folder of one run of a range of a map's items.
pub fn items_prefix(data_prefix: &str, node: &NodeId, attempt: Attempt, items: ItemRange) -> String {
    format!("{data_prefix}/{node}/data/{attempt}/{}-{}", items.start, items.end)
}

/// The outputs of a try, in its folder.
pub fn outputs(prefix: &str) -> String {
    format!("{prefix}/outputs.pb")
}

/// The error that the SDK wrote down, in the folder of a try.
pub fn error(prefix: &str) -> String {
    format!("{prefix}/error.pb")
}

/// The deck, in the folder of a try.
pub fn deck(prefix: &str) -> String {
    format!("{prefix}/deck.html")
}

/// The folder of all tries of a node.
pub fn tries_folder(data_prefix: &str, node: &NodeId) -> String {
    format!("{data_prefix}/{node}/data")
}

/// The folder of what a try printed, in the folder of the try: objects named by the position of their first byte, so that
/// the list of them, which is sorted, is their index.
pub fn log_folder(prefix: &str) -> String {
    format!("{prefix}/log")
}

/// The object of what a try printed that begins with byte `start` of all that is kept.
pub fn log_object(prefix: &str, start: u64) -> String {
    format!("{prefix}/log/{start:015}.lz4")
}

/// Answers the position of the first byte of an object of what a try printed; none for any other name.
pub fn log_start(uri: &str) -> Option<u64> {
    let (folder, name) = uri.rsplit_once('/')?;
    let digits = name.strip_suffix(".lz4").filter(|_| folder.ends_with("/log"))?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Answers the try, and the range of items if it is one of a map, that an object of what was printed belongs to; none for
/// any other object in [`tries_folder`].
pub fn log_owner(tries: &str, uri: &str) -> Option<(Attempt, Option<ItemRange>)> {
    log_start(uri)?;
    let (attempt, rest) = uri.strip_prefix(tries)?.strip_prefix('/')?.split_once('/')?;
    let attempt = Attempt(attempt.parse().ok()?);
    if rest.starts_with("log/") {
        return Some((attempt, None));
    }
    let (start, end) = rest.split_once('/')?.0.split_once('-')?;
    let items = ItemRange { start: start.parse().ok()?, end: end.parse().ok()? };
    Some((attempt, Some(items)))
}

/// The folder of what a try used of its machine, in the folder of the try: one object for each time that it ran, named by when
/// that began. After a crash a try runs again under its number, and what was seen before is kept.
pub fn usage_folder(prefix: &str) -> String {
    format!("{prefix}/usage")
}

/// The object of what a try used that began to run at this time, in milliseconds since 1970.
pub fn usage_object(prefix: &str, began_ms: u64) -> String {
    format!("{prefix}/usage/{began_ms:015}.lz4")
}

/// Answers the try, and the range of items if it is one of a map, that an object of what was used belongs to; none for any
/// other object in [`tries_folder`].
pub fn usage_owner(tries: &str, uri: &str) -> Option<(Attempt, Option<ItemRange>)> {
    let (attempt, rest) = uri.strip_prefix(tries)?.strip_prefix('/')?.split_once('/')?;
    let (items, name) = match rest.strip_prefix("usage/") {
        Some(name) => (None, name),
        None => {
            let (items, rest) = rest.split_once('/')?;
            let (start, end) = items.split_once('-')?;
            let items = ItemRange { start: start.parse().ok()?, end: end.parse().ok()? };
            (Some(items), rest.strip_prefix("usage/")?)
        }
    };
    let digits = name.strip_suffix(".lz4")?;
    let is_ours = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then_some((Attempt(attempt.parse().ok()?), items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_object_of_what_was_used_is_stands_in_its_name() {
        let node = NodeId::new("n0");
        let tries = tries_folder("file:///b/e", &node);
        let items = ItemRange { start: 4, end: 8 };
        let of_task = usage_object(&attempt_prefix("file:///b/e", &node, Attempt(2)), 1_700_000_000_000);
        let of_items = usage_object(&items_prefix("file:///b/e", &node, Attempt(0), items), 7);
        assert_eq!(of_task, "file:///b/e/n0/data/2/usage/001700000000000.lz4");
        assert_eq!(usage_owner(&tries, &of_task), Some((Attempt(2), None)));
        assert_eq!(usage_owner(&tries, &of_items), Some((Attempt(0), Some(items))));
        for other in ["0/outputs.pb", "0/log/7.lz4", "0/usage/.lz4", "0/usage/x.lz4", "0/9/usage/7.lz4"] {
            assert_eq!(usage_owner(&tries, &format!("{tries}/{other}")), None, "{other}");
        }
    }

    #[test]
    fn whose_an_object_of_printed_text_is_stands_in_its_name() {
        let node = NodeId::new("n0");
        let tries = tries_folder("file:///b/e", &node);
        let items = ItemRange { start: 4, end: 8 };
        let of_task = log_object(&attempt_prefix("file:///b/e", &node, Attempt(2)), 7);
        let of_items = log_object(&items_prefix("file:///b/e", &node, Attempt(0), items), 0);
        assert_eq!(of_task, "file:///b/e/n0/data/2/log/000000000000007.lz4");
        assert_eq!((log_start(&of_task), log_start(&of_items)), (Some(7), Some(0)));
        assert_eq!(log_owner(&tries, &of_task), Some((Attempt(2), None)));
        assert_eq!(log_owner(&tries, &of_items), Some((Attempt(0), Some(items))));
        for other in
            ["0/outputs.pb", "0/4-8/outputs.pb", "inputs.pb", "0/log/+7.lz4", "x/log/7.lz4", "0/9/log/7.lz4"]
        {
            assert_eq!(log_owner(&tries, &format!("{tries}/{other}")), None, "{other}");
        }
    }
}

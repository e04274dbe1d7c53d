//! What a task can learn about the attempt that it runs in.

use skein_protocol::messages::Setting;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

const ATTEMPT: &str = "FLYTE_ATTEMPT_NUMBER";
const EXECUTION: &str = "FLYTE_INTERNAL_EXECUTION_ID";
/// No item of a map.
const NONE: i64 = -1;

static ENVIRONMENT: RwLock<BTreeMap<String, String>> = RwLock::new(BTreeMap::new());
static ITEM: AtomicI64 = AtomicI64::new(NONE);

/// Answers a variable of the environment that belongs to the attempt: what the execution and its task set, and what Flyte
/// tells, such as `FLYTE_INTERNAL_EXECUTION_PROJECT`. One process may run many attempts, so these are not in
/// [`std::env`](mod@std::env). None outside of a task.
pub fn variable(name: &str) -> Option<String> {
    ENVIRONMENT.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// Answers the name of the execution; none outside of a task.
pub fn execution() -> Option<String> {
    variable(EXECUTION)
}

/// Answers which try this is, from 0; 0 outside of a task.
pub fn attempt() -> u32 {
    variable(ATTEMPT).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Answers the place of the item in its map, from 0; none when the task is not mapped.
pub fn item() -> Option<u32> {
    u32::try_from(ITEM.load(Ordering::Relaxed)).ok()
}

/// Makes environment and folder those of an attempt.
///
/// # Errors
/// When the folder cannot be made, or a control group not be entered.
pub(crate) fn settle(setting: &Setting) -> std::io::Result<()> {
    for group in &setting.groups {
        std::fs::write(group, "0")?;
    }
    ENVIRONMENT.write().unwrap_or_else(PoisonError::into_inner).clone_from(&setting.env);
    enter(&setting.cwd)
}

/// Takes the secrets of an attempt out of the environment again.
pub(crate) fn forget(secret: &[String]) {
    ENVIRONMENT.write().unwrap_or_else(PoisonError::into_inner).retain(|name, _| !secret.contains(name));
}

/// Adds what belongs to one chunk alone.
pub(crate) fn add(variables: BTreeMap<String, String>) {
    ENVIRONMENT.write().unwrap_or_else(PoisonError::into_inner).extend(variables);
}

pub(crate) fn enter(folder: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::env::set_current_dir(folder)
}

pub(crate) fn set_item(item: Option<u32>) {
    ITEM.store(item.map_or(NONE, i64::from), Ordering::Relaxed);
}

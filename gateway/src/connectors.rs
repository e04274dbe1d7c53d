//! What this server knows of connectors: which tasks they do, and so which can be registered and launched.

use crate::error::ApiError;
use futures::future::BoxFuture;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::ServedTypes;
use std::fmt;
use std::sync::Arc;

/// Asks all connectors what they do; answers what could not be had, in words.
pub type Ask = Arc<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// How many types are named to whoever comes with one that nobody does.
const NAMED_MAX: usize = 20;

/// The connectors of this server.
#[derive(Clone)]
pub struct Connectors {
    /// Their addresses, for whoever is told what there is.
    pub urls: Vec<String>,
    /// Which types they do, as far as that is known.
    pub served: ServedTypes,
    /// Asks them, when somebody comes with a type that nobody is known to do.
    pub ask: Ask,
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connectors")
            .field("urls", &self.urls)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

/// Checks that a connector does a task; asks them when none is known to.
///
/// # Errors
/// Why none does, in words that name the type and what there is.
pub(crate) async fn check(connectors: Option<&Connectors>, template: &TaskTemplate) -> Result<(), String> {
    let Some(connectors) = connectors.filter(|connectors| !connectors.urls.is_empty()) else {
        return Err(unserved(
            template,
            "this server has no connectors; say --connector URL when it is started",
        ));
    };
    if connectors.served.serves(template) {
        return Ok(());
    }
    let faults = (connectors.ask)().await;
    if connectors.served.serves(template) {
        return Ok(());
    }
    let mut names = connectors.served.names();
    names.truncate(NAMED_MAX);
    let names = if names.is_empty() { "no type that is known".to_owned() } else { names.join(", ") };
    let there = format!("the connectors here ({}) do {names}", connectors.urls.join(", "));
    Err(unserved(template, &[vec![there], faults].concat().join("; ")))
}

/// Says of a task of a map that connectors do it.
///
/// # Errors
/// [`ApiError::Unimplemented`]: its items would be jobs, of which a map knows nothing.
pub(crate) fn check_mapped(connectors: Option<&Connectors>, template: &TaskTemplate) -> Result<(), ApiError> {
    if connectors.is_some_and(|connectors| connectors.served.serves(template)) {
        return Err(ApiError::Unimplemented(format!(
            "task {} is of type {}, which a connector does; this server does not map over such tasks yet",
            name(template),
            template.r#type
        )));
    }
    Ok(())
}

fn unserved(template: &TaskTemplate, there: &str) -> String {
    let version = match template.task_type_version {
        0 => String::new(),
        version => format!(" (version {version})"),
    };
    format!(
        "task {} is of type {}{version}, which no connector does: {there}",
        name(template),
        template.r#type
    )
}

fn name(template: &TaskTemplate) -> &str {
    template.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default()
}

//! What is different between two executions, in the order in which one thing follows from another: what was launched, with which
//! inputs, in which settings; how their nodes went; what they gave, and how they ended. So the first difference is what
//! to look at.

mod short;

use crate::error::ApiError;
use crate::shared::Shared;
use crate::show::{self, Moment};
use crate::views::Tree;
use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use short::short;
use skein_idl::flyteidl::admin;
use skein_model::event::Created;
use skein_model::{DataRef, EntityId, ExecutionId, literals};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// How many differences are told, the first ones; the others are counted.
pub const DIFFERENCES_MAX: usize = 200;
/// How large inputs or outputs may be that are looked into by name; of larger ones it is said whether they are the same.
const VALUES_BYTES_MAX: u64 = 16 << 20;
/// What stands for what is not there.
const ABSENT: &str = "-";

/// What is different between two executions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The one, as `project/domain/name`.
    pub one: String,
    /// The other.
    pub other: String,
    /// What is different, the first first, at most [`DIFFERENCES_MAX`]; nothing where nothing is.
    pub differences: Vec<Difference>,
    /// How many differences there are beyond those.
    pub more: usize,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of what.
    pub part: Part,
    /// Its name there, such as that of an input.
    pub name: String,
    /// What the one has, short; `-` when it has none.
    pub one: String,
    /// What the other has.
    pub other: String,
}

/// What is compared, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What was launched, and in which version.
    Launched,
    /// What it was given.
    Inputs,
    /// The settings that it ran with: variables, labels and what else the request or the launch plan said.
    Settings,
    /// How its nodes went.
    Nodes,
    /// What it gave.
    Outputs,
    /// How it ended.
    End,
}

impl Part {
    /// Answers the word that stands for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Inputs => "inputs",
            Self::Settings => "settings",
            Self::Nodes => "nodes",
            Self::Outputs => "outputs",
            Self::End => "end",
        }
    }
}

/// Compares two executions as they are now.
///
/// # Errors
/// [`ApiError::NotFound`] when one is not there.
pub(crate) async fn read(shared: &Shared, one: &ExecutionId, other: &ExecutionId) -> Result<Diff, ApiError> {
    let trees =
        [show::fold(shared, one, Moment::Last).await?, show::fold(shared, other, Moment::Last).await?];
    let [a, b] = trees.each_ref().map(|tree| tree.created.as_deref());
    let (a, b) =
        (a.ok_or_else(|| ApiError::no_execution(one))?, b.ok_or_else(|| ApiError::no_execution(other))?);
    let mut found = Found::default();
    launched(&mut found, a, b);
    values(&mut found, shared, Part::Inputs, [Some(&a.inputs), Some(&b.inputs)]).await?;
    settings(&mut found, a, b);
    nodes(&mut found, &trees);
    values(&mut found, shared, Part::Outputs, trees.each_ref().map(|tree| tree.outputs.as_ref())).await?;
    end(&mut found, &trees);
    Ok(Diff {
        one: one.to_string(),
        other: other.to_string(),
        differences: found.differences,
        more: found.more,
    })
}

/// The differences so far.
#[derive(Default)]
struct Found {
    differences: Vec<Difference>,
    more: usize,
}

impl Found {
    fn text(&mut self, part: Part, name: &str, one: &str, other: &str) {
        if one == other {
            return;
        }
        self.note(part, name, one.to_owned(), other.to_owned());
    }

    fn note(&mut self, part: Part, name: &str, one: String, other: String) {
        if self.differences.len() >= DIFFERENCES_MAX {
            self.more += 1;
            return;
        }
        let shown = |text: String| if text.is_empty() { ABSENT.to_owned() } else { short::cut(text) };
        let (name, one, other) = (name.to_owned(), shown(one), shown(other));
        self.differences.push(Difference { part, name, one, other });
    }

    fn pairs(
        &mut self,
        part: Part,
        of: &str,
        one: &BTreeMap<String, String>,
        other: &BTreeMap<String, String>,
    ) {
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        for name in names.into_iter().filter(|name| one.get(*name) != other.get(*name)) {
            // A variable that is empty is another than one that is not there.
            let value = |of: &BTreeMap<String, String>| {
                of.get(name).map_or(String::new(), |text| format!("{text:?}"))
            };
            self.note(part, &format!("{of} {name}"), value(one), value(other));
        }
    }

    fn debug<T: Debug + PartialEq>(&mut self, part: Part, name: &str, one: &T, other: &T) {
        if one != other {
            self.note(part, name, format!("{one:?}"), format!("{other:?}"));
        }
    }
}

fn launched(found: &mut Found, one: &Created, other: &Created) {
    for (what, one, other) in
        [("", &one.launched, &other.launched), ("workflow ", &one.workflow, &other.workflow)]
    {
        let mut compare = |name: &str, of: fn(&EntityId) -> &str| {
            found.text(Part::Launched, &format!("{what}{name}"), of(one), of(other));
        };
        compare("kind", |id| id.kind.word());
        compare("project", |id| &id.project);
        compare("domain", |id| &id.domain);
        compare("name", |id| &id.name);
        compare("version", |id| &id.version);
    }
}

fn settings(found: &mut Found, one: &Created, other: &Created) {
    let (a, b) = (&one.settings, &other.settings);
    found.pairs(Part::Settings, "env", &a.envs, &b.envs);
    found.pairs(Part::Settings, "label", &a.labels, &b.labels);
    found.pairs(Part::Settings, "annotation", &a.annotations, &b.annotations);
    found.debug(Part::Settings, "tags", &a.tags, &b.tags);
    found.debug(Part::Settings, "overwrite_cache", &a.overwrite_cache, &b.overwrite_cache);
    let word = |set: Option<bool>| set.map_or(String::new(), |set| set.to_string());
    found.text(Part::Settings, "interruptible", &word(a.interruptible), &word(b.interruptible));
    found.debug(Part::Settings, "max_parallelism", &a.max_parallelism, &b.max_parallelism);
    found.debug(Part::Settings, "quota", &a.quota, &b.quota);
    found.debug(Part::Settings, "notifications", &a.notifications, &b.notifications);
    found.debug(Part::Settings, "disable_notifications", &a.tells_nobody, &b.tells_nobody);
    found.text(Part::Settings, "principal", &one.principal, &other.principal);
    // What only the request's own form has.
    let spec = |of: &Created| admin::ExecutionSpec::decode(of.spec.as_ref()).unwrap_or_default();
    let (a, b) = (spec(one), spec(other));
    let raw = |of: &admin::ExecutionSpec| {
        of.raw_output_data_config.as_ref().map_or(String::new(), |raw| raw.output_location_prefix.clone())
    };
    found.text(Part::Settings, "raw_output_data_prefix", &raw(&a), &raw(&b));
    let pool = |of: &admin::ExecutionSpec| {
        of.cluster_assignment.as_ref().map_or(String::new(), |of| of.cluster_pool_name.clone())
    };
    found.text(Part::Settings, "cluster_pool", &pool(&a), &pool(&b));
    let account = |of: &admin::ExecutionSpec| {
        let run_as = of.security_context.as_ref().and_then(|context| context.run_as.as_ref());
        run_as.map_or(String::new(), |run_as| run_as.k8s_service_account.clone())
    };
    found.text(Part::Settings, "service_account", &account(&a), &account(&b));
}

/// Compares the nodes in the order in which those of the one began.
fn nodes(found: &mut Found, [one, other]: &[Tree; 2]) {
    let (ones, others) = (one.nodes(), other.nodes());
    let known: BTreeMap<&str, _> = others.iter().map(|(id, node, ..)| (*id, *node)).collect();
    for (id, node, ..) in &ones {
        let Some(its) = known.get(id) else {
            found.note(Part::Nodes, &format!("{id} phase"), node.word().to_owned(), String::new());
            continue;
        };
        found.text(Part::Nodes, &format!("{id} phase"), node.word(), its.word());
        let [error, others_error] = [*node, *its].map(|node| node.error.as_ref().map(short::error));
        let (error, others_error) = (error.unwrap_or_default(), others_error.unwrap_or_default());
        found.text(Part::Nodes, &format!("{id} error"), &error, &others_error);
    }
    let known: BTreeSet<&str> = ones.iter().map(|(id, ..)| *id).collect();
    for (id, node, ..) in others.iter().filter(|(id, ..)| !known.contains(id)) {
        found.note(Part::Nodes, &format!("{id} phase"), String::new(), node.word().to_owned());
    }
}

fn end(found: &mut Found, trees: &[Tree; 2]) {
    let [one, other] = trees.each_ref().map(|tree| tree.phase.as_proto().as_str_name());
    found.text(Part::End, "phase", one, other);
    let [one, other] = trees.each_ref().map(|tree| tree.error.as_ref().map(short::error).unwrap_or_default());
    found.text(Part::End, "error", &one, &other);
}

/// Compares values by name.
async fn values(
    found: &mut Found,
    shared: &Shared,
    part: Part,
    [one, other]: [Option<&DataRef>; 2],
) -> Result<(), ApiError> {
    if one.zip(other).is_some_and(|(one, other)| is_same(one, other)) {
        return Ok(());
    }
    let is_large = |of: Option<&DataRef>| of.is_some_and(|data| data.size() > VALUES_BYTES_MAX);
    if is_large(one) || is_large(other) {
        let size = |of: Option<&DataRef>| of.map_or(String::new(), |data| format!("{} bytes", data.size()));
        found.note(part, "all of them", size(one), size(other));
        return Ok(());
    }
    let (one, other) = (named(shared, one).await?, named(shared, other).await?);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for name in names {
        let (a, b) = (one.get(name), other.get(name));
        let means_the_same = || {
            let decoded = |bytes: &Bytes| skein_idl::flyteidl::core::Literal::decode(bytes.clone()).ok();
            a.zip(b).is_some_and(|(a, b)| decoded(a).is_some_and(|a| Some(a) == decoded(b)))
        };
        if a != b && !means_the_same() {
            let text = |value: Option<&Bytes>| value.map(|bytes| short(bytes)).unwrap_or_default();
            found.note(part, name, text(a), text(b));
        }
    }
    Ok(())
}

fn is_same(one: &DataRef, other: &DataRef) -> bool {
    match (one, other) {
        (DataRef::Blob(one), DataRef::Blob(other)) => (one.size, one.digest) == (other.size, other.digest),
        (DataRef::Inline(one), DataRef::Inline(other)) => one == other,
        (DataRef::Blob(_), DataRef::Inline(_)) | (DataRef::Inline(_), DataRef::Blob(_)) => false,
    }
}

async fn named(shared: &Shared, data: Option<&DataRef>) -> Result<BTreeMap<String, Bytes>, ApiError> {
    let Some(data) = data else { return Ok(BTreeMap::new()) };
    let bytes = shared.blobs.load(data).await?;
    let entries = literals::literal_map_entries(&bytes)
        .map_err(|error| ApiError::internal("values of an execution", &error))?;
    Ok(entries.into_iter().collect())
}

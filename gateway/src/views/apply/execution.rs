//! Writes what an event of an execution changes.

mod cache;
mod map;

use super::super::blobs::{encode, encode_data, encode_named};
use super::super::fold::{AttemptChange, Change, Error, InsideEdge, MadeNodes, NodeChange, changes};
use super::{Plan, PlanNode, PlanNodeKind};
use prost::Message as _;
use rusqlite::{OptionalExtension, Transaction, params};
use skein_idl::flyteidl::{admin, core};
use skein_model::event::Created;
use skein_model::nested;
use skein_model::{Attempt, DataRef, Event, ExecutionId, ExecutionPhase, Job, NodeId, NodePhase, Timestamp};

/// Writes one event of one execution.
///
/// # Errors
/// SQLite's.
pub(in super::super) fn apply_execution(
    tx: &Transaction<'_>,
    id: &ExecutionId,
    at: Timestamp,
    event: &Event,
    plan: &Plan,
) -> Result<(), rusqlite::Error> {
    if let Event::Created(created) = event {
        return insert(tx, at, created, plan);
    }
    let key: Option<i64> = tx
        .prepare_cached("SELECT key FROM executions WHERE project = ?1 AND domain = ?2 AND name = ?3")?
        .query_row(params![id.project, id.domain, id.name], |row| row.get(0))
        .optional()?;
    let Some(key) = key else {
        // A journal that does not begin with its creation is nothing a client could have asked for.
        tracing::warn!(execution = %id, "an execution without a beginning is left out of the views");
        return Ok(());
    };
    let row = Row { tx, key, at: at.as_micros() };
    if matches!(event, Event::NodesMade { .. }) {
        row.insert_made(plan)?;
    }
    changes(event).iter().try_for_each(|change| row.write(change))
}

fn insert(
    tx: &Transaction<'_>,
    at: Timestamp,
    created: &Created,
    plan: &Plan,
) -> Result<(), rusqlite::Error> {
    let spec = admin::ExecutionSpec::decode(created.spec.as_ref()).unwrap_or_default();
    let metadata = spec.metadata.unwrap_or_default();
    let Created { execution, launched, workflow, settings, .. } = created;
    let parent = metadata.parent_node_execution.map(|parent| parent.node_id).unwrap_or_default();
    let digest = created.plan.digest.cast_signed();
    tx.prepare_cached(
        "INSERT OR IGNORE INTO executions (project, domain, name, created_at, updated_at, phase, mode, state_at, principal,
            launch_kind, launch_project, launch_domain, launch_name, launch_version,
            workflow_project, workflow_domain, workflow_name, workflow_version, parent_node,
            spec, plan, plan_digest, inputs, user_inputs, data_prefix, raw_prefix, skips_end, interruptible)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?4, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
            ?22, ?23, ?24, ?25, ?26)",
    )?
    .execute(params![
        execution.project,
        execution.domain,
        execution.name,
        at.as_micros(),
        ExecutionPhase::Queued.as_proto() as i32,
        metadata.mode,
        created.principal,
        launched.kind.as_proto() as i32,
        launched.project,
        launched.domain,
        launched.name,
        launched.version,
        workflow.project,
        workflow.domain,
        workflow.name,
        workflow.version,
        parent,
        created.spec.as_ref(),
        encode(&created.plan),
        digest,
        encode_data(&created.inputs),
        encode_data(&created.user_inputs),
        created.data_prefix,
        created.raw_prefix,
        plan.skips_end,
        settings.interruptible,
    ])?;
    let key = tx.last_insert_rowid();
    let mut tag = tx.prepare_cached("INSERT OR IGNORE INTO execution_tags VALUES (?1, ?2, ?3, ?4)")?;
    for (name, value) in &settings.labels {
        tag.execute(params![key, name, value, 1])?;
    }
    for name in &settings.tags {
        tag.execute(params![key, name, "", 0])?;
    }
    insert_plan(tx, digest, 0, plan)
}

/// Writes the nodes of a plan, which all executions of it share, or those that a task of one execution made.
fn insert_plan(tx: &Transaction<'_>, key: i64, first: u32, plan: &Plan) -> Result<(), rusqlite::Error> {
    let mut node = tx.prepare_cached(
        "INSERT OR IGNORE INTO plan_nodes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for (place, of) in (first..).zip(&plan.nodes) {
        let PlanNode {
            id,
            spec_id,
            parent,
            kind,
            task,
            task_type,
            upstream,
            handles_failure,
            timeout: _,
            cache,
            interruptible,
            actor: _,
            resources,
            settings: _,
        } = of;
        node.execute(params![
            key,
            id,
            *kind == PlanNodeKind::Map,
            task_type,
            task.project,
            task.domain,
            task.name,
            task.version,
            place,
            encode(upstream),
            handles_failure,
            cache.as_ref().map(encode),
            encode(interruptible),
            encode_named(resources),
            parent.as_deref().unwrap_or_default(),
            spec_id,
        ])?;
    }
    Ok(())
}

/// One execution's rows, at the time of one record.
struct Row<'t> {
    tx: &'t Transaction<'t>,
    key: i64,
    at: i64,
}

impl Row<'_> {
    fn write(&self, change: &Change<'_>) -> Result<(), rusqlite::Error> {
        match change {
            // Written by `insert`, which needs no key yet.
            Change::Created(_) => Ok(()),
            Change::Phase(phase) => self.phase(*phase),
            Change::Outputs(outputs) => {
                self.set("outputs = ?3", params![self.key, self.at, encode_data(outputs)])
            }
            Change::Error(Error { code, message, kind }) => self.set(
                "error_code = ?3, error_message = ?4, error_kind = ?5",
                params![self.key, self.at, code, message, *kind as i32],
            ),
            Change::Abort { cause, principal } => self
                .set("abort_cause = ?3, abort_principal = ?4", params![self.key, self.at, cause, principal]),
            Change::Archived { archived, principal } => self.set(
                "state = ?3, state_at = ?2, state_principal = ?4",
                params![self.key, self.at, archived, principal],
            ),
            Change::StartNode => self.edge_node((NodeId::START, NodeId::START), None, None),
            Change::EndNode(outputs) => {
                self.edge_node((NodeId::END, NodeId::END), None, Some(encode_data(outputs)))
            }
            Change::Inside(node, edge) => self.inside(node, edge),
            Change::Made(node, made) => self.made(node, made),
            Change::SignalAsked(signal, of) => self.signal_asked(signal, of),
            Change::SignalSet(signal, value) => self.signal_set(signal, value),
            Change::Child(node, child) => self.note(node, "child", &encode(child)),
            Change::EndNodeSkipped => self.skip_end_node(),
            Change::Node(node, change) => self.node(node, change),
            Change::Cache(node, change) => self.cache(node, change),
            Change::CachedItems(node, items) => self.cached_items(node, items),
            Change::Attempt(node, attempt, change) => self.attempt(node, *attempt, change),
            Change::Job(node, attempt, job) => self.job(node, *attempt, job),
            Change::Map(node, size) => self.map(node, *size),
            Change::Chunk(node, chunk, again) => self.chunk(node, chunk, *again),
            Change::EndMap(node, phase, error) => self.end_map(node, *phase, error.as_ref()),
        }
    }

    /// Writes the nodes that a task made, after all that there are.
    fn insert_made(&self, plan: &Plan) -> Result<(), rusqlite::Error> {
        let first: u32 = self
            .tx
            .prepare_cached(
                "SELECT coalesce(max(place) + 1, 0) FROM plan_nodes
                WHERE plan IN ((SELECT plan_digest FROM executions WHERE key = ?1), -?1)",
            )?
            .query_row([self.key], |row| row.get(0))?;
        insert_plan(self.tx, -self.key, first, plan)
    }

    fn set(&self, assignments: &str, values: impl rusqlite::Params) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(&format!("UPDATE executions SET updated_at = ?2, {assignments} WHERE key = ?1"))?
            .execute(values)?;
        Ok(())
    }

    fn phase(&self, phase: ExecutionPhase) -> Result<(), rusqlite::Error> {
        let number = phase.as_proto() as i32;
        if phase == ExecutionPhase::Running {
            return self.set(
                "phase = ?3, started_at = coalesce(started_at, ?2)",
                params![self.key, self.at, number],
            );
        }
        let ended = phase.is_terminal().then_some(self.at);
        self.set("phase = ?3, ended_at = coalesce(ended_at, ?4)", params![self.key, self.at, number, ended])
    }

    fn edge_node(
        &self,
        (node, edge): (&str, &str),
        inside: Option<&NodeId>,
        data: Option<Vec<u8>>,
    ) -> Result<(), rusqlite::Error> {
        let parent = inside.map_or("", NodeId::as_str);
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO nodes (execution, node_id, phase, created_at, updated_at, inputs, outputs, parent,
                    edge) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?5, ?6, ?7)",
            )?
            .execute(params![self.key, node, NodePhase::Succeeded.as_proto() as i32, self.at, data, parent, edge])?;
        Ok(())
    }

    /// Writes the start or the end node of what is inside another one.
    fn inside(&self, node: &NodeId, edge: &InsideEdge<'_>) -> Result<(), rusqlite::Error> {
        match edge {
            InsideEdge::Start(attempt) => {
                let id = nested::child_id(node, *attempt, NodeId::START);
                let inputs: Option<Vec<u8>> = self
                    .tx
                    .prepare_cached("SELECT inputs FROM nodes WHERE execution = ?1 AND node_id = ?2")?
                    .query_row(params![self.key, node.as_str()], |row| row.get(0))
                    .optional()?
                    .flatten();
                self.edge_node((id.as_str(), NodeId::START), Some(node), inputs)
            }
            InsideEdge::StartMade(attempt) => {
                let id = nested::child_id(node, *attempt, NodeId::START);
                let nothing = encode_data(&DataRef::empty());
                self.edge_node((id.as_str(), NodeId::START), Some(node), Some(nothing))
            }
            InsideEdge::End(attempt, outputs) => {
                let id = nested::child_id(node, *attempt, NodeId::END);
                self.outputs_of_maker(node, outputs)?;
                self.edge_node((id.as_str(), NodeId::END), Some(node), Some(encode_data(outputs)))
            }
        }
    }

    fn signal_asked(&self, signal: &str, of: &[u8]) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO signals (execution, signal_id, type, created_at, updated_at)
                VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute(params![self.key, signal, of, self.at])?;
        Ok(())
    }

    fn signal_set(&self, signal: &str, value: &[u8]) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "UPDATE signals SET value = ?3, updated_at = ?4 WHERE execution = ?1 AND signal_id = ?2",
            )?
            .execute(params![self.key, signal, value, self.at])?;
        Ok(())
    }

    /// Notes something of a node by its column.
    fn note(&self, node: &NodeId, column: &str, value: &[u8]) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(&format!("UPDATE nodes SET {column} = ?3 WHERE execution = ?1 AND node_id = ?2"))?
            .execute(params![self.key, node.as_str(), value])?;
        Ok(())
    }

    /// Notes which nodes a task made. What the try gives is what they will give, which is nothing yet.
    fn made(&self, node: &NodeId, made: &MadeNodes) -> Result<(), rusqlite::Error> {
        self.note(node, "made", &encode(made))?;
        self.outputs_of_maker(node, &DataRef::empty())
    }

    /// Writes what the nodes that a task made have given as the outputs of the try that made them; of no other node.
    fn outputs_of_maker(&self, node: &NodeId, outputs: &DataRef) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "UPDATE attempts SET outputs = ?3 WHERE execution = ?1 AND node_id = ?2
                AND attempt = (SELECT max(attempt) FROM attempts WHERE execution = ?1 AND node_id = ?2)
                AND EXISTS (SELECT 1 FROM nodes WHERE execution = ?1 AND node_id = ?2 AND made IS NOT NULL)",
            )?
            .execute(params![self.key, node.as_str(), encode_data(outputs)])?;
        Ok(())
    }

    fn skip_end_node(&self) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO nodes (execution, node_id, phase, created_at, updated_at, inputs, edge)
                SELECT key, ?2, ?3, ?4, ?4, ?5, ?2 FROM executions WHERE key = ?1 AND skips_end",
            )?
            .execute(params![
                self.key,
                NodeId::END,
                NodePhase::Skipped.as_proto() as i32,
                self.at,
                encode_data(&DataRef::empty())
            ])?;
        Ok(())
    }

    fn node(&self, node: &NodeId, change: &NodeChange<'_>) -> Result<(), rusqlite::Error> {
        let NodeChange { phase, inputs, outputs, error } = change;
        let started = (*phase == NodePhase::Running).then_some(self.at);
        let ended = phase.is_terminal().then_some(self.at);
        self.tx
            .prepare_cached(
                "INSERT INTO nodes (execution, node_id, phase, created_at, updated_at, started_at, ended_at,
                    inputs, outputs, error_code, error_message, error_kind, parent)
                VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, coalesce((SELECT parent FROM plan_nodes
                    WHERE plan IN ((SELECT plan_digest FROM executions WHERE key = ?1), -?1) AND node_id = ?2), ''))
                ON CONFLICT DO UPDATE SET phase = excluded.phase, updated_at = excluded.updated_at,
                    started_at = coalesce(started_at, excluded.started_at), ended_at = excluded.ended_at,
                    inputs = coalesce(excluded.inputs, inputs), outputs = coalesce(excluded.outputs, outputs),
                    error_code = excluded.error_code, error_message = excluded.error_message,
                    error_kind = excluded.error_kind",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                phase.as_proto() as i32,
                self.at,
                started,
                ended,
                inputs.map(encode_data),
                outputs.map(encode_data),
                error.as_ref().map(|error| &error.code),
                error.as_ref().map(|error| &error.message),
                error.as_ref().map(|error| error.kind as i32),
            ])?;
        Ok(())
    }

    /// Writes what a connector told of a try's job. Before it runs it has no start.
    fn job(&self, node: &NodeId, attempt: Attempt, job: &Job) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "UPDATE attempts SET job = ?4, updated_at = ?5, phase = coalesce(?6, phase)
                WHERE execution = ?1 AND node_id = ?2 AND attempt = ?3",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                attempt.0,
                encode_named(job),
                self.at,
                job.phase.as_proto().map(|phase| phase as i32),
            ])?;
        Ok(())
    }

    fn attempt(
        &self,
        node: &NodeId,
        attempt: Attempt,
        change: &AttemptChange<'_>,
    ) -> Result<(), rusqlite::Error> {
        use core::task_execution::Phase;
        let AttemptChange { phase, worker, place, micros_ago, not_before, moved, outputs, deck, error, used } =
            change;
        let started = (*phase == Phase::Running).then_some(self.at.saturating_sub_unsigned(*micros_ago));
        let ended = matches!(phase, Phase::Succeeded | Phase::Failed | Phase::Aborted).then_some(self.at);
        self.tx
            .prepare_cached(
                "INSERT INTO attempts (execution, node_id, attempt, phase, created_at, updated_at, started_at, ended_at,
                    error_code, error_message, error_kind, outputs, worker, not_before, place, used)
                VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                ON CONFLICT DO UPDATE SET phase = excluded.phase, updated_at = excluded.updated_at,
                    started_at = coalesce(started_at, excluded.started_at), ended_at = excluded.ended_at,
                    error_code = excluded.error_code, error_message = excluded.error_message,
                    error_kind = excluded.error_kind, outputs = coalesce(excluded.outputs, outputs),
                    worker = CASE excluded.worker WHEN '' THEN worker ELSE excluded.worker END,
                    place = CASE excluded.worker WHEN '' THEN place ELSE excluded.place END,
                    not_before = excluded.not_before, used = coalesce(excluded.used, used)",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                attempt.0,
                *phase as i32,
                self.at,
                started,
                ended,
                error.as_ref().map(|error| &error.code),
                error.as_ref().map(|error| &error.message),
                error.as_ref().map(|error| error.kind as i32),
                outputs.map(encode_data),
                worker.unwrap_or_default(),
                not_before.map(Timestamp::as_micros),
                place.unwrap_or_default(),
                used.as_ref().map(encode),
            ])?;
        if let Some(reason) = moved {
            self.tx
                .prepare_cached(
                    "UPDATE attempts SET moved = ?4, moved_at = ?5 WHERE execution = ?1 AND node_id = ?2 AND attempt = ?3",
                )?
                .execute(params![self.key, node.as_str(), attempt.0, reason, self.at])?;
        }
        if let Some(deck) = deck {
            self.tx
                .prepare_cached("UPDATE nodes SET deck = ?3 WHERE execution = ?1 AND node_id = ?2")?
                .execute(params![self.key, node.as_str(), deck])?;
        }
        Ok(())
    }
}

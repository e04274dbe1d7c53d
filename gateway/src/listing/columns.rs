//! What may be filtered and sorted by, listing by listing.

use super::values::Kind;
use super::{Column, Join, Listing};

const fn column(name: &'static str, sql: &'static str, kind: Kind) -> Column {
    Column { name, sql, kind }
}

const ENTITY: &[Column] = &[
    column("id", "entities.name", Kind::Text),
    column("created_at", "entities.created_at", Kind::Time),
    column("updated_at", "entities.updated_at", Kind::Time),
    column("deleted_at", "NULL", Kind::Time),
    column("project", "entities.project", Kind::Text),
    column("domain", "entities.domain", Kind::Text),
    column("name", "entities.name", Kind::Text),
    column("version", "entities.version", Kind::Text),
    column("type", "entities.task_type", Kind::Text),
    column("short_description", "entities.short_description", Kind::Text),
];

const LAUNCH_PLAN: &[Column] = &[
    column("id", "entities.name", Kind::Text),
    column("created_at", "entities.created_at", Kind::Time),
    column("updated_at", "entities.updated_at", Kind::Time),
    column("deleted_at", "NULL", Kind::Time),
    column("project", "entities.project", Kind::Text),
    column("domain", "entities.domain", Kind::Text),
    column("name", "entities.name", Kind::Text),
    column("version", "entities.version", Kind::Text),
    column("state", "entities.state", Kind::LaunchPlanState),
    column("schedule_type", "entities.schedule_type", Kind::Integer),
    column("workflow_id", "entities.workflow_name", Kind::Text),
];

const ENTITY_ORDER: &str =
    "entities.created_at DESC, entities.name, entities.version, entities.project, entities.domain";

/// Tasks.
pub(crate) const ENTITIES_TASK: Listing = Listing {
    method: "ListTasks",
    alias: "t",
    prefix: "task",
    from: "entities",
    columns: ENTITY,
    joins: &[],
    order: ENTITY_ORDER,
};

/// Workflows.
pub(crate) const ENTITIES_WORKFLOW: Listing = Listing {
    method: "ListWorkflows",
    alias: "w",
    prefix: "workflow",
    from: "entities",
    columns: ENTITY,
    joins: &[],
    order: ENTITY_ORDER,
};

/// Launch plans.
pub(crate) const ENTITIES_LAUNCH_PLAN: Listing = Listing {
    method: "ListLaunchPlans",
    alias: "l",
    prefix: "launch_plan",
    from: "entities",
    columns: LAUNCH_PLAN,
    joins: &[Join {
        prefix: "workflow",
        columns: &[
            column("project", "entities.workflow_project", Kind::Text),
            column("domain", "entities.workflow_domain", Kind::Text),
            column("name", "entities.workflow_name", Kind::Text),
            column("version", "entities.workflow_version", Kind::Text),
        ],
        exists: None,
    }],
    order: ENTITY_ORDER,
};

/// Names of definitions, without their versions.
pub(crate) const NAMED_ENTITIES: Listing = Listing {
    method: "ListNamedEntities",
    alias: "nen",
    prefix: "entities",
    from: "named_entities",
    columns: &[
        column("project", "named_entities.project", Kind::Text),
        column("domain", "named_entities.domain", Kind::Text),
        column("name", "named_entities.name", Kind::Text),
        column("state", "named_entities.state", Kind::NamedEntityState),
        column("created_at", "named_entities.created_at", Kind::Time),
        column("updated_at", "named_entities.updated_at", Kind::Time),
    ],
    joins: &[Join {
        prefix: "named_entity_metadata",
        columns: &[
            column("state", "named_entities.state", Kind::NamedEntityState),
            column("description", "named_entities.description", Kind::Text),
        ],
        exists: None,
    }],
    order: "named_entities.name, named_entities.project, named_entities.domain",
};

/// Projects.
pub(crate) const PROJECTS: Listing = Listing {
    method: "ListProjects",
    alias: "p",
    prefix: "project",
    from: "projects",
    columns: &[
        column("identifier", "projects.id", Kind::Text),
        column("id", "projects.id", Kind::Text),
        column("name", "projects.name", Kind::Text),
        column("description", "projects.description", Kind::Text),
        column("state", "projects.state", Kind::ProjectState),
        column("created_at", "projects.created_at", Kind::Time),
        column("updated_at", "projects.updated_at", Kind::Time),
    ],
    joins: &[],
    order: "projects.created_at, projects.id",
};

const EXECUTION: &[Column] = &[
    column("id", "executions.name", Kind::Text),
    column("created_at", "executions.created_at", Kind::Time),
    column("updated_at", "executions.updated_at", Kind::Time),
    column("deleted_at", "NULL", Kind::Time),
    column("phase", "executions.phase", Kind::ExecutionPhase),
    column("started_at", "executions.started_at", Kind::Time),
    column("execution_created_at", "executions.created_at", Kind::Time),
    column("execution_updated_at", "executions.updated_at", Kind::Time),
    column("duration", "(executions.ended_at - executions.started_at)", Kind::Duration),
    column("abort_cause", "executions.abort_cause", Kind::Text),
    column("mode", "executions.mode", Kind::Mode),
    column("cluster", "''", Kind::Text),
    column("error_kind", "executions.error_kind", Kind::ErrorOrigin),
    column("error_code", "executions.error_code", Kind::Text),
    column("user", "executions.principal", Kind::Text),
    column("state", "executions.state", Kind::ExecutionState),
    column("launch_entity", "executions.launch_kind", Kind::Resource),
    column("parent_node_execution_id", "executions.parent_node", Kind::Text),
    column("project", "executions.project", Kind::Text),
    column("domain", "executions.domain", Kind::Text),
    column("name", "executions.name", Kind::Text),
];

/// Executions.
pub(crate) const EXECUTIONS: Listing = Listing {
    method: "ListExecutions",
    alias: "e",
    prefix: "execution",
    from: "executions",
    columns: EXECUTION,
    joins: &[
        Join {
            prefix: "workflow",
            columns: &[
                column("project", "executions.workflow_project", Kind::Text),
                column("domain", "executions.workflow_domain", Kind::Text),
                column("name", "executions.workflow_name", Kind::Text),
                column("version", "executions.workflow_version", Kind::Text),
            ],
            exists: None,
        },
        Join {
            prefix: "launch_plan",
            columns: &[
                column(
                    "project",
                    "iif(executions.launch_kind = 3, executions.launch_project, NULL)",
                    Kind::Text,
                ),
                column(
                    "domain",
                    "iif(executions.launch_kind = 3, executions.launch_domain, NULL)",
                    Kind::Text,
                ),
                column("name", "iif(executions.launch_kind = 3, executions.launch_name, NULL)", Kind::Text),
                column(
                    "version",
                    "iif(executions.launch_kind = 3, executions.launch_version, NULL)",
                    Kind::Text,
                ),
            ],
            exists: None,
        },
        Join {
            prefix: "task",
            columns: &[
                column(
                    "project",
                    "iif(executions.launch_kind = 1, executions.launch_project, NULL)",
                    Kind::Text,
                ),
                column(
                    "domain",
                    "iif(executions.launch_kind = 1, executions.launch_domain, NULL)",
                    Kind::Text,
                ),
                column("name", "iif(executions.launch_kind = 1, executions.launch_name, NULL)", Kind::Text),
                column(
                    "version",
                    "iif(executions.launch_kind = 1, executions.launch_version, NULL)",
                    Kind::Text,
                ),
            ],
            exists: None,
        },
        Join {
            prefix: "execution_tag",
            columns: &[column("key", "t.tag", Kind::Text), column("value", "t.value", Kind::Text)],
            exists: Some("EXISTS (SELECT 1 FROM execution_tags t WHERE t.execution = executions.key AND {})"),
        },
        Join {
            prefix: "admin_tag",
            columns: &[column("name", "t.tag", Kind::Text)],
            exists: Some(
                "EXISTS (SELECT 1 FROM execution_tags t WHERE t.execution = executions.key AND t.label = 0 AND {})",
            ),
        },
    ],
    order: "executions.created_at DESC, executions.name, executions.project, executions.domain",
};

/// Nodes of executions.
pub(crate) const NODES: Listing = Listing {
    method: "ListNodeExecutions",
    alias: "ne",
    prefix: "node_execution",
    from: "nodes JOIN executions ON executions.key = nodes.execution",
    columns: &[
        column("id", "nodes.node_id", Kind::Text),
        column("created_at", "nodes.created_at", Kind::Time),
        column("updated_at", "nodes.updated_at", Kind::Time),
        column("deleted_at", "NULL", Kind::Time),
        column("node_id", "nodes.node_id", Kind::Text),
        column("phase", "nodes.phase", Kind::NodePhase),
        column(
            "input_uri",
            "executions.data_prefix || '/' || nodes.node_id || '/data/inputs.pb'",
            Kind::Text,
        ),
        column("started_at", "nodes.started_at", Kind::Time),
        column("node_execution_created_at", "nodes.created_at", Kind::Time),
        column("node_execution_updated_at", "nodes.updated_at", Kind::Time),
        column("duration", "(nodes.ended_at - nodes.started_at)", Kind::Duration),
        column("parent_id", "NULL", Kind::Integer),
        column("error_kind", "nodes.error_kind", Kind::ErrorOrigin),
        column("error_code", "nodes.error_code", Kind::Text),
        column("cache_status", "nodes.cache_status", Kind::CacheStatus),
    ],
    joins: &[Join { prefix: "execution", columns: EXECUTION, exists: None }],
    order: "nodes.node_id",
};

/// Signals of executions.
pub(crate) const SIGNALS: Listing = Listing {
    method: "ListSignals",
    alias: "s",
    prefix: "signal",
    from: "signals JOIN executions ON executions.key = signals.execution",
    columns: &[
        column("id", "signals.signal_id", Kind::Text),
        column("signal_id", "signals.signal_id", Kind::Text),
        column("created_at", "signals.created_at", Kind::Time),
        column("updated_at", "signals.updated_at", Kind::Time),
        column("deleted_at", "NULL", Kind::Time),
    ],
    joins: &[Join { prefix: "execution", columns: EXECUTION, exists: None }],
    order: "signals.signal_id",
};

/// Tries of a node's task.
pub(crate) const TASK_EXECUTIONS: Listing = Listing {
    method: "ListTaskExecutions",
    alias: "te",
    prefix: "task_execution",
    from: "attempts JOIN executions ON executions.key = attempts.execution \
        JOIN nodes ON nodes.execution = attempts.execution AND nodes.node_id = attempts.node_id \
        LEFT JOIN plan_nodes ON plan_nodes.plan IN (executions.plan_digest, -executions.key) AND plan_nodes.node_id = attempts.node_id",
    columns: &[
        column("id", "attempts.attempt", Kind::Integer),
        column("created_at", "attempts.created_at", Kind::Time),
        column("updated_at", "attempts.updated_at", Kind::Time),
        column("deleted_at", "NULL", Kind::Time),
        column("retry_attempt", "attempts.attempt", Kind::Integer),
        column("phase", "attempts.phase", Kind::TaskPhase),
        column("phase_version", "0", Kind::Integer),
        column("started_at", "attempts.started_at", Kind::Time),
        column("task_execution_created_at", "attempts.created_at", Kind::Time),
        column("task_execution_updated_at", "attempts.updated_at", Kind::Time),
        column("duration", "(attempts.ended_at - attempts.started_at)", Kind::Duration),
        column(
            "input_uri",
            "executions.data_prefix || '/' || nodes.node_id || '/data/inputs.pb'",
            Kind::Text,
        ),
    ],
    joins: &[
        Join {
            prefix: "task",
            columns: &[
                column("project", "plan_nodes.task_project", Kind::Text),
                column("domain", "plan_nodes.task_domain", Kind::Text),
                column("name", "plan_nodes.task_name", Kind::Text),
                column("version", "plan_nodes.task_version", Kind::Text),
                column("type", "plan_nodes.task_type", Kind::Text),
            ],
            exists: None,
        },
        Join { prefix: "execution", columns: EXECUTION, exists: None },
        Join {
            prefix: "node_execution",
            columns: &[
                column("node_id", "nodes.node_id", Kind::Text),
                column("phase", "nodes.phase", Kind::NodePhase),
            ],
            exists: None,
        },
    ],
    order: "attempts.attempt, attempts.node_id",
};

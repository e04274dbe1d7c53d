//! Nodes within nodes: lays a compiled workflow out flat, so that engine and gateway give every node of it, at any depth, the
//! same id (contract 5.2).
//!
//! A child is named `<parent>-<attempt of the parent>-<its own id>`; a name longer than [`NODE_ID_CHARS_MAX`], or taken by
//! another node, is replaced by `f` and a hash of it. Nothing here recurses: how deep nodes are nested is for whoever wrote them.

use crate::compile::{NODES_MAX, inner_nodes};
use crate::ids::{Attempt, NodeId};
use skein_idl::flyteidl::core::{
    CompiledWorkflowClosure, Identifier, Node, WorkflowTemplate, node, workflow_node,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The longest id of a nested node, in characters: it becomes a part of a pod's name.
pub const NODE_ID_CHARS_MAX: usize = 63;

/// A compiled workflow with all that is nested in it.
#[derive(Debug)]
pub struct Tree<'c> {
    /// All nodes but the start and end nodes. Those of the workflow itself come first, in its order, its failure node after them.
    pub nodes: Vec<Placed<'c>>,
    /// The workflow itself, and every sub-workflow as often as it is used.
    pub scopes: Vec<Scope<'c>>,
}

/// One node.
#[derive(Debug)]
pub struct Placed<'c> {
    /// Its id in the execution.
    pub id: NodeId,
    /// What the compiler says of it; its `id` there is unique in its workflow alone.
    pub node: &'c Node,
    /// The workflow among whose nodes its bindings look, a place in [`Tree::scopes`].
    pub scope: usize,
    /// The node that it is a child of, a place in [`Tree::nodes`]; none for nodes of the workflow itself.
    pub parent: Option<usize>,
    /// What is inside it.
    pub inside: Inside,
}

/// What is inside a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// No other nodes.
    #[default]
    Nothing,
    /// The nodes of a branch, of which at most one runs: those of its cases in order, then the one for none of them if there is one.
    Cases(Vec<usize>),
    /// A sub-workflow, a place in [`Tree::scopes`].
    Scope(usize),
}

/// A workflow in its place.
#[derive(Debug)]
pub struct Scope<'c> {
    /// It.
    pub template: &'c WorkflowTemplate,
    /// The node that runs it; none for the workflow itself.
    pub parent: Option<usize>,
    /// Its nodes, places in [`Tree::nodes`], in its order, without the failure node.
    pub nodes: Vec<usize>,
    /// The node that runs when it fails.
    pub failure_node: Option<usize>,
}

/// A compiled workflow that cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Something is missing that the compiler puts there.
    #[error("the compiled workflow is not whole: {what}")]
    Incomplete {
        /// What is missing, and where.
        what: String,
    },
    /// More nodes than an execution may have.
    #[error("the workflow has more than {NODES_MAX} nodes with its sub-workflows")]
    TooMany,
}

/// Names the first nodes of a workflow: by their own ids, or, for one that a node made, as children of that.
pub type Made<'a> = Option<(&'a NodeId, Attempt)>;

/// Lays out `closure`; `made` is the node that made it and by which try, when a dynamic node did.
///
/// # Errors
/// [`LayoutError`] when something is missing, or there are too many nodes.
pub fn lay_out<'c>(closure: &'c CompiledWorkflowClosure, made: Made<'_>) -> Result<Tree<'c>, LayoutError> {
    let primary = closure.primary.as_ref().and_then(|primary| primary.template.as_ref());
    let primary = primary.ok_or_else(|| LayoutError::Incomplete { what: "primary template".to_owned() })?;
    let others = closure.sub_workflows.iter().filter_map(|workflow| workflow.template.as_ref());
    let others = others.filter_map(|template| Some((key(template.id.as_ref()?), template))).collect();
    let mut layout = Layout {
        others,
        tree: Tree { nodes: Vec::new(), scopes: Vec::new() },
        ids: BTreeSet::new(),
        open: VecDeque::new(),
    };
    let prefix = made.map(|(node, attempt)| child_prefix(node, attempt)).unwrap_or_default();
    layout.add_scope(primary, None, &prefix)?;
    while let Some(place) = layout.open.pop_front() {
        layout.expand(place)?;
    }
    Ok(layout.tree)
}

/// Answers what the ids of a node's children begin with.
pub fn child_prefix(node: &NodeId, attempt: Attempt) -> String {
    format!("{node}-{attempt}-")
}

/// Answers the id of a child, unless another node has that.
pub fn child_id(node: &NodeId, attempt: Attempt, own: &str) -> NodeId {
    let full = format!("{}{own}", child_prefix(node, attempt));
    if full.len() <= NODE_ID_CHARS_MAX { NodeId::new(full) } else { hashed(&full) }
}

fn hashed(full: &str) -> NodeId {
    NodeId::new(format!("f{:016x}", xxhash_rust::xxh3::xxh3_64(full.as_bytes())))
}

struct Layout<'c> {
    others: BTreeMap<String, &'c WorkflowTemplate>,
    tree: Tree<'c>,
    ids: BTreeSet<NodeId>,
    /// Nodes whose inside is not laid out yet.
    open: VecDeque<usize>,
}

impl<'c> Layout<'c> {
    fn add_scope(
        &mut self,
        template: &'c WorkflowTemplate,
        parent: Option<usize>,
        prefix: &str,
    ) -> Result<usize, LayoutError> {
        let scope = self.tree.scopes.len();
        self.tree.scopes.push(Scope { template, parent, nodes: Vec::new(), failure_node: None });
        let is_real = |node: &&Node| node.id != NodeId::START && node.id != NodeId::END;
        let mut nodes = Vec::new();
        for node in template.nodes.iter().filter(is_real) {
            nodes.push(self.add(node, scope, parent, prefix)?);
        }
        let failure_node = template.failure_node.as_ref();
        let failure_node = failure_node.map(|node| self.add(node, scope, parent, prefix)).transpose()?;
        self.tree.scopes[scope].nodes = nodes;
        self.tree.scopes[scope].failure_node = failure_node;
        Ok(scope)
    }

    fn add(
        &mut self,
        node: &'c Node,
        scope: usize,
        parent: Option<usize>,
        prefix: &str,
    ) -> Result<usize, LayoutError> {
        let place = self.tree.nodes.len();
        if place as u64 >= NODES_MAX {
            return Err(LayoutError::TooMany);
        }
        let id = self.id(prefix, &node.id);
        self.ids.insert(id.clone());
        self.tree.nodes.push(Placed { id, node, scope, parent, inside: Inside::Nothing });
        if matches!(node.target, Some(node::Target::BranchNode(_) | node::Target::WorkflowNode(_))) {
            self.open.push_back(place);
        }
        Ok(place)
    }

    fn id(&self, prefix: &str, own: &str) -> NodeId {
        let full = format!("{prefix}{own}");
        if prefix.is_empty() {
            return NodeId::new(full);
        }
        let id = NodeId::new(full.as_str());
        if full.len() <= NODE_ID_CHARS_MAX && !self.ids.contains(&id) {
            return id;
        }
        hashed(&full)
    }

    fn expand(&mut self, place: usize) -> Result<(), LayoutError> {
        let Placed { node, scope, ref id, .. } = self.tree.nodes[place];
        let prefix = child_prefix(id, Attempt(0));
        self.tree.nodes[place].inside = match &node.target {
            Some(node::Target::BranchNode(branch)) => {
                let mut children = Vec::new();
                for inner in inner_nodes(branch) {
                    children.push(self.add(inner, scope, Some(place), &prefix)?);
                }
                Inside::Cases(children)
            }
            Some(node::Target::WorkflowNode(inner)) => match &inner.reference {
                Some(workflow_node::Reference::SubWorkflowRef(id)) => {
                    let template = self.others.get(&key(id)).copied();
                    let template = template.ok_or_else(|| missing_workflow(&node.id, id))?;
                    Inside::Scope(self.add_scope(template, Some(place), &prefix)?)
                }
                Some(workflow_node::Reference::LaunchplanRef(_)) | None => Inside::Nothing,
            },
            _ => Inside::Nothing,
        };
        Ok(())
    }
}

fn missing_workflow(node: &str, id: &Identifier) -> LayoutError {
    LayoutError::Incomplete { what: format!("node {node} runs workflow {}, which is not there", id.name) }
}

fn key(id: &Identifier) -> String {
    format!("{}\0{}\0{}\0{}", id.project, id.domain, id.name, id.version)
}

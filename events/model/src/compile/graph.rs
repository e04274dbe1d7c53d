//! Which node waits for which. Walks without recursion: a chain may be as long as a workflow is large.

use super::NODE_DEPTH_MAX;
use super::errors::{Code, Collector, Site};
use super::nodes::{inner_nodes, promises_in};
use crate::ids::NodeId;
use skein_idl::flyteidl::core::connection_set::IdList;
use skein_idl::flyteidl::core::{Binding, ConnectionSet, Node, node};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many cycles are told apart; a workflow with more has one cause.
const CYCLES_MAX: usize = 10;

/// The outermost nodes of a workflow, by position, and what each waits for.
#[derive(Debug)]
pub(super) struct Graph {
    /// Positions by id; of an id that two nodes have, the first.
    pub(super) places: HashMap<String, usize>,
    /// In ascending order, each once.
    upstream: Vec<Vec<usize>>,
    /// Whether a node takes an input of the workflow.
    takes_input: Vec<bool>,
}

/// What one node refers to.
#[derive(Debug, Default)]
struct Needs {
    nodes: BTreeSet<usize>,
    takes_input: bool,
}

impl Graph {
    /// Reads all promises and explicit orders. Promises of nodes that there are not are told when they are typed;
    /// explicit ones are told here.
    pub(super) fn of(nodes: &[Node], errors: &mut Collector) -> Self {
        let mut places = HashMap::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            places.entry(node.id.clone()).or_insert(place);
        }
        let (mut upstream, mut takes_input) = (Vec::new(), Vec::new());
        for node in nodes {
            let mut needs = Needs::default();
            collect(node, 0, &places, &mut needs, errors);
            upstream.push(needs.nodes.into_iter().collect());
            takes_input.push(needs.takes_input);
        }
        Self { places, upstream, takes_input }
    }

    /// Answers positions so that each stands after those it waits for; the second part holds those that have no such
    /// place.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<usize>) {
        let downstream = self.downstream();
        let mut waits_for: Vec<usize> = self.upstream.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..waits_for.len()).filter(|place| waits_for[*place] == 0).collect();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            next += 1;
            for &after in &downstream[place] {
                waits_for[after] -= 1;
                if waits_for[after] == 0 {
                    order.push(after);
                }
            }
        }
        let left = (0..waits_for.len()).filter(|place| waits_for[*place] > 0).collect();
        (order, left)
    }

    fn downstream(&self) -> Vec<Vec<usize>> {
        let mut downstream = vec![Vec::new(); self.upstream.len()];
        for (place, upstream) in self.upstream.iter().enumerate() {
            upstream.iter().for_each(|before| downstream[*before].push(place));
        }
        downstream
    }

    /// Tells the cycles among nodes that have no place in the order, and the nodes that wait for a cycle.
    pub(super) fn report_cycles(&self, nodes: &[Node], left: &[usize], errors: &mut Collector) {
        let mut stuck: BTreeSet<usize> = left.iter().copied().collect();
        let mut found = 0;
        while let Some(cycle) = (found < CYCLES_MAX).then(|| self.cycle_among(&stuck)).flatten() {
            found += 1;
            let ids: Vec<&str> =
                cycle.iter().chain(cycle.first()).map(|place| nodes[*place].id.as_str()).collect();
            let description =
                format!("A cycle has been detected on node(s): {}.", shortened(&ids).join(" -> "));
            errors.add(Code::CycleDetected, Site::node(ids[0]), description);
            stuck.retain(|place| !cycle.contains(place));
            self.drop_free(&mut stuck, left);
        }
        let unreachable: Vec<&str> =
            self.behind(left, &stuck).map(|place| nodes[place].id.as_str()).collect();
        if let Some(first) = unreachable.first() {
            let description = format!(
                "The following nodes are unreachable from the start node: {}.",
                shortened(&unreachable).join(", ")
            );
            errors.add(Code::UnreachableNodes, Site::node(first), description);
        }
    }

    /// Walks upstream among `stuck`, where every node waits for another one, until a node comes up again.
    fn cycle_among(&self, stuck: &BTreeSet<usize>) -> Option<Vec<usize>> {
        let mut step_of = HashMap::new();
        let mut path = Vec::new();
        let mut place = *stuck.first()?;
        loop {
            if let Some(&step) = step_of.get(&place) {
                let mut cycle: Vec<usize> = path.split_off(step);
                cycle.reverse();
                let least = (0..cycle.len()).min_by_key(|index| cycle[*index])?;
                cycle.rotate_left(least);
                return Some(cycle);
            }
            step_of.insert(place, path.len());
            path.push(place);
            place = *self.upstream[place].iter().find(|before| stuck.contains(before))?;
        }
    }

    /// Takes out of `stuck` whatever waits for nothing in it any more.
    fn drop_free(&self, stuck: &mut BTreeSet<usize>, left: &[usize]) {
        let mut waits_for: BTreeMap<usize, usize> = BTreeMap::new();
        let mut downstream: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &place in stuck.iter() {
            let before = self.upstream[place].iter().filter(|before| stuck.contains(before));
            let mut count = 0;
            before.for_each(|before| {
                count += 1;
                downstream.entry(*before).or_default().push(place);
            });
            waits_for.insert(place, count);
        }
        let mut free: Vec<usize> =
            left.iter().copied().filter(|place| waits_for.get(place) == Some(&0)).collect();
        while let Some(place) = free.pop() {
            stuck.remove(&place);
            for after in downstream.remove(&place).unwrap_or_default() {
                if let Some(count) = waits_for.get_mut(&after) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(after);
                    }
                }
            }
        }
    }

    /// Answers which of `left` are on no cycle, but behind one: nothing that waits for them leads back to them.
    fn behind<'a>(&self, left: &'a [usize], stuck: &'a BTreeSet<usize>) -> impl Iterator<Item = usize> + 'a {
        let inside: BTreeSet<usize> = left.iter().copied().collect();
        let mut followers: BTreeMap<usize, usize> = inside.iter().map(|place| (*place, 0)).collect();
        for place in &inside {
            for before in &self.upstream[*place] {
                followers.entry(*before).and_modify(|count| *count += 1);
            }
        }
        let mut ends: Vec<usize> =
            followers.iter().filter(|(_, count)| **count == 0).map(|(place, _)| *place).collect();
        let mut behind = BTreeSet::new();
        while let Some(place) = ends.pop() {
            behind.insert(place);
            for before in self.upstream[place].iter().filter(|before| inside.contains(before)) {
                if let Some(count) = followers.get_mut(before) {
                    *count -= 1;
                    if *count == 0 {
                        ends.push(*before);
                    }
                }
            }
        }
        left.iter().copied().filter(move |place| behind.contains(place) && !stuck.contains(place))
    }

    /// Answers the ids that a node waits for, in ascending order; the start node is not among them.
    pub(super) fn upstream_ids(&self, nodes: &[Node], place: usize) -> Vec<String> {
        let mut ids: Vec<String> =
            self.upstream[place].iter().map(|before| nodes[*before].id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Answers who waits for whom, with the start node before nodes that wait for nobody or take inputs, and the end
    /// node after those that nobody waits for or that give outputs.
    pub(super) fn connections(&self, nodes: &[Node], outputs: &[Binding]) -> ConnectionSet {
        let mut links: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut last: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        for (place, node) in nodes.iter().enumerate() {
            for before in &self.upstream[place] {
                links.insert((&nodes[*before].id, &node.id));
                last.remove(nodes[*before].id.as_str());
            }
            if self.takes_input[place] || self.upstream[place].is_empty() {
                links.insert((NodeId::START, &node.id));
            }
        }
        for data in outputs.iter().filter_map(|output| output.binding.as_ref()) {
            promises_in(data, 0, &mut |promise| {
                links.insert((&promise.node_id, NodeId::END));
            });
        }
        links.extend(last.into_iter().map(|id| (id, NodeId::END)));
        let mut connections = ConnectionSet::default();
        for (before, after) in links {
            let link = |side: &mut BTreeMap<String, IdList>, of: &str, id: &str| {
                side.entry(of.to_owned()).or_default().ids.push(id.to_owned());
            };
            link(&mut connections.downstream, before, after);
            link(&mut connections.upstream, after, before);
        }
        connections
    }
}

/// Cuts a long list of ids in its middle.
fn shortened<'a>(ids: &[&'a str]) -> Vec<&'a str> {
    const SHOWN: usize = 20;
    if ids.len() <= SHOWN {
        ids.to_vec()
    } else {
        [&ids[..SHOWN / 2], &["..."], &ids[ids.len() - SHOWN / 2..]].concat()
    }
}

fn collect(
    node: &Node,
    depth: usize,
    places: &HashMap<String, usize>,
    needs: &mut Needs,
    errors: &mut Collector,
) {
    for data in node.inputs.iter().filter_map(|binding| binding.binding.as_ref()) {
        promises_in(data, 0, &mut |promise| {
            if promise.node_id == NodeId::START {
                needs.takes_input = true;
            } else if let Some(place) = places.get(&promise.node_id) {
                needs.nodes.insert(*place);
            }
        });
    }
    for id in node.upstream_node_ids.iter().filter(|id| !id.is_empty() && *id != NodeId::START) {
        match places.get(id) {
            Some(place) => drop(needs.nodes.insert(*place)),
            None => errors.add(
                Code::NodeReferenceNotFound,
                Site::node(&node.id),
                format!("Referenced node [{id}] not found."),
            ),
        }
    }
    // A branch can be entered once all that its inner nodes need is there.
    if let Some(node::Target::BranchNode(branch)) = &node.target
        && depth < NODE_DEPTH_MAX
    {
        inner_nodes(branch).for_each(|inner| collect(inner, depth + 1, places, needs, errors));
    }
}

//! Examples of what happens to nodes within nodes.

use super::{attempt, blob, blob_ref, execution, failure, inline, node};
use bytes::Bytes;
use skein_model::command::{ChildOutcome, Outcome};
use skein_model::event::ParentNode;
use skein_model::{Command, Event, TimeLimit};

fn value() -> Bytes {
    Bytes::from_static(&[10, 2])
}

fn somebody() -> String {
    "somebody".to_owned()
}

fn spec() -> String {
    "file:///store/n0/data/0/futures.pb".to_owned()
}

/// The node that launched the execution of other examples.
pub(super) fn parent() -> ParentNode {
    ParentNode { execution: execution(), node: node() }
}

pub(super) fn events() -> Vec<(&'static str, Vec<Event>)> {
    let (node, attempt) = (node(), attempt());
    vec![
        ("InsideStarted", vec![Event::InsideStarted { node: node.clone() }]),
        ("InsideSucceeded", vec![Event::InsideSucceeded { node: node.clone(), attempt, outputs: blob() }]),
        ("BranchTaken", vec![Event::BranchTaken { node: node.clone(), case: 2 }]),
        (
            "AttemptMadeNodes",
            [None, Some("file:///deck.html".to_owned())]
                .map(|deck| Event::AttemptMadeNodes {
                    node: node.clone(),
                    attempt,
                    spec: spec(),
                    deck,
                    used: None,
                })
                .into(),
        ),
        ("NodesMade", vec![Event::NodesMade { node: node.clone(), attempt, spec: spec(), plan: blob_ref() }]),
        ("InsideFailing", vec![Event::InsideFailing { node: node.clone(), failure: failure() }]),
        ("ChildLaunched", vec![Event::ChildLaunched { node: node.clone(), child: execution() }]),
        (
            "SignalAsked",
            vec![Event::SignalAsked { node: node.clone(), signal: "s".to_owned(), r#type: value() }],
        ),
        (
            "SignalSet",
            vec![Event::SignalSet { signal: "s".to_owned(), value: value(), principal: somebody() }],
        ),
    ]
}

pub(super) fn commands() -> Vec<(&'static str, Vec<Command>)> {
    let (node, child) = (node(), execution());
    let outcomes = [
        ChildOutcome::Succeeded(inline()),
        ChildOutcome::Failed(failure()),
        ChildOutcome::Aborted("enough".to_owned()),
    ];
    vec![
        ("InsideResolved", vec![Command::InsideResolved { node: node.clone(), outputs: blob() }]),
        ("InsideFailed", vec![Command::InsideFailed { node: node.clone(), failure: failure() }]),
        ("NodesCompiled", vec![Command::NodesCompiled { node: node.clone(), plan: blob_ref() }]),
        ("NodesRefused", vec![Command::NodesRefused { node: node.clone(), failure: failure() }]),
        (
            "ChildEnded",
            outcomes
                .map(|outcome| Command::ChildEnded { node: node.clone(), child: child.clone(), outcome })
                .into(),
        ),
        ("ChildAsks", vec![Command::ChildAsks { node: node.clone(), child: child.clone() }]),
        (
            "SetSignal",
            vec![Command::SetSignal { signal: "s".to_owned(), value: value(), principal: somebody() }],
        ),
        ("PassGate", vec![Command::PassGate { node }]),
    ]
}

/// What was added to commands that there were.
pub(super) fn added() -> Vec<Command> {
    let (node, attempt) = (node(), attempt());
    let times_up = [TimeLimit::Inside { node: node.clone() }, TimeLimit::Sleep { node: node.clone() }];
    let times_up = times_up.map(|limit| Command::TimeUp { limit, after: std::time::Duration::from_secs(3) });
    let outcome = Outcome::MadeNodes { spec: spec(), deck: None };
    let mut commands = Vec::from(times_up);
    commands.push(Command::AttemptFinished { node: node.clone(), attempt, outcome, began: None, used: None });
    commands.push(Command::InputsResolved { node, inputs: inline(), items: None, case: Some(1) });
    commands
}

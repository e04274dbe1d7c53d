//! A try of a task node begins or ends.

use super::Rejection;
use crate::execution::{Caching, Execution, NodeState, TaskRun};
use crate::plan::NodeIndex;
use crate::retry::{self, Next};
use skein_model::command::{Began, Outcome};
use skein_model::{Attempt, Event, Failure, Job, NodeId, Timestamp, Used};

/// How a try ended, and when that was heard.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub outcome: &'a Outcome,
    pub used: Option<Used>,
    pub now: Timestamp,
}

impl Execution {
    pub(super) fn decide_started(
        &self,
        node: &NodeId,
        attempt: Attempt,
        worker: &str,
        place: Option<&String>,
    ) -> Result<Vec<Event>, Rejection> {
        let index = self.place_of(node)?;
        Ok(match &self.nodes[index] {
            NodeState::Task(run) if run.attempt == attempt && !run.started => {
                vec![Event::AttemptStarted {
                    node: node.clone(),
                    attempt,
                    worker: worker.to_owned(),
                    micros_ago: 0,
                    place: place.cloned(),
                }]
            }
            _ => Vec::new(),
        })
    }

    pub(super) fn decide_job(
        &self,
        node: &NodeId,
        attempt: Attempt,
        job: &Job,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        match &self.nodes[place] {
            NodeState::Task(run) if run.attempt == attempt && run.queued => {
                // One that was on its way when the job was made knows less.
                let knows_less = |known: &Job| known.resource_meta.is_some() && job.resource_meta.is_none();
                let is_news = run.job.as_deref().is_none_or(|known| known != job && !knows_less(known));
                let (node, job) = (node.clone(), Box::new(job.clone()));
                Ok(is_news.then_some(Event::JobReported { node, attempt, job }).into_iter().collect())
            }
            _ => Err(Rejection::AttemptOver { node: node.clone(), attempt }),
        }
    }

    pub(super) fn decide_finished(
        &self,
        node: &NodeId,
        attempt: Attempt,
        end: End<'_>,
        began: Option<&Began>,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        match &self.nodes[place] {
            // Its outputs are on the way to the cache.
            NodeState::Task(run) if matches!(run.caching, Caching::Storing { .. }) => Ok(Vec::new()),
            NodeState::Task(run) if run.attempt == attempt => {
                let mut events = Vec::new();
                if let Some(began) = began.filter(|_| !run.started) {
                    let Began { worker, micros_ago, place } = began.clone();
                    events.push(Event::AttemptStarted {
                        node: node.clone(),
                        attempt,
                        worker,
                        micros_ago,
                        place,
                    });
                }
                self.end_attempt(place, run, end, &mut events);
                Ok(events)
            }
            NodeState::Ended { open: Some(open), .. } if *open == attempt => {
                Ok(vec![Event::LateResultIgnored { node: node.clone(), attempt }])
            }
            // What it has left is with the nodes that it made.
            NodeState::Task(_) | NodeState::Making(_) | NodeState::Inside(_) | NodeState::Ended { .. } => {
                Ok(Vec::new())
            }
            _ => Err(Rejection::WrongKind { node: node.clone(), expected: "a task that was started" }),
        }
    }

    fn end_attempt(&self, place: NodeIndex, run: &TaskRun, end: End<'_>, events: &mut Vec<Event>) {
        let (node, attempt, used) = (self.id_of(place), run.attempt, end.used);
        match end.outcome {
            Outcome::Succeeded { outputs, deck } => {
                let (outputs, deck) = (outputs.clone(), deck.clone());
                events.push(Event::AttemptSucceeded { node, attempt, outputs: outputs.clone(), deck, used });
                if !matches!(run.caching, Caching::Running { .. }) {
                    self.succeed_node(place, &outputs, events);
                }
            }
            Outcome::MadeNodes { spec, deck } => {
                let (spec, deck) = (spec.clone(), deck.clone());
                events.push(Event::AttemptMadeNodes { node, attempt, spec, deck, used });
            }
            Outcome::Failed(failure) => self.fail_attempt(place, run, failure, end, events),
        }
    }

    fn fail_attempt(
        &self,
        place: NodeIndex,
        run: &TaskRun,
        failure: &Failure,
        End { used, now, .. }: End<'_>,
        events: &mut Vec<Event>,
    ) {
        let (node, attempt) = (self.id_of(place), run.attempt);
        events.push(Event::AttemptFailed { node: node.clone(), attempt, failure: failure.clone(), used });
        let draw = self.draw(&node, attempt);
        match retry::next(self.plan.nodes[place].attempts, run.spent, failure, draw) {
            Next::Again(wait) => events.push(Event::AttemptQueued {
                node,
                attempt: attempt.next(),
                not_before: (!wait.is_zero()).then(|| now.after(wait)),
            }),
            Next::Final(failure) => self.fail_node(place, &failure, events),
        }
    }
}

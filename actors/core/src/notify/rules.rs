//! Which receivers of the server's settings are told of which executions, and which addresses an execution asks for.

use skein_model::event::Created;
use skein_model::notification::Channel;
use skein_model::task_rules::Pattern;
use skein_model::{EntityKind, ExecutionPhase};

/// A receiver, and the executions of which it is told. What is none is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyRule {
    /// What it is called: whoever lists notices sees it, and its journal names it.
    pub name: String,
    /// The project of the execution.
    pub project: Option<Pattern>,
    /// Its domain.
    pub domain: Option<Pattern>,
    /// The name of its workflow, or of the task that was launched alone.
    pub workflow: Option<Pattern>,
    /// The name of its launch plan. With it, tasks that were launched alone are not meant.
    pub launch_plan: Option<Pattern>,
    /// The phases in which it ends; none is all.
    pub phases: Vec<ExecutionPhase>,
}

impl NotifyRule {
    fn matches(&self, created: &Created) -> bool {
        let is_met = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let is_plan = created.launched.kind == EntityKind::LaunchPlan;
        let name = if is_plan { &created.workflow.name } else { &created.launched.name };
        is_met(&self.project, &created.execution.project)
            && is_met(&self.domain, &created.execution.domain)
            && is_met(&self.workflow, name)
            && (self.launch_plan.is_none() || is_plan && is_met(&self.launch_plan, &created.launched.name))
    }

    fn is_for(&self, phase: ExecutionPhase) -> bool {
        self.phases.is_empty() || self.phases.contains(&phase)
    }
}

/// The receivers of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyRules(Vec<NotifyRule>);

impl NotifyRules {
    /// Takes receivers, which all are told of what they match.
    pub const fn new(rules: Vec<NotifyRule>) -> Self {
        Self(rules)
    }

    /// Says whether somebody may have to be told when an execution ends.
    pub fn await_the_end_of(&self, created: &Created) -> bool {
        let settings = &created.settings;
        !settings.tells_nobody
            && (!settings.notifications.is_empty() || self.0.iter().any(|rule| rule.matches(created)))
    }

    /// Answers who is told that an execution has ended in `phase`: each once, whoever named it however often.
    pub fn told(&self, created: &Created, phase: ExecutionPhase) -> Vec<Channel> {
        let settings = &created.settings;
        if settings.tells_nobody {
            return Vec::new();
        }
        let asked = settings.notifications.iter().filter(|one| one.phases.contains(&phase));
        let mails = asked.flat_map(|one| {
            let of =
                |recipient: &String| Channel::Mail { service: one.service, recipient: recipient.clone() };
            one.recipients.iter().map(of)
        });
        let rules = self.0.iter().filter(|rule| rule.is_for(phase) && rule.matches(created));
        let webhooks = rules.map(|rule| Channel::Webhook { name: rule.name.clone() });
        let mut told: Vec<Channel> = Vec::new();
        for channel in mails.chain(webhooks) {
            if !told.contains(&channel) {
                told.push(channel);
            }
        }
        told
    }
}

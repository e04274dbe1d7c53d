//! Who is told that an execution has ended, when a notice that was not taken is sent again, and when it is given up.
//!
//! The state is a fold of the journal of an execution's notices; what is sent is for the shell.

mod rules;
pub mod text;

pub use rules::{NotifyRule, NotifyRules};

use skein_model::notification::{Channel, Ended};
use skein_model::{Event, ExecutionPhase, NotificationEvent, Timestamp};
use std::time::Duration;

/// How many characters of an error's message are told, the last ones.
pub const MESSAGE_CHARS_MAX: usize = 2_048;
/// How many characters are kept of why a notice was not taken.
const REASON_CHARS_MAX: usize = 512;

/// How often a notice is tried, and how long it waits in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often it is tried before it is given up, at least once.
    pub tries_max: u32,
    /// The wait after the first time; doubles each time.
    pub wait_first: Duration,
    /// The longest wait.
    pub wait_max: Duration,
}

impl Default for Patience {
    /// Twelve times in half an hour: 1, 2, 4, ... 256 and then 300 seconds apart.
    fn default() -> Self {
        Self { tries_max: 12, wait_first: Duration::from_secs(1), wait_max: Duration::from_secs(300) }
    }
}

impl Patience {
    /// Answers when a notice that has been tried `tries` times is tried again; none when that was the last time.
    pub fn again(&self, tries: u32, now: Timestamp) -> Option<Timestamp> {
        if tries >= self.tries_max {
            return None;
        }
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(now.after(self.wait_first.saturating_mul(doubled).min(self.wait_max)))
    }
}

/// What became of sending a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was not, or nobody knows; another time it may be. Why, in words.
    Passing(String),
    /// It will not be taken, however often it is sent. Why, in words.
    Refused(String),
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to be sent.
    Due {
        /// How often it has been tried.
        tries: u32,
        /// Not before this; none when at once.
        not_before: Option<Timestamp>,
    },
    /// It was taken.
    Sent,
    /// It was given up.
    Dead,
}

/// The notices of one execution: the fold of their journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    is_awaited: bool,
    ended: Option<Ended>,
    notices: Vec<(Channel, Standing)>,
}

impl Notices {
    /// Takes what has happened next.
    pub fn apply(&mut self, event: &NotificationEvent) {
        match event {
            NotificationEvent::Awaited => self.is_awaited = true,
            NotificationEvent::Ended { ended, channels } => {
                self.ended = Some((**ended).clone());
                let due = Standing::Due { tries: 0, not_before: None };
                self.notices = channels.iter().map(|channel| (channel.clone(), due)).collect();
            }
            NotificationEvent::Sent { notice, .. } => self.set(*notice, Standing::Sent),
            NotificationEvent::NotSent { notice, again: None, .. } => self.set(*notice, Standing::Dead),
            NotificationEvent::NotSent { notice, tries, again, .. } => {
                self.set(*notice, Standing::Due { tries: *tries, not_before: *again });
            }
            NotificationEvent::ResendAsked { notice, .. } => {
                self.set(*notice, Standing::Due { tries: 0, not_before: None });
            }
        }
    }

    fn set(&mut self, notice: u32, standing: Standing) {
        if let Some((_, known)) = self.notices.get_mut(notice as usize) {
            *known = standing;
        }
    }

    /// Says whether somebody waits to be told, and the end is not recorded here yet.
    pub const fn wait_for_the_end(&self) -> bool {
        self.is_awaited && self.ended.is_none()
    }

    /// Answers how the execution ended, once that is recorded here.
    pub const fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Lists the notices that are to be sent, each with where it goes and not before when.
    pub fn due(&self) -> impl Iterator<Item = (u32, &Channel, Option<Timestamp>)> {
        (0..).zip(&self.notices).filter_map(|(notice, (channel, standing))| match standing {
            Standing::Due { not_before, .. } => Some((notice, channel, *not_before)),
            Standing::Sent | Standing::Dead => None,
        })
    }

    /// Answers where a notice goes and stands; none when there is no such one.
    pub fn find(&self, notice: u32) -> Option<(&Channel, Standing)> {
        self.notices.get(notice as usize).map(|(channel, standing)| (channel, *standing))
    }

    /// Says whether the execution has ended, and nothing is left to be sent.
    pub fn are_settled(&self) -> bool {
        self.ended.is_some() && self.due().next().is_none()
    }

    /// Decides what an outcome means for a notice; none when it is not to be sent, so that the outcome changes nothing.
    pub fn decide(
        &self,
        notice: u32,
        outcome: Outcome,
        patience: &Patience,
        now: Timestamp,
    ) -> Option<NotificationEvent> {
        let (_, Standing::Due { tries, .. }) = self.find(notice)? else { return None };
        let tries = tries.saturating_add(1);
        Some(match outcome {
            Outcome::Taken => NotificationEvent::Sent { notice, tries },
            Outcome::Passing(reason) => {
                let again = patience.again(tries, now);
                NotificationEvent::NotSent { notice, tries, reason: begin_of(reason), again }
            }
            Outcome::Refused(reason) => {
                NotificationEvent::NotSent { notice, tries, reason: begin_of(reason), again: None }
            }
        })
    }
}

/// Answers how an execution ended by its events, each with the time of its record; none when it has not.
pub fn end_of<'a>(events: impl IntoIterator<Item = (Timestamp, &'a Event)>) -> Option<Ended> {
    let (mut created, mut aborted) = (None, String::new());
    for (at, event) in events {
        let (phase, code, message) = match event {
            Event::Created(first) => {
                created = Some(first);
                continue;
            }
            Event::Aborting { cause, principal } => {
                aborted =
                    if principal.is_empty() { cause.clone() } else { format!("{cause} (by {principal})") };
                continue;
            }
            Event::Succeeded { .. } => (ExecutionPhase::Succeeded, String::new(), String::new()),
            Event::Failed { failure } => {
                (ExecutionPhase::Failed, failure.code.clone(), last_of(&failure.message).to_owned())
            }
            Event::Aborted => (ExecutionPhase::Aborted, "ABORTED".to_owned(), last_of(&aborted).to_owned()),
            _ => continue,
        };
        let created = created?;
        let (execution, launched) = (created.execution.clone(), created.launched.clone());
        let workflow = created.workflow.clone();
        return Some(Ended { execution, launched, workflow, phase, at, code, message });
    }
    None
}

fn last_of(message: &str) -> &str {
    match message.char_indices().rev().nth(MESSAGE_CHARS_MAX - 1) {
        Some((begin, _)) => &message[begin..],
        None => message,
    }
}

fn begin_of(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
        reason.truncate(end);
    }
    reason
}

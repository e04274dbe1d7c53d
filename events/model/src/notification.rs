//! Who is told of the end of an execution, and what became of telling them.
//!
//! Each execution of whose end somebody is to be told has a journal of its own beside its own one, of category
//! [`crate::Category::Notification`]. Its first record is written before the execution can end, so that no end is overlooked,
//! and its last when everybody was told or given up on.

use crate::ids::{EntityId, ExecutionId};
use crate::phase::ExecutionPhase;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::admin::notification::Type;
use std::fmt;

/// How many notifications one launch plan or execution may ask for.
pub const NOTIFICATIONS_MAX: usize = 100;
/// How many addresses one of them may have.
pub const RECIPIENTS_MAX: usize = 100;
/// The longest address, in characters, as SMTP allows it.
const ADDRESS_CHARS_MAX: usize = 254;

/// Somebody who wants to be told when an execution ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// In which phase: of those that end an execution.
    pub phases: Vec<ExecutionPhase>,
    /// Whose addresses these are.
    pub service: MailService,
    /// Where mail goes.
    pub recipients: Vec<String>,
}

/// A notice of an execution, as people name it: the execution, and its place among those of it, such as
/// `flytesnacks/development/f123/0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId {
    /// The execution.
    pub execution: ExecutionId,
    /// The place.
    pub notice: u32,
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.execution, self.notice)
    }
}

/// Who reads a mail: a person, or a service that takes its mail as an alert or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MailService {
    /// A person.
    Email,
    /// PagerDuty, by its address for mail.
    PagerDuty,
    /// Slack, by its address for mail.
    Slack,
}

impl MailService {
    /// Answers the word by which users ask for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::PagerDuty => "pager_duty",
            Self::Slack => "slack",
        }
    }
}

/// Where a notice goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// By mail.
    Mail {
        /// Whose address it is.
        service: MailService,
        /// It. Each recipient has a notice, so that an address that is refused keeps it from nobody else.
        recipient: String,
    },
    /// By a request to a receiver of the server's settings.
    Webhook {
        /// Its name there. Where it is and what it wants to see stays in the settings: it may be secret.
        name: String,
    },
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mail { service, recipient } => write!(f, "{} {recipient}", service.word()),
            Self::Webhook { name } => write!(f, "webhook {name}"),
        }
    }
}

/// How an execution ended, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The execution.
    pub execution: ExecutionId,
    /// What was launched.
    pub launched: EntityId,
    /// The workflow that ran.
    pub workflow: EntityId,
    /// In which phase.
    pub phase: ExecutionPhase,
    /// When.
    pub at: Timestamp,
    /// Why it did not succeed: the error's code, or `ABORTED`; empty when it did.
    pub code: String,
    /// The same in words, cut at the front when it is long: a traceback says last what it is about.
    pub message: String,
}

/// One thing that happened to the notices of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationEvent {
    /// Somebody may have to be told when the execution has ended; always the first event of a journal.
    Awaited,
    /// It has ended, and these are to be told; a notice is named by its place among them.
    Ended {
        /// How it ended.
        ended: Box<Ended>,
        /// Who is to be told; nobody where the phase is none that anybody waited for.
        channels: Vec<Channel>,
    },
    /// A notice was taken.
    Sent {
        /// The notice.
        notice: u32,
        /// How often it has been tried by now, this time included.
        tries: u32,
    },
    /// A notice was not taken, as far as is known.
    NotSent {
        /// The notice.
        notice: u32,
        /// How often it has been tried by now, this time included.
        tries: u32,
        /// Why, in words.
        reason: String,
        /// When it is tried again; none when it is given up.
        again: Option<Timestamp>,
    },
    /// Somebody wants a notice sent again, written by the gateway: it is tried from the beginning.
    ResendAsked {
        /// The notice.
        notice: u32,
        /// Who.
        principal: String,
    },
}

/// A notification that cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// There are more than there may be.
    #[error("there are {found} notifications, and at most {NOTIFICATIONS_MAX} can be asked for")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// It is for no phase.
    #[error(
        "notification {at} names no phase; it has to name some of SUCCEEDED, FAILED, ABORTED and TIMED_OUT"
    )]
    NoPhase {
        /// Its place, from 1.
        at: usize,
    },
    /// It is for a phase in which nothing ends.
    #[error(
        "notification {at} is for phase {phase}, in which no execution ends; it has to be of SUCCEEDED, FAILED, ABORTED \
         and TIMED_OUT"
    )]
    NotTerminal {
        /// Its place, from 1.
        at: usize,
        /// The phase.
        phase: String,
    },
    /// It does not say how.
    #[error("notification {at} says not how; it has to have one of email, pager_duty and slack")]
    NoWay {
        /// Its place, from 1.
        at: usize,
    },
    /// It is for nobody, or too many.
    #[error("notification {at} has {found} recipients_email; it has to have 1 to {RECIPIENTS_MAX}")]
    Recipients {
        /// Its place, from 1.
        at: usize,
        /// How many it has.
        found: usize,
    },
    /// An address that is none.
    #[error(
        "notification {at}: recipients_email has {address:?}, which is no address of mail, such as a@example.org"
    )]
    Address {
        /// Its place, from 1.
        at: usize,
        /// What stands there.
        address: String,
    },
    /// It brings a text of its own.
    #[error("notification {at} has a template; this server writes what is sent, so it has to be empty")]
    Template {
        /// Its place, from 1.
        at: usize,
    },
}

impl Notification {
    /// Reads a list of them.
    ///
    /// # Errors
    /// The first that is wrong, by its place from 1.
    pub fn read_all(given: &[admin::Notification]) -> Result<Vec<Self>, NotificationError> {
        if given.len() > NOTIFICATIONS_MAX {
            return Err(NotificationError::TooMany { found: given.len() });
        }
        given.iter().enumerate().map(|(place, one)| Self::read(place + 1, one)).collect()
    }

    fn read(at: usize, given: &admin::Notification) -> Result<Self, NotificationError> {
        let phases = given.phases.iter().map(|phase| terminal(at, *phase)).collect::<Result<Vec<_>, _>>()?;
        if phases.is_empty() {
            return Err(NotificationError::NoPhase { at });
        }
        let (service, recipients, template) = match &given.r#type {
            Some(Type::Email(mail)) => (MailService::Email, &mail.recipients_email, &mail.template),
            Some(Type::PagerDuty(mail)) => (MailService::PagerDuty, &mail.recipients_email, &mail.template),
            Some(Type::Slack(mail)) => (MailService::Slack, &mail.recipients_email, &mail.template),
            None => return Err(NotificationError::NoWay { at }),
        };
        if !template.is_empty() {
            return Err(NotificationError::Template { at });
        }
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return Err(NotificationError::Recipients { at, found: recipients.len() });
        }
        match recipients.iter().find(|address| !is_address(address)) {
            Some(address) => Err(NotificationError::Address { at, address: address.clone() }),
            None => Ok(Self { phases, service, recipients: recipients.clone() }),
        }
    }

    /// Answers its protobuf form.
    pub fn to_proto(&self) -> admin::Notification {
        let recipients_email = self.recipients.clone();
        let template = String::new();
        let r#type = match self.service {
            MailService::Email => Type::Email(admin::EmailNotification { recipients_email, template }),
            MailService::PagerDuty => {
                Type::PagerDuty(admin::PagerDutyNotification { recipients_email, template })
            }
            MailService::Slack => Type::Slack(admin::SlackNotification { recipients_email, template }),
        };
        let phases = self.phases.iter().map(|phase| phase.as_proto() as i32).collect();
        admin::Notification { phases, r#type: Some(r#type) }
    }
}

/// Says whether mail may go to an address: a part before and one after `@`, without what would end a line or a list.
pub fn is_address(address: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | ';' | '<' | '>');
    address.chars().count() <= ADDRESS_CHARS_MAX
        && address.chars().all(is_plain)
        && address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn terminal(at: usize, phase: i32) -> Result<ExecutionPhase, NotificationError> {
    use skein_idl::flyteidl::core::workflow_execution::Phase;
    match Phase::try_from(phase) {
        Ok(Phase::Succeeded) => Ok(ExecutionPhase::Succeeded),
        Ok(Phase::Failed) => Ok(ExecutionPhase::Failed),
        Ok(Phase::Aborted) => Ok(ExecutionPhase::Aborted),
        Ok(Phase::TimedOut) => Ok(ExecutionPhase::TimedOut),
        Ok(other) => Err(NotificationError::NotTerminal { at, phase: other.as_str_name().to_owned() }),
        Err(_) => Err(NotificationError::NotTerminal { at, phase: phase.to_string() }),
    }
}

//! Who is told of an end, when a notice is sent again, and when it is given up.

use skein_core::notify::{NotifyRule, Outcome, Standing, end_of, text};
use skein_core::{Notices, NotifyRules, Patience};
use skein_model::event::{Created, Settings};
use skein_model::notification::{Channel, Ended, MailService};
use skein_model::task_rules::Pattern;
use skein_model::{
    BlobRef, Charge, DataRef, EntityId, EntityKind, Event, ExecutionId, ExecutionPhase, Failure,
    FailureCause, Notification, NotificationEvent, Timestamp,
};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn entity(kind: EntityKind, name: &str) -> EntityId {
    let text = str::to_owned;
    EntityId { kind, project: text("p"), domain: text("d"), name: text(name), version: text("v1") }
}

fn created(settings: Settings) -> Created {
    Created {
        execution: ExecutionId::parse("p", "d", "f1").unwrap(),
        launched: entity(EntityKind::LaunchPlan, "nightly"),
        workflow: entity(EntityKind::Workflow, "etl.load"),
        plan: BlobRef { uri: String::new(), size: 0, digest: 0 },
        inputs: DataRef::empty(),
        user_inputs: DataRef::empty(),
        spec: bytes::Bytes::new(),
        settings,
        data_prefix: String::new(),
        raw_prefix: String::new(),
        principal: String::new(),
        parent: None,
    }
}

fn to(service: MailService, recipients: &[&str], phases: &[ExecutionPhase]) -> Notification {
    let recipients = recipients.iter().map(|address| (*address).to_owned()).collect();
    Notification { phases: phases.to_vec(), service, recipients }
}

fn mail(recipient: &str) -> Channel {
    Channel::Mail { service: MailService::Email, recipient: recipient.to_owned() }
}

fn webhook(name: &str) -> Channel {
    Channel::Webhook { name: name.to_owned() }
}

fn rules(given: &[(&str, &str, &[ExecutionPhase])]) -> NotifyRules {
    let rule = |(name, workflow, phases): &(&str, &str, &[ExecutionPhase])| NotifyRule {
        name: (*name).to_owned(),
        workflow: Some(Pattern::of(workflow)),
        phases: phases.to_vec(),
        ..NotifyRule::default()
    };
    NotifyRules::new(given.iter().map(rule).collect())
}

fn ended() -> Ended {
    let failure = Failure {
        code: "USER:RuntimeError".to_owned(),
        message: "lost <wool> & ```thread```".to_owned(),
        cause: FailureCause::TaskRaised { recoverable: false },
        charge: Charge::User,
    };
    let events = [Event::Created(Box::new(created(Settings::default()))), Event::Failed { failure }];
    end_of(events.iter().map(|event| (NOW, event))).unwrap()
}

fn of_two() -> Notices {
    let mut notices = Notices::default();
    notices.apply(&NotificationEvent::Awaited);
    assert!(notices.wait_for_the_end());
    let channels = vec![mail("a@x.org"), webhook("ops")];
    notices.apply(&NotificationEvent::Ended { ended: Box::new(ended()), channels });
    notices
}

fn due(notices: &Notices) -> Vec<(u32, Option<i64>)> {
    notices.due().map(|(notice, _, at)| (notice, at.map(Timestamp::as_micros))).collect()
}

#[test]
fn whoever_asks_for_a_phase_is_told_of_it_once() {
    use ExecutionPhase::{Failed, Succeeded};
    let notifications = vec![
        to(MailService::Email, &["a@x.org", "b@x.org"], &[Failed]),
        to(MailService::Email, &["a@x.org"], &[Failed, Succeeded]),
    ];
    let created = created(Settings { notifications, ..Settings::default() });
    let rules = rules(&[("ops", "etl.*", &[Failed]), ("all", "*", &[]), ("others", "train", &[])]);
    assert_eq!(
        rules.told(&created, Failed),
        [mail("a@x.org"), mail("b@x.org"), webhook("ops"), webhook("all")]
    );
    assert_eq!(rules.told(&created, Succeeded), [mail("a@x.org"), webhook("all")]);
}

#[test]
fn nobody_is_told_where_that_is_asked_for() {
    let notifications = vec![to(MailService::Email, &["a@x.org"], &[ExecutionPhase::Failed])];
    let created = created(Settings { notifications, tells_nobody: true, ..Settings::default() });
    let rules = rules(&[("all", "*", &[])]);
    assert!(!rules.await_the_end_of(&created));
    assert!(rules.told(&created, ExecutionPhase::Failed).is_empty());
}

#[test]
fn a_rule_for_launch_plans_means_no_task_that_was_launched_alone() {
    let rule = NotifyRule { launch_plan: Some(Pattern::of("*")), ..NotifyRule::default() };
    let rules = NotifyRules::new(vec![rule]);
    let of_plan = created(Settings::default());
    let of_task = Created { launched: entity(EntityKind::Task, "spin"), ..of_plan.clone() };
    assert!(rules.await_the_end_of(&of_plan));
    assert!(!rules.await_the_end_of(&of_task));
}

#[test]
fn a_notice_that_is_not_taken_is_sent_again_later_and_later_until_it_is_given_up() {
    let seconds = Duration::from_secs;
    let patience = Patience { tries_max: 4, wait_first: seconds(1), wait_max: seconds(2) };
    let mut notices = of_two();
    for (tries, wait) in [(1, Some(1)), (2, Some(2)), (3, Some(2)), (4, None)] {
        let event = notices.decide(1, Outcome::Passing("500".to_owned()), &patience, NOW).unwrap();
        let again = wait.map(|wait| NOW.after(seconds(wait)));
        let reason = "500".to_owned();
        assert_eq!(event, NotificationEvent::NotSent { notice: 1, tries, reason, again });
        notices.apply(&event);
    }
    assert_eq!(notices.find(1), Some((&webhook("ops"), Standing::Dead)));
    assert_eq!(due(&notices), [(0, None)], "the other one waits for nobody");
}

#[test]
fn what_is_refused_for_good_is_given_up_at_once_and_a_second_outcome_changes_nothing() {
    let (mut notices, patience) = (of_two(), Patience::default());
    for (notice, outcome) in [(0, Outcome::Taken), (1, Outcome::Refused("404".to_owned()))] {
        let event = notices.decide(notice, outcome, &patience, NOW).unwrap();
        notices.apply(&event);
        assert_eq!(notices.decide(notice, Outcome::Taken, &patience, NOW), None);
    }
    assert!(notices.are_settled());
    assert_eq!(notices.decide(7, Outcome::Taken, &patience, NOW), None, "there is no such notice");
}

#[test]
fn a_notice_that_is_to_be_sent_again_is_tried_from_the_beginning() {
    let (mut notices, patience) = (of_two(), Patience::default());
    for notice in [0, 1] {
        let event = notices.decide(notice, Outcome::Refused("404".to_owned()), &patience, NOW).unwrap();
        notices.apply(&event);
    }
    notices.apply(&NotificationEvent::ResendAsked { notice: 1, principal: "me".to_owned() });
    assert_eq!(due(&notices), [(1, None)]);
    let event = notices.decide(1, Outcome::Taken, &patience, NOW);
    assert_eq!(event, Some(NotificationEvent::Sent { notice: 1, tries: 1 }));
}

#[test]
fn the_default_patience_lasts_for_half_an_hour() {
    let patience = Patience::default();
    let waits = (1..).map_while(|tries| patience.again(tries, NOW)).map(|at| at.since(NOW).as_secs());
    let waits: Vec<u64> = waits.collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn an_end_by_somebody_says_who_and_why_and_one_to_come_is_none() {
    let created = Event::Created(Box::new(created(Settings::default())));
    let aborting = Event::Aborting { cause: "too late".to_owned(), principal: "me".to_owned() };
    let events = [created, aborting, Event::Aborted];
    let told = end_of(events.iter().map(|event| (NOW, event))).unwrap();
    assert_eq!((told.phase, told.code.as_str()), (ExecutionPhase::Aborted, "ABORTED"));
    assert_eq!(told.message, "too late (by me)");
    assert_eq!(end_of(events[..2].iter().map(|event| (NOW, event))), None);
}

#[test]
fn what_is_told_names_execution_phase_error_and_address() {
    let ended = ended();
    let link = text::link("http://h/{project}/{domain}/{name}", &ended);
    assert_eq!(text::subject(&ended), "FAILED: p/d/f1 (etl.load)");
    assert_eq!(
        text::body(&ended, &link),
        "Execution p/d/f1 ended in phase FAILED.\n\nlaunch plan: nightly v1\nworkflow: etl.load v1\nsee: http://h/p/d/f1\n\n\
         USER:RuntimeError:\nlost <wool> & ```thread```\n"
    );
    assert_eq!(
        text::slack(&ended, &link),
        "*FAILED* <http://h/p/d/f1|p/d/f1> (etl.load)\nUSER:RuntimeError\n```lost &lt;wool&gt; &amp; '''thread'''```"
    );
}

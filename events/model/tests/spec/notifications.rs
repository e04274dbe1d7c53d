//! Whom an execution may name to be told of its end.

use skein_idl::flyteidl::admin::notification::Type;
use skein_idl::flyteidl::admin::{EmailNotification, Notification as Proto, SlackNotification};
use skein_idl::flyteidl::core::workflow_execution::Phase;
use skein_model::notification::{MailService, is_address};
use skein_model::{ExecutionPhase, Notification};

fn email(phases: &[Phase], recipients: &[&str]) -> Proto {
    let recipients_email = recipients.iter().map(|address| (*address).to_owned()).collect();
    Proto {
        phases: phases.iter().map(|phase| *phase as i32).collect(),
        r#type: Some(Type::Email(EmailNotification { recipients_email, template: String::new() })),
    }
}

#[test]
fn what_the_sdk_sends_is_read_and_shown_as_it_was() {
    let slack =
        SlackNotification { recipients_email: vec!["s@slack.example".to_owned()], ..Default::default() };
    let given = [
        email(&[Phase::Succeeded, Phase::Failed, Phase::Aborted, Phase::TimedOut], &["a@x.org", "b@x.org"]),
        Proto { phases: vec![Phase::Failed as i32], r#type: Some(Type::Slack(slack)) },
    ];
    let read = Notification::read_all(&given).expect("they are right");
    assert_eq!(read[1].service, MailService::Slack);
    assert_eq!(read[1].phases, [ExecutionPhase::Failed]);
    assert_eq!(read.iter().map(Notification::to_proto).collect::<Vec<_>>(), given);
}

#[test]
fn what_cannot_be_told_is_refused_with_its_place_and_what_would_be_right() {
    let told = |wrong: Proto| {
        let right = email(&[Phase::Failed], &["a@x.org"]);
        Notification::read_all(&[right, wrong]).expect_err("it is wrong").to_string()
    };
    assert_eq!(
        told(email(&[Phase::Running], &["a@x.org"])),
        "notification 2 is for phase RUNNING, in which no execution ends; it has to be of SUCCEEDED, FAILED, ABORTED and \
         TIMED_OUT"
    );
    assert_eq!(
        told(email(&[], &["a@x.org"])),
        "notification 2 names no phase; it has to name some of SUCCEEDED, FAILED, ABORTED and TIMED_OUT"
    );
    assert_eq!(
        told(email(&[Phase::Failed], &[])),
        "notification 2 has 0 recipients_email; it has to have 1 to 100"
    );
    assert_eq!(
        told(email(&[Phase::Failed], &["nobody"])),
        "notification 2: recipients_email has \"nobody\", which is no address of mail, such as a@example.org"
    );
    assert_eq!(
        told(Proto { phases: vec![Phase::Failed as i32], r#type: None }),
        "notification 2 says not how; it has to have one of email, pager_duty and slack"
    );
}

#[test]
fn an_address_cannot_bring_a_line_or_a_second_address() {
    for wrong in ["a@b\r\nBcc: c@d", "a@b, c@d", "A <a@b>", "@b", "a@", &format!("{}@b", "a".repeat(300))] {
        assert!(!is_address(wrong), "{wrong}");
    }
    assert!(is_address("a.b+c@x.example"));
}

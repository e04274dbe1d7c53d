//! Sends one notice by the way that its channel names. Receivers do not wait for each other.

use super::settings::Notify;
use super::{mail, webhook};
use skein_core::notify::{Outcome, text};
use skein_model::notification::{Channel, Ended, NoticeId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long one receiver may take for one notice.
const SEND_MAX: Duration = Duration::from_secs(15);
/// How many notices are on the way to one receiver at once; the others to it wait.
const AT_ONCE_MAX: usize = 8;

pub(super) struct Sender {
    settings: Notify,
    http: webhook::Clients,
    /// The places at each receiver.
    places: BTreeMap<String, Semaphore>,
    /// The places at the server of mail.
    mail_places: Semaphore,
}

impl Sender {
    pub(super) fn new(settings: Notify) -> Self {
        let of = |name: &String| (name.clone(), Semaphore::new(AT_ONCE_MAX));
        let places = settings.receivers.keys().map(of).collect();
        let (http, mail_places) = (webhook::Clients::default(), Semaphore::new(AT_ONCE_MAX));
        Self { settings, http, places, mail_places }
    }

    pub(super) const fn settings(&self) -> &Notify {
        &self.settings
    }

    pub(super) async fn send(&self, id: &NoticeId, ended: &Ended, channel: &Channel) -> Outcome {
        let link = text::link(&self.settings.link, ended);
        match channel {
            Channel::Webhook { name } => {
                let found = self.settings.receivers.get(name).zip(self.places.get(name));
                let Some((receiver, places)) = found else {
                    return Outcome::Refused(format!(
                        "the server's settings have no webhook {name} any more"
                    ));
                };
                let send = webhook::send(&self.http, receiver, id, ended, &link);
                in_time(places, send).await
            }
            Channel::Mail { recipient, .. } => match &self.settings.mail {
                Some(mail) => in_time(&self.mail_places, mail::send(mail, recipient, id, ended, &link)).await,
                None => Outcome::Refused(
                    "the server's settings have no server of mail: [notifications.email]".to_owned(),
                ),
            },
        }
    }
}

async fn in_time(places: &Semaphore, send: impl Future<Output = Outcome>) -> Outcome {
    // The semaphore is never closed; without a place it would be sent all the same.
    let _place = places.acquire().await;
    match tokio::time::timeout(SEND_MAX, send).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Passing(format!("no answer within {} s", SEND_MAX.as_secs())),
    }
}

//! Sends notices by mail.

use super::settings::{Mail, Tls};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as Encryption, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use skein_core::notify::{Outcome, text};
use skein_model::notification::{Ended, NoticeId};
use std::time::Duration;

/// How long the server may take for each thing that it is told.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub(super) async fn send(mail: &Mail, recipient: &str, id: &NoticeId, ended: &Ended, link: &str) -> Outcome {
    let message = match message(mail, recipient, id, ended, link) {
        Ok(message) => message,
        Err(reason) => return Outcome::Refused(reason),
    };
    let transport = match transport(mail) {
        Ok(transport) => transport,
        Err(error) => return Outcome::Passing(told(&error)),
    };
    match transport.send(message).await {
        Ok(_) => Outcome::Taken,
        Err(error) if error.is_permanent() => Outcome::Refused(told(&error)),
        Err(error) => Outcome::Passing(told(&error)),
    }
}

fn message(
    mail: &Mail,
    recipient: &str,
    id: &NoticeId,
    ended: &Ended,
    link: &str,
) -> Result<Message, String> {
    let mailbox = |what: &str, address: &str| {
        let read: Result<Mailbox, _> = address.parse();
        read.map_err(|error| format!("{what} {address:?} is no address of mail: {error}"))
    };
    Message::builder()
        .from(mailbox("from", &mail.from)?)
        .to(mailbox("recipient", recipient)?)
        .subject(text::subject(ended))
        // The same each time, so that whoever gets it twice sees it once.
        .message_id(Some(format!("<{}@skein>", id.to_string().replace('/', "."))))
        .header(ContentType::TEXT_PLAIN)
        .body(text::body(ended, link))
        .map_err(|error| format!("the mail cannot be written: {error}"))
}

fn transport(mail: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, smtp::Error> {
    let encryption = match mail.tls {
        Tls::None => Encryption::None,
        Tls::StartTls => Encryption::Required(TlsParameters::new(mail.host.clone())?),
        Tls::Tls => Encryption::Wrapper(TlsParameters::new(mail.host.clone())?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        .tls(encryption)
        .timeout(Some(ANSWER_MAX));
    if let Some((name, password)) = &mail.login {
        transport = transport.credentials(Credentials::new(name.clone(), password.clone()));
    }
    Ok(transport.build())
}

fn told(error: &smtp::Error) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        source = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_server_can_be_made_with_each_kind_of_encryption() {
        for tls in [Tls::None, Tls::StartTls, Tls::Tls] {
            let (host, from) = ("mail.example.org".to_owned(), "a@example.org".to_owned());
            let mail = Mail { host, port: 25, tls, from, login: None };
            assert!(transport(&mail).is_ok(), "{tls:?}");
        }
    }
}

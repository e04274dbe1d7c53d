//! Where notices go: what the server's settings say.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use skein_core::{NotifyRules, Patience};
use std::collections::BTreeMap;
use std::fmt;

/// The settings for telling of ends.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// Which receivers are told of which executions.
    pub rules: NotifyRules,
    /// The receivers, by the names that the rules have.
    pub receivers: BTreeMap<String, Receiver>,
    /// Where mail goes; none when it goes nowhere, and then what asks for it is given up at once.
    pub mail: Option<Mail>,
    /// How often a notice is tried, and how long it waits in between.
    pub patience: Patience,
    /// Where more is to be seen, with `{project}`, `{domain}` and `{name}` for those of the execution.
    pub link: String,
}

/// A receiver of requests.
#[derive(Clone)]
pub struct Receiver {
    /// Where it is. May be secret: whoever has it may write there.
    pub url: String,
    /// What it wants to see, such as a token.
    pub headers: Vec<(String, String)>,
    /// What it reads.
    pub format: Format,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Says what is wrong with it, if anything is: without the address, which may be secret.
    ///
    /// # Errors
    /// In words, beginning with the name of the setting.
    pub fn check(&self) -> Result<(), String> {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !Url::parse(&self.url).is_ok_and(|url| is_web(&url)) {
            return Err("url is no address such as https://HOST/PATH".to_owned());
        }
        let is_header = |name: &String, value: &String| {
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
        };
        match self.headers.iter().find(|(name, value)| !is_header(name, value)) {
            Some((name, _)) => Err(format!("headers has {name:?}, which is no header")),
            None => Ok(()),
        }
    }
}

/// What a receiver reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// All that is told, by name.
    #[default]
    Json,
    /// A message as Slack's incoming webhooks take it, and what is made like them.
    Slack,
}

/// A server that takes mail.
#[derive(Clone)]
pub struct Mail {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is encrypted.
    pub tls: Tls,
    /// Whose mail it is, as in `Skein <skein@example.org>`.
    pub from: String,
    /// Name and password; none when it wants none.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, from, login: _ } = self;
        f.debug_struct("Mail")
            .field("host", host)
            .field("port", port)
            .field("tls", tls)
            .field("from", from)
            .finish_non_exhaustive()
    }
}

impl Mail {
    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// In words, beginning with the name of the setting.
    pub fn check(&self) -> Result<(), String> {
        match self.from.parse::<lettre::message::Mailbox>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "from is {:?}; it has to be an address of mail, such as Skein <skein@example.org>",
                self.from
            )),
        }
    }
}

/// How the way to a server of mail is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    None,
    /// From the greeting on, and not without (STARTTLS).
    #[default]
    StartTls,
    /// From the first byte on.
    Tls,
}

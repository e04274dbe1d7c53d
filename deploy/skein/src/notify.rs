//! Whom the configuration file has told of ends of executions, and how: `[notifications]`.

use skein_model::ExecutionPhase;
use skein_model::task_rules::Pattern;
use skein_runtime::notify::{Format, Mail, Notify, NotifyRule, NotifyRules, Receiver, Tls};
use std::ops::RangeInclusive;
use std::path::Path;

/// The file's part about notifications.
pub const NOTIFICATIONS: &str = "notifications";
const TRIES: &str = "tries";
const LINK: &str = "link";
const EMAIL: &str = "email";
const WEBHOOKS: &str = "webhooks";
const TRIES_RANGE: RangeInclusive<i64> = 1..=100;
const PORTS: RangeInclusive<i64> = 1..=65_535;
const PHASES: [(&str, ExecutionPhase); 4] = [
    ("SUCCEEDED", ExecutionPhase::Succeeded),
    ("FAILED", ExecutionPhase::Failed),
    ("ABORTED", ExecutionPhase::Aborted),
    ("TIMED_OUT", ExecutionPhase::TimedOut),
];

/// Takes what is said of notifications; what is wrong goes to `faults`. Files are looked for from `folder`.
pub fn read(given: Option<&toml::Value>, folder: &Path, faults: &mut Vec<String>) -> Notify {
    let mut notify = Notify::default();
    let table = match given {
        None => return notify,
        Some(toml::Value::Table(table)) => Part { table, name: NOTIFICATIONS.to_owned(), folder },
        Some(_) => {
            faults.push(format!("{NOTIFICATIONS} has to be a table"));
            return notify;
        }
    };
    let mut told = |fault: Result<(), String>| faults.extend(fault.err());
    told(table.know(&[TRIES, LINK, EMAIL, WEBHOOKS]));
    told(table.number(TRIES, TRIES_RANGE).map(|tries| {
        notify.patience.tries_max =
            tries.and_then(|n| n.try_into().ok()).unwrap_or(notify.patience.tries_max);
    }));
    told(table.text(LINK).map(|link| notify.link = link.unwrap_or_default()));
    told(
        table
            .part(EMAIL)
            .and_then(|part| part.map(|part| mail(&part)).transpose())
            .map(|mail| notify.mail = mail),
    );
    let mut rules = Vec::new();
    match table.table.get(WEBHOOKS) {
        None => {}
        Some(toml::Value::Array(all)) => {
            for (at, value) in all.iter().enumerate() {
                let name = format!("webhook {} of [[{NOTIFICATIONS}.{WEBHOOKS}]]", at + 1);
                told(
                    match value {
                        toml::Value::Table(table) => webhook(&Part { table, name: name.clone(), folder }),
                        _ => Err("it has to be a table".to_owned()),
                    }
                    .and_then(|(rule, receiver)| {
                        if notify.receivers.insert(rule.name.clone(), receiver).is_some() {
                            return Err(format!("name is {:?}, which another one has", rule.name));
                        }
                        rules.push(rule);
                        Ok(())
                    })
                    .map_err(|fault| format!("{name}: {fault}")),
                );
            }
        }
        Some(_) => told(Err(format!(
            "{NOTIFICATIONS}.{WEBHOOKS} has to be a list of tables, each under [[{NOTIFICATIONS}.{WEBHOOKS}]]"
        ))),
    }
    notify.rules = NotifyRules::new(rules);
    notify
}

fn mail(part: &Part<'_>) -> Result<Mail, String> {
    part.know(&["host", "port", "tls", "from", "user", "password"])?;
    let tls = match part.text("tls")?.as_deref() {
        None | Some("starttls") => Tls::StartTls,
        Some("tls") => Tls::Tls,
        Some("none") => Tls::None,
        Some(other) => {
            return Err(part.wrong("tls", other, "one of \"starttls\", \"tls\" and \"none\""));
        }
    };
    let usual = match tls {
        Tls::StartTls => 587,
        Tls::Tls => 465,
        Tls::None => 25,
    };
    let port = part.number("port", PORTS)?.and_then(|port| port.try_into().ok()).unwrap_or(usual);
    let (host, from) = (part.needed("host")?, part.needed("from")?);
    let login = match (part.secret("user")?, part.secret("password")?) {
        (None, None) => None,
        (Some(user), Some(password)) => Some((user, password)),
        _ => return Err(format!("{0}.user and {0}.password go together; one of them is missing", part.name)),
    };
    let mail = Mail { host, port, tls, from, login };
    mail.check().map(|()| mail).map_err(|fault| format!("{}.{fault}", part.name))
}

fn webhook(part: &Part<'_>) -> Result<(NotifyRule, Receiver), String> {
    let known =
        ["name", "url", "headers", "format", "project", "domain", "workflow", "launch_plan", "phases"];
    part.know(&known)?;
    let pattern = |key| Ok::<_, String>(part.text(key)?.map(|text| Pattern::of(&text)));
    let rule = NotifyRule {
        name: part.needed("name")?,
        project: pattern("project")?,
        domain: pattern("domain")?,
        workflow: pattern("workflow")?,
        launch_plan: pattern("launch_plan")?,
        phases: part.phases()?,
    };
    let url = part.secret("url")?.ok_or("url is missing; it is where the receiver listens")?;
    let format = match part.text("format")?.as_deref() {
        None | Some("json") => Format::Json,
        Some("slack") => Format::Slack,
        Some(other) => return Err(part.wrong("format", other, "one of \"json\" and \"slack\"")),
    };
    let mut headers = Vec::new();
    if let Some(of) = part.part("headers")? {
        for name in of.table.keys() {
            headers.push((name.clone(), of.secret(name)?.unwrap_or_default()));
        }
    }
    let receiver = Receiver { url, headers, format };
    receiver.check().map(|()| (rule, receiver))
}

/// A table of the file, and what it is called there.
struct Part<'t> {
    table: &'t toml::Table,
    name: String,
    folder: &'t Path,
}

impl<'t> Part<'t> {
    fn know(&self, keys: &[&str]) -> Result<(), String> {
        match self.table.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(format!("{} is unknown; there are {}", self.key(key), keys.join(", "))),
            None => Ok(()),
        }
    }

    /// Names a key; the place of a webhook is told by whoever reads it.
    fn key(&self, key: &str) -> String {
        if self.name.contains(' ') { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn wrong(&self, key: &str, found: impl std::fmt::Display, right: &str) -> String {
        format!("{} is {found}; it has to be {right}", self.key(key))
    }

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.table.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, other, "a text")),
        }
    }

    fn needed(&self, key: &str) -> Result<String, String> {
        self.text(key)?.ok_or_else(|| format!("{} is missing; it has to be a text", self.key(key)))
    }

    fn number(&self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, String> {
        let Some(given) = self.table.get(key) else { return Ok(None) };
        match given.as_integer().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let right = format!("a whole number from {} to {}", range.start(), range.end());
                Err(self.wrong(key, given, &right))
            }
        }
    }

    fn part(&self, key: &str) -> Result<Option<Part<'t>>, String> {
        match self.table.get(key) {
            None => Ok(None),
            Some(toml::Value::Table(table)) => {
                Ok(Some(Part { table, name: self.key(key), folder: self.folder }))
            }
            Some(other) => Err(self.wrong(key, other, "a table")),
        }
    }

    /// Takes a text that may stand elsewhere: in a variable (`{ env = "NAME" }`) or a file (`{ file = "PATH" }`).
    fn secret(&self, key: &str) -> Result<Option<String>, String> {
        let right = "a text, { env = \"NAME\" } or { file = \"PATH\" }";
        let at = match self.table.get(key) {
            Some(toml::Value::Table(at)) if at.len() == 1 => at,
            Some(toml::Value::Table(_)) => return Err(format!("{} has to be {right}", self.key(key))),
            _ => return self.text(key),
        };
        let found = match at.iter().next() {
            Some((how, toml::Value::String(name))) if how == "env" => {
                std::env::var(name).map_err(|error| format!("the variable {name}: {error}"))
            }
            Some((how, toml::Value::String(path))) if how == "file" => {
                let path = self.folder.join(path);
                std::fs::read_to_string(&path)
                    .map_err(|error| format!("the file {}: {error}", path.display()))
            }
            _ => return Err(format!("{} has to be {right}", self.key(key))),
        };
        let found = found.map_err(|fault| format!("{} cannot be had from {fault}", self.key(key)))?;
        Ok(Some(found.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn phases(&self) -> Result<Vec<ExecutionPhase>, String> {
        let right = "a list of some of \"SUCCEEDED\", \"FAILED\", \"ABORTED\" and \"TIMED_OUT\"";
        let given = match self.table.get("phases") {
            None => return Ok(Vec::new()),
            Some(toml::Value::Array(given)) if !given.is_empty() => given,
            Some(other) => return Err(self.wrong("phases", other, right)),
        };
        let phase = |value: &toml::Value| {
            let found = PHASES.into_iter().find(|(word, _)| value.as_str() == Some(word));
            found.map(|(_, phase)| phase).ok_or_else(|| self.wrong("phases", format!("[{value}]"), right))
        };
        given.iter().map(phase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Notify, Vec<String>) {
        let table: toml::Table = text.parse().expect("TOML");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "secret\n").expect("a file");
        let mut faults = Vec::new();
        let notify = read(table.get(NOTIFICATIONS), folder.path(), &mut faults);
        (notify, faults)
    }

    #[test]
    fn mail_and_receivers_are_read_with_what_stands_elsewhere() {
        let (notify, faults) = parsed(
            "
            [notifications]
            tries = 3
            [notifications.email]
            host = 'mail.example.org'
            from = 'Skein <skein@example.org>'
            user = 'skein'
            password = { file = 'token' }
            [[notifications.webhooks]]
            name = 'ops'
            url = 'https://ops.example.org/hook'
            headers = { Authorization = { file = 'token' } }
            domain = 'production'
            phases = ['FAILED', 'TIMED_OUT']
            [[notifications.webhooks]]
            name = 'chat'
            url = { file = 'token' }
            ",
        );
        assert_eq!(
            faults,
            ["webhook 2 of [[notifications.webhooks]]: url is no address such as https://HOST/PATH"]
        );
        let mail = notify.mail.expect("it is said");
        assert_eq!((mail.port, mail.tls), (587, Tls::StartTls));
        assert_eq!(mail.login, Some(("skein".to_owned(), "secret".to_owned())));
        assert_eq!(notify.patience.tries_max, 3);
        let ops = &notify.receivers["ops"];
        assert_eq!(ops.headers, [("Authorization".to_owned(), "secret".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_told_with_key_value_and_what_would_be_right() {
        let each = [
            ("notifications = 1", "notifications has to be a table"),
            (
                "[notifications]\ncolour = 1",
                "notifications.colour is unknown; there are tries, link, email, webhooks",
            ),
            (
                "[notifications]\ntries = 0",
                "notifications.tries is 0; it has to be a whole number from 1 to 100",
            ),
            (
                "[notifications.email]\nfrom = 'a@b'",
                "notifications.email.host is missing; it has to be a text",
            ),
            (
                "[notifications.email]\nhost = 'h'\nfrom = 'nobody'",
                "notifications.email.from is \"nobody\"; it has to be an address of mail, such as Skein <skein@example.org>",
            ),
            (
                "[notifications.email]\nhost = 'h'\nfrom = 'a@b'\nuser = 'u'",
                "notifications.email.user and notifications.email.password go together; one of them is missing",
            ),
            (
                "[[notifications.webhooks]]\nname = 'a'\nurl = 'http://h'\nphases = ['RUNNING']",
                "webhook 1 of [[notifications.webhooks]]: phases is [\"RUNNING\"]; it has to be a list of some of \
                 \"SUCCEEDED\", \"FAILED\", \"ABORTED\" and \"TIMED_OUT\"",
            ),
            (
                "[[notifications.webhooks]]\nname = 'a'\nurl = 'http://h'\nformat = 'xml'",
                "webhook 1 of [[notifications.webhooks]]: format is xml; it has to be one of \"json\" and \"slack\"",
            ),
            (
                "[[notifications.webhooks]]\nname = 'a'\nurl = 'http://h'\nheaders = { 'a b' = 'c' }",
                "webhook 1 of [[notifications.webhooks]]: headers has \"a b\", which is no header",
            ),
        ];
        for (text, expected) in each {
            assert_eq!(parsed(text).1, [expected], "{text}");
        }
    }
}

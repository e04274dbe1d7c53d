//! Secrets: what they are called, where they hold, and what of them is written down.

use crate::ids::{IdError, check_name};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest value of a secret, in bytes. Its encrypted form stands in one record of the log.
pub const SECRET_BYTES_MAX: usize = 512 * 1024;

/// Names a secret in its scope: the organization, a domain of it, or a project and domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretId {
    /// The project; empty in the two wider scopes.
    pub project: String,
    /// The domain; empty in the widest scope.
    pub domain: String,
    /// The name; unique in its scope.
    pub name: String,
}

impl SecretId {
    /// Checks the three parts.
    ///
    /// # Errors
    /// The first part that is missing or refused. A project needs a domain.
    pub fn parse(project: &str, domain: &str, name: &str) -> Result<Self, IdError> {
        check_secret_name("name", name)?;
        if !project.is_empty() {
            check_name("project", project)?;
            check_name("domain", domain)?;
        } else if !domain.is_empty() {
            check_name("domain", domain)?;
        }
        Ok(Self { project: project.to_owned(), domain: domain.to_owned(), name: name.to_owned() })
    }

    /// Answers the same name in the next wider scope; none when there is no wider one.
    pub fn wider(&self) -> Option<Self> {
        let domain = if self.project.is_empty() { String::new() } else { self.domain.clone() };
        let wider = Self { project: String::new(), domain, name: self.name.clone() };
        (wider != *self).then_some(wider)
    }

    /// Answers where it holds, in words.
    pub fn scope(&self) -> String {
        match (self.project.as_str(), self.domain.as_str()) {
            ("", "") => "the organization".to_owned(),
            ("", domain) => format!("domain {domain}"),
            (project, domain) => format!("project {project} and domain {domain}"),
        }
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.scope())
    }
}

/// Checks the name of a secret: part of a variable's name and of a path.
///
/// # Errors
/// Whatever is wrong with it, naming `field`.
pub fn check_secret_name(field: &'static str, value: &str) -> Result<(), IdError> {
    check_name(field, value)?;
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match value.chars().find(|c| !allowed(c)) {
        Some(character) => Err(IdError::Character { field, value: value.to_owned(), character }),
        None => Ok(()),
    }
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretKind {
    /// Tasks that ask for it.
    #[default]
    Generic,
    /// Whoever fetches images from a registry.
    ImagePull,
}

/// A value, encrypted; bound to the name and the scope of its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The name of the key: 16 hexadecimal digits that say nothing of the key itself.
    pub key: String,
    /// What was drawn for this one encryption.
    pub nonce: Bytes,
    /// The encrypted value and its tag.
    pub ciphertext: Bytes,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.ciphertext.len();
        f.debug_struct("Sealed").field("key", &self.key).field("bytes", &bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(project: &str, domain: &str) -> SecretId {
        SecretId::parse(project, domain, "k").expect("it is right")
    }

    #[test]
    fn a_secret_is_looked_for_in_wider_and_wider_scopes() {
        assert_eq!(id("p", "d").wider(), Some(id("", "d")));
        assert_eq!(id("", "d").wider(), Some(id("", "")));
        assert_eq!(id("", "").wider(), None);
        assert_eq!(id("p", "d").to_string(), "k of project p and domain d");
        assert_eq!(id("", "d").to_string(), "k of domain d");
        assert_eq!(id("", "").to_string(), "k of the organization");
    }

    #[test]
    fn a_project_without_a_domain_is_no_scope() {
        assert_eq!(SecretId::parse("p", "", "k"), Err(IdError::Missing { field: "domain" }));
    }

    #[test]
    fn a_name_that_no_variable_or_file_can_have_is_refused() {
        for name in ["", ".", "..", "a/b", "a b", "a=b", "ä", "a\0b", "a\n"] {
            assert!(SecretId::parse("", "", name).is_err(), "{name:?}");
        }
        for name in ["TOKEN", "my-secret", "my_secret.v2", ".netrc"] {
            assert!(SecretId::parse("", "", name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn an_encrypted_value_is_not_printed() {
        let nonce = Bytes::from_static(b"nonce");
        let sealed = Sealed { key: "ab".to_owned(), nonce, ciphertext: Bytes::from_static(b"sealed") };
        assert_eq!(format!("{sealed:?}"), "Sealed { key: \"ab\", bytes: 6, .. }");
    }
}

//! Which secrets a task asks for, and under which names the SDK looks for them.

use crate::ids::IdError;
use crate::secret::check_secret_name;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_idl::flyteidl::core::secret::MountType;
use std::collections::BTreeSet;

/// What the names of variables with secrets begin with.
pub const VARIABLE_PREFIX: &str = "_UNION_";
/// The most secrets that one task may ask for.
const REQUESTS_MAX: usize = 256;

/// How a task wants a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// As a variable, or as a file where it cannot be one.
    Any,
    /// As a variable.
    Variable,
    /// As a file.
    File,
}

/// One secret that a task asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// The name of the secret.
    pub key: String,
    /// The group that the task names; it takes part in the names that the SDK looks for, and in nothing else.
    pub group: String,
    /// The version of the group, as far as the task names one.
    pub version: String,
    /// How it is wanted.
    pub mount: Mount,
    /// A variable of the task's own choice that holds the value, or the path of the file.
    pub variable: Option<String>,
}

/// A request for a secret that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRequestError {
    /// A part of it is missing or refused.
    #[error("security_context.secrets[{at}]: {source}")]
    Name {
        /// Its place in the list.
        at: usize,
        /// Which part, and what is wrong with it.
        source: IdError,
    },
    /// It does not say which secret.
    #[error(
        "security_context.secrets[{at}] has no key, and the group {group:?} alone is no secret here; say Secret(key=…)"
    )]
    NoKey {
        /// Its place in the list.
        at: usize,
        /// Its group.
        group: String,
    },
    /// Its variable cannot be one.
    #[error(
        "security_context.secrets[{at}].env_var is {value:?}; use letters, digits and underscores, and begin with no digit"
    )]
    Variable {
        /// Its place in the list.
        at: usize,
        /// What it says.
        value: String,
    },
    /// It says how it is wanted by a number that means nothing.
    #[error(
        "security_context.secrets[{at}].mount_requirement is {value}; it is 0 (any), 1 (variable) or 2 (file)"
    )]
    Mount {
        /// Its place in the list.
        at: usize,
        /// The number.
        value: i32,
    },
    /// There are too many.
    #[error("security_context.secrets has {count} entries, the limit is {REQUESTS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl SecretRequest {
    /// Answers what a task asks for.
    ///
    /// # Errors
    /// What is wrong with the first request that is.
    pub fn all_of(template: &TaskTemplate) -> Result<Vec<Self>, SecretRequestError> {
        let asked = template.security_context.as_ref().map_or(&[][..], |context| &context.secrets);
        if asked.len() > REQUESTS_MAX {
            return Err(SecretRequestError::TooMany { count: asked.len() });
        }
        let mut requests = Vec::with_capacity(asked.len());
        for (at, secret) in asked.iter().enumerate() {
            if secret.key.is_empty() {
                return Err(SecretRequestError::NoKey { at, group: secret.group.chars().take(64).collect() });
            }
            let parts =
                [("key", &secret.key), ("group", &secret.group), ("group_version", &secret.group_version)];
            for (field, value) in parts {
                if !value.is_empty() {
                    check_secret_name(field, value)
                        .map_err(|source| SecretRequestError::Name { at, source })?;
                }
            }
            let mount = match MountType::try_from(secret.mount_requirement) {
                Ok(MountType::Any) => Mount::Any,
                Ok(MountType::EnvVar) => Mount::Variable,
                Ok(MountType::File) => Mount::File,
                Err(_) => return Err(SecretRequestError::Mount { at, value: secret.mount_requirement }),
            };
            if !secret.env_var.is_empty() && !is_variable(&secret.env_var) {
                let value = secret.env_var.chars().take(64).collect();
                return Err(SecretRequestError::Variable { at, value });
            }
            requests.push(Self {
                key: secret.key.clone(),
                group: secret.group.clone(),
                version: secret.group_version.clone(),
                mount,
                variable: Some(secret.env_var.clone()).filter(|name| !name.is_empty()),
            });
        }
        Ok(requests)
    }

    /// Answers the variables in which a value is looked for: by its key alone, as the original has it, and by group and
    /// version too, as the SDK puts them together.
    pub fn variables(&self) -> BTreeSet<String> {
        let asked = self.parts().join("_");
        [&self.key, &asked].map(|name| format!("{VARIABLE_PREFIX}{}", name.to_uppercase())).into()
    }

    /// Answers the path below the folder of secrets at which the SDK looks for it: group, version and key, as far as
    /// they are there.
    pub fn path(&self) -> String {
        self.parts().join("/").to_lowercase()
    }

    fn parts(&self) -> Vec<&str> {
        let parts = [self.group.as_str(), &self.version, &self.key];
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

fn is_variable(name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_word && !name.starts_with(|c: char| c.is_ascii_digit()) && name.len() <= crate::ids::NAME_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{Secret, SecurityContext};

    fn all_of(secrets: Vec<Secret>) -> Result<Vec<SecretRequest>, SecretRequestError> {
        let security_context = Some(SecurityContext { secrets, ..SecurityContext::default() });
        SecretRequest::all_of(&TaskTemplate { security_context, ..TaskTemplate::default() })
    }

    fn secret(key: &str) -> Secret {
        Secret { key: key.to_owned(), ..Secret::default() }
    }

    #[test]
    fn a_secret_is_found_under_the_names_that_the_sdk_looks_for() {
        let grouped = Secret { group: "G".to_owned(), group_version: "v1".to_owned(), ..secret("My-Key") };
        let request = all_of(vec![grouped]).expect("it is right").remove(0);
        assert_eq!(request.variables(), ["_UNION_MY-KEY", "_UNION_G_V1_MY-KEY"].map(str::to_owned).into());
        assert_eq!(request.path(), "g/v1/my-key");
        let plain = all_of(vec![secret("token")]).expect("it is right").remove(0);
        assert_eq!(plain.variables(), ["_UNION_TOKEN".to_owned()].into());
        assert_eq!(plain.path(), "token");
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused_by_place_field_and_value() {
        let cases = [
            (
                Secret { group: "g".to_owned(), ..secret("") },
                "secrets[0] has no key, and the group \"g\" alone",
            ),
            (Secret { group: "../g".to_owned(), ..secret("k") }, "secrets[0]: group \"../g\" holds '/'"),
            (secret("a b"), "secrets[0]: key \"a b\" holds ' '"),
            (
                Secret { env_var: "A=B".to_owned(), ..secret("k") },
                "secrets[0].env_var is \"A=B\"; use letters",
            ),
            (Secret { env_var: "1A".to_owned(), ..secret("k") }, "secrets[0].env_var is \"1A\""),
            (
                Secret { mount_requirement: 7, ..secret("k") },
                "secrets[0].mount_requirement is 7; it is 0 (any)",
            ),
        ];
        for (asked, expected) in cases {
            let refused = all_of(vec![asked]).expect_err("it is wrong").to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        let refused = all_of(vec![secret("k"); REQUESTS_MAX + 1]).expect_err("too many").to_string();
        assert_eq!(refused, "security_context.secrets has 257 entries, the limit is 256");
    }
}

//! What is printed of messages that hold secrets: everything but those.

use crate::cloudidl::secret::{SecretSpec, secret_spec};
use std::fmt;

impl fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSpec").field("value", &self.value).field("type", &self.r#type).finish()
    }
}

impl fmt::Debug for secret_spec::Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StringValue(_) => "StringValue(…)",
            Self::BinaryValue(_) => "BinaryValue(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudidl::secret::CreateSecretRequest;

    #[test]
    fn a_request_with_a_secret_is_printed_without_it() {
        for value in [
            secret_spec::Value::StringValue("hunter2".to_owned()),
            secret_spec::Value::BinaryValue(b"hunter2".to_vec().into()),
        ] {
            let secret_spec = Some(SecretSpec { value: Some(value), r#type: 0 });
            let printed = format!("{:?}", CreateSecretRequest { id: None, secret_spec });
            assert!(printed.contains("Value(…)") && !printed.contains("hunter2"), "{printed}");
            assert!(!printed.contains("104, 117"), "{printed}");
        }
    }
}

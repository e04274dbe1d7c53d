//! Reads `flyte://v1/project/domain/execution/node[/attempt]/(i|o|d)[/literal]`.

use crate::error::ApiError;
use skein_model::ExecutionId;
use skein_model::ids::check_name;

/// What an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Inputs,
    Outputs,
    Deck,
}

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) execution: ExecutionId,
    pub(super) node: String,
    pub(super) attempt: Option<u32>,
    pub(super) what: What,
    pub(super) literal: Option<String>,
}

/// Reads an address.
///
/// # Errors
/// [`ApiError::InvalidArgument`] when it is none.
pub(super) fn parse(url: &str) -> Result<Address, ApiError> {
    read(url).ok_or_else(|| {
        let shown: String = url.chars().take(256).collect();
        ApiError::invalid(format!("failed to parse artifact url Error: failed to parse [{shown}]"))
    })
}

fn read(url: &str) -> Option<Address> {
    let parts: Vec<&str> = url.strip_prefix("flyte://v1/")?.split('/').collect();
    // As liberal as names are: whatever address is shown can be read.
    if parts.iter().any(|part| check_name("flyte_url", part).is_err()) {
        return None;
    }
    let [project, domain, name, node, rest @ ..] = parts.as_slice() else { return None };
    let (attempt, rest) = match rest {
        [number, rest @ ..] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(number.parse().ok()?), rest)
        }
        rest => (None, rest),
    };
    let (what, literal) = match rest {
        ["i"] => (What::Inputs, None),
        ["o"] => (What::Outputs, None),
        ["d"] => (What::Deck, None),
        ["i", literal] => (What::Inputs, Some((*literal).to_owned())),
        ["o", literal] => (What::Outputs, Some((*literal).to_owned())),
        _ => return None,
    };
    let execution = ExecutionId::parse(project, domain, name).ok()?;
    Some(Address { execution, node: (*node).to_owned(), attempt, what, literal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(attempt: Option<u32>, what: What, literal: Option<&str>) -> Option<Address> {
        let execution = ExecutionId::parse("p", "d", "e").expect("a good id");
        Some(Address { execution, node: "n0".to_owned(), attempt, what, literal: literal.map(str::to_owned) })
    }

    #[test]
    fn an_address_names_inputs_outputs_or_deck_of_a_node_or_attempt() {
        assert_eq!(read("flyte://v1/p/d/e/n0/i"), address(None, What::Inputs, None));
        assert_eq!(read("flyte://v1/p/d/e/n0/o/o0"), address(None, What::Outputs, Some("o0")));
        assert_eq!(read("flyte://v1/p/d/e/n0/2/o"), address(Some(2), What::Outputs, None));
        assert_eq!(read("flyte://v1/p/d/e/n0/0/d"), address(Some(0), What::Deck, None));
        assert_eq!(
            read("flyte://v1/p/d/e/n0/o/größe in cm"),
            address(None, What::Outputs, Some("größe in cm"))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for url in [
            "",
            "flyte://v1/a/b",
            "flyte://v2/p/d/e/n0/i",
            "flyte://v1/p/d/e/n0",
            "flyte://v1/p/d/e/n0/x",
            "flyte://v1/p/d/e/n0/d/x",
            "flyte://v1/p/d/e/n0/i/../x",
            "flyte://v1/p/d/e/n0/i/a/b",
            "flyte://v1/p/d/e/../i",
            "flyte://v1/p/d/e/n0/99999999999/i",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
    }
}

//! Filter strings of lists.

/// Reads the bytes, where they are text, as a filter string.
pub fn filter_string(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = skein_gateway::filter::parse(text) {
        assert!(!error.to_string().is_empty(), "a refusal says what is wrong");
    }
}

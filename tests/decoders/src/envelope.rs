//! Bodies of records as they stand in the log.

use skein_model::codec::{decode, encode};
use skein_model::{Command, Event, RegistryEvent, Work};

const SCHEMAS: [u16; 3] = [0, 1, u16::MAX];

/// Reads the bytes as the events of a record, of either category, and of every schema.
///
/// # Panics
///
/// When events that were read cannot be written, or are others when they are read again.
pub fn event_envelope(bytes: &[u8]) {
    for schema in SCHEMAS {
        if let Ok(events) = decode::<Event>(schema, bytes) {
            let written = encode(&events).expect("what was read from a body fits into one");
            let again: Vec<Event> = decode(schema, &written).expect("what was written can be read");
            assert_eq!(encode(&again).expect("it was written once"), written);
        }
        if let Ok(events) = decode::<RegistryEvent>(schema, bytes) {
            let written = encode(&events).expect("what was read from a body fits into one");
            let again: Vec<RegistryEvent> = decode(schema, &written).expect("what was written can be read");
            assert_eq!(encode(&again).expect("it was written once"), written);
        }
        drop(decode::<Command>(schema, bytes));
        drop(decode::<Work>(schema, bytes));
    }
}

#![no_main]
//! Feeds what the engine makes up to `skein_decoders::event_envelope`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skein_decoders::event_envelope(bytes));

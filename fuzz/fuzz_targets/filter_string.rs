#![no_main]
//! Feeds what the engine makes up to `skein_decoders::filter_string`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skein_decoders::filter_string(bytes));

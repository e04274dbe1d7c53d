#![no_main]
//! Feeds what the engine makes up to `skein_decoders::archive`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skein_decoders::archive(bytes));

#![no_main]
//! Feeds what the engine makes up to `skein_decoders::protobuf_request`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skein_decoders::protobuf_request(bytes));

//! See [`octroi_fuzz::client_hello`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::client_hello::run(data));

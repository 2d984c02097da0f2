//! See [`octroi_fuzz::second_hello`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::second_hello::run(data));

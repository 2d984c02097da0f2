//! See [`octroi_fuzz::matcher`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::matcher::run(data));

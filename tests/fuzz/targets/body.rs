//! See [`octroi_fuzz::body`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::body::run(data));

//! See [`octroi_fuzz::name`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::name::run(data));

//! See [`octroi_fuzz::head`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::head::run(data));

//! See [`octroi_fuzz::judge`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::judge::run(data));

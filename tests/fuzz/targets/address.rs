//! See [`octroi_fuzz::address`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::address::run(data));

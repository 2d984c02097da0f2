//! See [`octroi_fuzz::list`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| octroi_fuzz::list::run(data));

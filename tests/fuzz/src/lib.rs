//! What each fuzz target holds the two pure crates to.
//!
//! | target | input | what must hold |
//! | --- | --- | --- |
//! | [`head`] | a request head | one answer in any split; a sloppy second reader sees the same request, before and after it is written anew |
//! | [`body`] | a chunked body and what follows it | one answer in any split; a plain walk over the lines ends in the same place, or it is refused |
//! | [`client_hello`] | the first bytes of a client | one answer in any split and any records; where rustls names a host so do we, or a listed difference holds |
//! | [`second_hello`] | what a client sends behind its first hello, and what its server answers | one answer in any split; what passes is what a plain walk over the whole finds harmless, or the same hello again |
//! | [`dns`] | a DNS message, or records from a small zone | the chain and addresses of a naive walk; nothing out of bailiwick; any order |
//! | [`name`] | a text | canonical or refused; read again the same; never what `inet_aton` takes for an address; suffixes end at a dot |
//! | [`address`] | an address and a spelling | in every place that address or a refusal; no carrier leads to a forbidden one |
//! | [`proxy_header`] | a PROXY header, version 1 or 2 | one answer in any split; never beyond its limit; a plain walk finds the same client; written anew it reads the same; no change beneath a checksum passes |
//! | [`list`] | a list file | a line means the same alone; an entry prints as it reads; nothing dropped in silence |
//! | [`bundle`] | files of a bundle | findings with places, or a policy that answers; the same each time and in any order of files |
//! | [`matcher`] | patterns, ranges, names, addresses | the compiled matcher equals the naive one |
//! | [`judge`] | a small bundle and a flow | order of rules, observing, a ministry's layer, derogations, more evidence: each as the design says |
//!
//! Each module has `run(bytes)`, which panics where something does not hold; `targets/` hands it to libFuzzer, which
//! begins with the committed corpus.

pub mod address;
pub mod body;
pub mod bundle;
pub mod client_hello;
pub mod dns;
pub mod head;
pub mod judge;
pub mod list;
pub mod matcher;
pub mod name;
pub mod proxy_header;
pub mod second_hello;

//! Lists of millions, compiled: which entries match this name, or this address.
//!
//! [`NameMatcher`] and [`AddressMatcher`] are immutable and never scan: a name costs one probe a
//! label plus a walk over the few patterns with wildcards, an address one binary search. Both
//! answer two questions: `best`, everything said by the most specific entry (classification),
//! and `all`, everything said by any entry (conditions of rules). [`naive`] says what the right
//! answers are; property tests hold the two together.

mod addresses;
pub mod naive;
mod names;
#[cfg(test)]
mod tests;

pub use addresses::AddressMatcher;
pub use names::{Best, NameMatcher};

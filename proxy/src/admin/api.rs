//! `/api/v1/`: what the console reads, for programs too.

pub(super) mod attempts;
pub(super) mod explain;
pub(super) mod history;
pub(super) mod names;
pub(super) mod policy;
pub(super) mod stream;

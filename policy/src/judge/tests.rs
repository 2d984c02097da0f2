//! Tables of (given, expect) for the five steps.

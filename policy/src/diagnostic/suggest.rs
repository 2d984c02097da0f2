//! "Did you mean …".

/// Texts longer than this are not compared: nobody mistypes 64 letters by one.
const MAX_LENGTH: usize = 64;
/// How many candidates are looked at.
const MAX_CANDIDATES: usize = 20_000;

/// The candidate nearest to `text`, if one is near enough: about a third of its letters may differ.
#[must_use]
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    if length == 0 || length > MAX_LENGTH {
        return None;
    }
    let limit = (length + 1) / 3;
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(text.len()) <= limit + 2)
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, candidate)| (distance, candidate))
        .map(|(_, candidate)| candidate)
}

/// Edits between the two, where case, `-` and `_` make no difference.
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    strsim::osa_distance(&plain(a), &plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let words = ["sensitive", "standard", "exchange-online", "deny", "allow"];
        for (given, expected) in [
            ("sensible", Some("sensitive")),
            ("Sensitive", Some("sensitive")),
            ("exchange_online", Some("exchange-online")),
            ("exchnage-online", Some("exchange-online")),
            ("dney", Some("deny")),
            ("block", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, words), expected, "{given}");
        }
        assert_eq!(nearest(&"a".repeat(65), ["a"]), None);
    }
}

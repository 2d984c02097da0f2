use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

#[test]
fn what_each_form_matches() {
    for (given, yes, no) in [
        (
            "example.org",
            &["example.org"][..],
            &["a.example.org", "org", "notexample.org"][..],
        ),
        (
            ".example.org",
            &["example.org", "a.example.org", "a.b.example.org"],
            &["badexample.org", "org"],
        ),
        (
            "*.example.org",
            &["a.example.org", "a.b.example.org"],
            &["example.org", "aexample.org"],
        ),
        (
            "autodiscover.*.onmicrosoft.com",
            &["autodiscover.contoso.onmicrosoft.com"],
            &[
                "autodiscover.onmicrosoft.com",
                "autodiscover.a.b.onmicrosoft.com",
                "x.contoso.onmicrosoft.com",
            ],
        ),
        (
            "*-files.example.org",
            &["a-files.example.org", "a-b-files.example.org"],
            &[
                "files.example.org",
                "a.b-files.example.org",
                "a-files-x.example.org",
            ],
        ),
        (
            "a*b*c.example.org",
            &["abc.example.org", "axbxbyc.example.org"],
            &["ab.example.org", "abcd.example.org"],
        ),
        (
            "*.*.example.org",
            &["a.b.example.org", "a.b.c.example.org"],
            &["a.example.org"],
        ),
        (
            ".a*.example.org",
            &["a.example.org", "abc.example.org", "x.abc.example.org"],
            &["b.example.org"],
        ),
        ("intranet", &["intranet"], &["intranet.example.org"]),
        ("*", &["org", "a.b"], &[]),
        ("Example.ORG.", &["example.org"], &[]),
        (
            "*.café.example",
            &["a.xn--caf-dma.example"],
            &["xn--caf-dma.example"],
        ),
        ("www.*.café.example", &["www.a.xn--caf-dma.example"], &[]),
        ("10.*.example.org", &["10.a.example.org"], &[]),
    ] {
        for text in yes {
            assert!(
                pattern(given).matches(&name(text)),
                "{given} should match {text}"
            );
        }
        for text in no {
            assert!(
                !pattern(given).matches(&name(text)),
                "{given} should not match {text}"
            );
        }
    }
}

#[test]
fn a_suffix_means_it_and_below() {
    for (given, expected) in [
        ("outlook.com", ".outlook.com"),
        (".outlook.com", ".outlook.com"),
        ("*.outlook.com", "*.outlook.com"),
        ("a.*.outlook.com", ".a.*.outlook.com"),
    ] {
        assert_eq!(Pattern::suffix(given).unwrap().to_string(), expected);
    }
}

#[test]
fn what_is_no_pattern_says_why() {
    use NameError as E;
    for (given, expected) in [
        ("", E::Empty.into()),
        (".", E::Empty.into()),
        ("*.", E::Empty.into()),
        ("..example.org", E::EmptyLabel.into()),
        ("a..*.example.org", E::EmptyLabel.into()),
        ("-*.example.org", E::Hyphen.into()),
        ("*-.example.org", E::Hyphen.into()),
        ("a b.*.org", E::Character.into()),
        ("http://example.org/*", E::Character.into()),
        ("example.org/", E::Character.into()),
        ("192.0.2.1", E::Address.into()),
        ("192.0.*.1", E::NumberLike.into()),
        ("**.example.org", PatternError::DoubleStar),
        ("*é.example", PatternError::UnicodeGlob),
    ] {
        assert_eq!(Pattern::parse(given), Err(expected), "{given:?}");
    }
    assert!(Pattern::parse(&format!("*{}.org", "a".repeat(63))).is_err());
    assert!(Pattern::parse(&format!("*.*.{}", "a.".repeat(127))).is_err());
}

#[test]
fn too_wide_is_told() {
    for wide in [
        "*", "*.fr", ".com", "*.*", ".*", "*.*.fr", "a.*", "a.*.com", "a*.b*", "x*",
    ] {
        assert!(pattern(wide).is_too_wide(), "{wide}");
    }
    for fine in [
        "intranet",
        "*.gouv.fr",
        ".example.org",
        "a.*.example.org",
        "*-files.fr",
        "*.*.example.org",
    ] {
        assert!(!pattern(fine).is_too_wide(), "{fine}");
    }
    assert!(Pattern::suffix("com").unwrap().is_too_wide());
}

#[test]
fn the_more_specific_wins() {
    // Each line from most to least specific; all its patterns match one name.
    for line in [
        &[
            "a.b.example.org",
            ".a.b.example.org",
            "a*.b.example.org",
            "*.b.example.org",
            ".b.example.org",
        ][..],
        &[
            "www.b.c", "*.b.c", ".b.c", "*.*.c", ".*.c", "*.c", ".c", "*",
        ],
        // From the right: a literal near the top beats more labels further down.
        &[
            "*.b.example.org",
            "www.*.example.org",
            ".*.example.org",
            "*.example.org",
        ],
        &["a.b*.c", ".a.b*.c", "*.b*.c", ".b*.c", "a.*.c"],
    ] {
        for pair in line.windows(2) {
            let (more, less) = (
                pattern(pair[0]).specificity(),
                pattern(pair[1]).specificity(),
            );
            assert!(more > less, "{} before {}", pair[0], pair[1]);
        }
    }
    assert_eq!(pattern("a*.b").specificity(), pattern("*z.b").specificity());
}

fn any_pattern() -> impl Strategy<Value = String> {
    "(|\\.|\\*\\.)(\\*|a|b|a\\*|\\*b)(\\.(\\*|a|b|a\\*|\\*b)){0,3}"
}

proptest! {
    #[test]
    fn printing_and_reading_agree(text in any_pattern()) {
        let found = pattern(&text);
        prop_assert_eq!(Pattern::parse(&found.to_string()), Ok(found.clone()));
        prop_assert_eq!(found.to_string(), text);
    }

    /// `.office.com` is not `notoffice.com`, `office.com.evil.example`, `office-com.example` or `office.co`.
    #[test]
    fn a_suffix_ends_at_a_dot(
        base in "[a-z][a-z0-9-]{0,6}[a-z0-9]\\.[a-z]{2,4}",
        before in "[a-z0-9_-]{0,5}[a-z0-9_]",
        below in "([a-z0-9]{1,4}\\.){0,3}",
        after in "(\\.?[a-z][a-z0-9]{0,3}|-[a-z])",
    ) {
        let name = |text: String| DomainName::parse(&text).ok();
        let own = name(base.clone()).unwrap();
        let suffixes = [format!(".{base}"), format!("*.{base}")].map(|text| pattern(&text));
        let other_ends = [
            name(format!("{below}{before}{base}")),
            name(format!("{below}{before}-{base}")),
            name(format!("{base}{after}")),
            name(format!("{below}{}.{base}x", base.replace('.', "-"))),
        ];
        for other in other_ends.into_iter().flatten().filter(|o| !o.as_str().ends_with(&format!(".{base}"))) {
            prop_assert!(other == own || suffixes.iter().all(|s| !s.matches(&other)), "{} on {}", base, other);
            prop_assert!(other == own || !pattern(&base).matches(&other));
        }
        let inside = name(format!("{below}x.{base}")).unwrap();
        prop_assert!(suffixes.iter().all(|suffix| suffix.matches(&inside)));
        prop_assert_eq!(suffixes.map(|suffix| suffix.matches(&own)), [true, false]);
    }

    /// Case, dots at the end and the Unicode form of a list entry do not change whom it matches.
    #[test]
    fn spellings_of_an_entry_are_one_entry(
        text in "[a-zé]{1,5}\\.[a-z]{2,4}", prefix in "(|\\.|\\*\\.)", dots in 0usize..3,
    ) {
        let plain = pattern(&format!("{prefix}{text}"));
        let odd = format!("{prefix}{}{}", text.to_uppercase(), ".".repeat(dots));
        prop_assert_eq!(pattern(&odd), plain.clone());
        let a_labels = DomainName::from_unicode(&text).unwrap();
        prop_assert_eq!(pattern(&format!("{prefix}{a_labels}")), plain);
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in any::<String>()) {
        if let Ok(found) = Pattern::parse(&text) {
            prop_assert_eq!(Pattern::parse(&found.to_string()), Ok(found));
        }
    }

    #[test]
    fn globs_match_as_the_recursive_definition_says(glob in "[ab*]{0,8}", text in "[ab]{0,8}") {
        fn naive(glob: &[u8], text: &[u8]) -> bool {
            match glob {
                [] => text.is_empty(),
                [b'*', rest @ ..] => (0..=text.len()).any(|n| naive(rest, &text[n..])),
                [byte, rest @ ..] => text.first() == Some(byte) && naive(rest, &text[1..]),
            }
        }
        prop_assert_eq!(
            glob_matches(glob.as_bytes(), text.as_bytes()),
            naive(glob.as_bytes(), text.as_bytes())
        );
    }

    #[test]
    fn a_literal_compares_as_its_pattern(
        text in any_pattern(), literal in "[ab](\\.[ab]){0,3}", depth in 0usize..3,
    ) {
        let prefix = ["", ".", "*."][depth];
        let other = pattern(&(prefix.to_owned() + &literal));
        prop_assert_eq!(
            pattern(&text).specificity().cmp_literal(other.labels().count(), other.depth()),
            pattern(&text).specificity().cmp(&other.specificity())
        );
    }
}

//! Every bundle below `cases/` is checked without a finding of its own and passes its own tests: together
//! they say what each sentence of the semantics means.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use octroi_policy::Policy;
use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::suite;

#[test]
fn every_case_comes_out_as_written() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut ran = 0;
    let mut failed = String::new();
    for entry in std::fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let checked = check(&Bundle::read(&path).unwrap(), None);
        let Some(model) = checked.model else {
            panic!("{}: {:#?}", path.display(), checked.findings);
        };
        ran += model.tests.len();
        for failure in suite::run(&Policy::compile(model)) {
            failed += &format!(
                "{} · {}\n  {}\n{}\n",
                path.display(),
                failure.name,
                failure.differences.join("\n  "),
                failure.explanation
            );
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(ran > 90, "only {ran} tests were found");
}

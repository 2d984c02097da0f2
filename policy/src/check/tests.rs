//! The example bundle, which must be clean.

use std::path::Path;

use super::check;
use crate::bundle::Bundle;
use crate::diagnostic::Colour;

fn example() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policy");
    Bundle::read(&path).unwrap()
}

#[test]
fn the_example_bundle_has_no_error() {
    let bundle = example();
    let checked = check(&bundle, None);
    let text = checked.findings.render(&bundle, Colour::Never);
    assert!(checked.model.is_some(), "{text}");
}

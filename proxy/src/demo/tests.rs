use octroi_policy::Policy;
use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;

use super::*;

fn policy() -> Policy {
    let place = Place::make().unwrap();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    place
        .fill(Addresses {
            listen: nowhere,
            admin: nowhere,
            dns: nowhere,
        })
        .unwrap();
    let bundle = Bundle::read(&place.root().join("policy")).unwrap();
    let checked = check(&bundle, None);
    let said = checked
        .findings
        .render(&bundle, octroi_policy::diagnostic::Colour::Never);
    assert_eq!(said, "", "{said}");
    Policy::compile(checked.model.unwrap())
}

#[test]
fn the_bundle_has_no_finding_and_a_dozen_ministries_at_work() {
    let offices = people::offices(&policy());
    let asked = people::month(&offices, &Chance::new(1));
    assert_eq!(offices.len(), 23, "{offices:?}");
    assert!(asked.len() > 3000, "{}", asked.len());
    assert_eq!(people::month(&offices, &Chance::new(1)), asked);
    assert_ne!(people::month(&offices, &Chance::new(2)), asked);
}

#[test]
fn the_file_of_names_is_understood() {
    Names::parse(place::file("names.txt")).unwrap();
}

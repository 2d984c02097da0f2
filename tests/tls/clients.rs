//! Certificates of clients: whose they are, and which are none.

use super::*;

const NOMADS: &str = r#"ministries:
  - id: defense
    name: { fr: "Ministère des Armées", en: "Ministry of the Armed Forces" }
    workloads:
      - { id: nomades, name: Nomades, sensitivity: sensitive, certificates: ["*.nomades.example"] }
"#;

/// A gate on which certificates of an authority name a workload of its own.
fn nomads(demand: &str, revoked: &[u64]) -> (World, Pki) {
    let secured = Secured::new();
    std::fs::write(secured.plan.path("policy/ministries/defense.yaml"), NOMADS).unwrap();
    let crl = secured.pki.revoke("crl.pem", revoked);
    let keys = format!(
        "client_ca: {}, client_certificate: {demand}, client_crl: {}",
        secured.pki.authority().display(),
        crl.display()
    );
    secured.start(&keys)
}

fn with(world: &World, pki: &Pki, from: Ipv4Addr, shown: &Identity, url: &str) -> Curled {
    let (certificate, key) = (shown.certificate.to_str(), shown.key.to_str());
    let shown = [
        "--proxy-cert",
        certificate.unwrap(),
        "--proxy-key",
        key.unwrap(),
        url,
    ];
    through(world, pki, from, &shown)
}

#[test]
fn a_client_certificate_names_the_workload() {
    let (world, pki) = nomads("optional", &[]);
    world.tls_origin("news.example", 10, http());
    let outlook = world.origin("outlook.office.com", 11, 443, http());
    let laptop = pki.issue(&["PC7.nomades.example"]);
    let (stranger, ordinary) = (world.block.stranger(), world.block.ordinary());

    // Nobody's address: nothing without the certificate, the workload's own rules with it.
    let url = "https://news.example/";
    assert_eq!(through(&world, &pki, stranger, &[url]).connect, 403);
    world.recorded("news.example", "unassigned", Became::Refused);
    let answer = with(&world, &pki, stranger, &laptop, url);
    assert_eq!(answer.connect, 200, "{}", answer.said);
    let line = world.recorded("news.example", "defense", Became::Allowed);
    assert_eq!(line.text("octroi.workload"), "nomades");
    let named = line.get("octroi.question.certificate");
    assert_eq!(named, Some(&json!(["pc7.nomades.example"])));

    // An address and a certificate of two workloads: both are judged, the strictest wins.
    let url = "https://outlook.office.com/";
    let answer = with(&world, &pki, ordinary, &laptop, url);
    assert_eq!(answer.connect, 403, "{}", answer.said);
    outlook.assert_untouched();
    let line = world.gate.decision("outlook.office.com");
    assert_eq!(
        line.get("octroi.conflict"),
        Some(&json!(["culture/bureautique", "defense/nomades"]))
    );
    // A good certificate that is made out to nobody here changes nothing.
    let other = pki.issue(&["pc1.other.example"]);
    let answer = with(&world, &pki, stranger, &other, "https://news.example/");
    assert_eq!(answer.connect, 403, "{}", answer.said);
}

#[test]
fn a_certificate_that_is_not_good_is_no_way_in() {
    let (world, pki) = nomads("required", &[77]);
    let origin = world.tls_origin("news.example", 10, http());
    let elsewhere = world.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let stranger = Pki::named(&elsewhere, "another authority");
    let impostor = world.dir.path().join("impostor");
    std::fs::create_dir(&impostor).unwrap();
    let impostor = Pki::named(&impostor, AUTHORITY);
    let name = ["pc7.nomades.example"];
    let from = world.block.stranger();
    let url = "https://news.example/";
    for (shown, reason) in [
        (stranger.issue(&name), "tls-certificate-unknown"),
        // Made out by somebody under our authority's name.
        (impostor.issue(&name), "tls-certificate-invalid"),
        (
            pki.certify("expired", &name, |it| {
                it.not_after = date_time_ymd(2025, 1, 1)
            }),
            "tls-certificate-expired",
        ),
        (
            pki.certify("young", &name, |it| {
                it.not_before = date_time_ymd(2090, 1, 1)
            }),
            "tls-certificate-expired",
        ),
        (
            pki.certify("revoked", &name, |it| it.serial_number = Some(77.into())),
            "tls-certificate-revoked",
        ),
    ] {
        let answer = with(&world, &pki, from, &shown, url);
        assert_ne!(answer.exit, 0, "{reason}");
        assert_eq!(answer.connect, 0, "{reason}: {}", answer.heads);
        let line = rejected(&world, reason);
        assert_eq!(line.text("source.ip"), from.to_string());
        assert_eq!(line.text("octroi.listener"), "secure");
    }
    assert_ne!(through(&world, &pki, from, &[url]).exit, 0);
    rejected(&world, "tls-certificate-missing");
    assert!(world.gate.decisions().is_empty());
    origin.assert_untouched();
    let good = pki.certify("good", &name, |it| it.serial_number = Some(78.into()));
    assert_eq!(with(&world, &pki, from, &good, url).connect, 200);

    // What is revoked while the gate runs is refused from then on.
    pki.revoke("crl.pem", &[77, 78]);
    eventually("the new list is in force", || {
        (reloads(&world, "swapped") > 0).then_some(())
    });
    assert_ne!(with(&world, &pki, from, &good, url).exit, 0);
    let reason = [("reason", "tls-certificate-revoked")];
    world.gate.counted("octroi_client_errors_total", &reason, 2);
}

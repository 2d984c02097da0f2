use std::process::Command;

use octroi_policy::name::{Authority, DomainName};

use super::*;

fn local(text: &str) -> LocalAddr {
    LocalAddr::new(text.parse().unwrap())
}

fn ministry() -> Pac {
    let name = |text| DomainName::parse(text).unwrap();
    Pac {
        proxies: ["proxy.example:3128", "secours.example:80"]
            .map(|text| Authority::parse(text).unwrap())
            .to_vec(),
        direct: vec![
            Direct::Subtree(name("rie.gouv.fr")),
            Direct::Below(name("ader.gouv.fr")),
            Direct::Exact(name("intranet.example")),
            Direct::Network("10.0.0.0/8".parse().unwrap()),
            Direct::Network("172.16.0.0/12".parse().unwrap()),
            Direct::Network("2001:db8:a000::/35".parse().unwrap()),
        ],
    }
}

/// What a PAC engine answers for each URL: Node runs the file with the host as browsers give it.
fn evaluate(pac: &str, asked: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("find.js");
    let questions: Vec<_> = asked.iter().map(|(url, host)| [url, host]).collect();
    let questions = serde_json::to_string(&questions).unwrap();
    // The helpers of the format throw: the file must not look anything up.
    let helpers = "for (const name of ['dnsResolve', 'isInNet', 'isResolvable', 'myIpAddress', 'dnsDomainIs', 'shExpMatch'])\n  globalThis[name] = () => { throw new Error(name) };\n";
    let ask = format!(
        "\nfor (const [url, host] of {questions}) console.log(FindProxyForURL(url, host));\n"
    );
    std::fs::write(&file, [helpers, pac, &ask].concat()).unwrap();
    let output = Command::new("node").arg(&file).output();
    let output = output.expect("node is missing: apt-get install nodejs (tests/run does it)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{pac}");
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(str::to_owned).collect()
}

#[test]
fn the_file_says_what_the_configuration_says() {
    insta::assert_snapshot!(text(&ministry(), local("192.0.2.1:3128"), Transport::Plain));
}

#[test]
fn internal_names_and_addresses_are_direct_and_all_else_goes_to_the_gate() {
    let gate = "PROXY proxy.example:3128; PROXY secours.example:80";
    let cases = [
        ("https://www.example.org/", "www.example.org", gate),
        ("https://rie.gouv.fr/", "rie.gouv.fr", "DIRECT"),
        ("https://a.b.rie.gouv.fr/", "A.b.RIE.gouv.fr.", "DIRECT"),
        ("https://notrie.gouv.fr/", "notrie.gouv.fr", gate),
        (
            "https://rie.gouv.fr.evil.example/",
            "rie.gouv.fr.evil.example",
            gate,
        ),
        ("https://ader.gouv.fr/", "ader.gouv.fr", gate),
        ("https://x.ader.gouv.fr/", "x.ader.gouv.fr", "DIRECT"),
        ("https://intranet.example/", "intranet.example", "DIRECT"),
        ("https://x.intranet.example/", "x.intranet.example", gate),
        ("http://intranet/", "intranet", "DIRECT"),
        ("http://localhost:8080/", "localhost", "DIRECT"),
        ("http://app.localhost/", "app.localhost", "DIRECT"),
        ("http://127.8.9.1/", "127.8.9.1", "DIRECT"),
        ("http://[::1]/", "::1", "DIRECT"),
        ("http://[::1]/", "[::1]", "DIRECT"),
        ("http://10.255.0.1/", "10.255.0.1", "DIRECT"),
        ("http://11.0.0.1/", "11.0.0.1", gate),
        ("http://172.31.255.255/", "172.31.255.255", "DIRECT"),
        ("http://172.32.0.0/", "172.32.0.0", gate),
        ("http://[2001:db8:a000::1]/", "2001:db8:a000::1", "DIRECT"),
        (
            "http://[2001:db8:bfff:1:2:3:4:5]/",
            "2001:db8:bfff:1:2:3:4:5",
            "DIRECT",
        ),
        ("http://[2001:db8:c000::1]/", "2001:db8:c000::1", gate),
        ("http://[::]/", "::", gate),
        // The gate's own pages, on its own port alone.
        ("http://proxy.example:3128/", "proxy.example", "DIRECT"),
        ("http://secours.example/", "secours.example", "DIRECT"),
        ("http://proxy.example/", "proxy.example", gate),
        ("https://proxy.example:3128/", "proxy.example", gate),
        (
            "http://www.example.org/?http://proxy.example:3128/",
            "www.example.org",
            gate,
        ),
    ];
    let asked = cases.map(|(url, host, _)| (url, host));
    let answers = evaluate(
        &text(&ministry(), local("192.0.2.1:3128"), Transport::Plain),
        &asked,
    );
    assert_eq!(answers.len(), cases.len());
    for ((url, host, expected), answer) in cases.iter().zip(answers) {
        assert_eq!(answer, *expected, "{url} {host}");
    }
}

#[test]
fn without_proxies_the_way_out_is_where_the_client_reached_us() {
    for (reached, expected) in [
        ("192.0.2.1:3128", "PROXY 192.0.2.1:3128"),
        ("[::ffff:192.0.2.1]:3128", "PROXY 192.0.2.1:3128"),
        ("[2001:db8::1]:80", "PROXY [2001:db8::1]:80"),
    ] {
        let pac = text(&Pac::default(), local(reached), Transport::Plain);
        let asked = [
            ("https://www.example.org/", "www.example.org"),
            ("http://192.0.2.1:3128/", "192.0.2.1"),
            ("http://[2001:db8::1]/", "2001:db8::1"),
        ];
        let answers = evaluate(&pac, &asked);
        assert_eq!(answers[0], expected);
        let own = if reached.contains("192") { 1 } else { 2 };
        assert_eq!(answers[own], "DIRECT", "{reached}");
        assert_eq!(answers[3 - own], expected, "{reached}");
    }
}

#[test]
fn who_comes_over_tls_is_sent_to_tls() {
    for (pac, reached, gate, own) in [
        (
            Pac::default(),
            "192.0.2.1:443",
            "HTTPS 192.0.2.1:443",
            "https://192.0.2.1/",
        ),
        (
            ministry(),
            "192.0.2.1:3129",
            "HTTPS proxy.example:3128; HTTPS secours.example:80",
            "https://proxy.example:3128/",
        ),
    ] {
        let pac = text(&pac, local(reached), Transport::Tls);
        let plain = own.replacen("https", "http", 1);
        let asked = [
            ("https://a.example/", "a.example"),
            (own, "x.example"),
            (&plain, "x.example"),
        ];
        assert_eq!(evaluate(&pac, &asked), [gate, "DIRECT", gate]);
    }
}

#[test]
fn whatever_goes_in_a_string_stays_a_string() {
    let hostile = "\";alert(1)//\\\n\u{2028}</script>é𝄞'";
    let script = script(hostile);
    assert!(script.is_ascii() && !script.contains('\n') && !script.contains('<'));
    assert_eq!(script.matches('"').count(), 2);
    let pac = format!("function FindProxyForURL() {{ return JSON.stringify({script}); }}");
    let answers = evaluate(&pac, &[("", "")]);
    let read: String = serde_json::from_str(&answers[0]).unwrap();
    assert_eq!(read, hostile);
}

//! The names in a client's verified certificate, by which a workload may be told.

use octroi_policy::flow::CertificateName;
use octroi_policy::name::DomainName;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// As many names as are looked at: certificates of machines and people have a handful.
const MOST: usize = 64;

/// The names under which the certificate was made out (subjectAltName), in its order. Names that no
/// single client has, such as wildcards, are passed over, and so is the common name.
#[must_use]
pub fn names(certificate: &[u8]) -> Vec<CertificateName> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter().take(MOST);
    names.filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<CertificateName> {
    match name {
        GeneralName::DNSName(name) => DomainName::parse(name).ok().map(CertificateName::Dns),
        GeneralName::URI(uri) => CertificateName::uri(uri),
        GeneralName::RFC822Name(address) => CertificateName::email(address),
        _ => None,
    }
}

//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

/// A certificate for some names, on disk and in memory.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: Vec<u8>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Pki {
    pub(crate) fn new(dir: &Path) -> Self {
        Self::named(dir, "octroi test authority")
    }

    /// An authority under a name of its own.
    pub(crate) fn named(dir: &Path, called: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = rcgen::DnType::CommonName;
        params.distinguished_name.push(name, called);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        Self {
            issuer,
            dir: dir.to_owned(),
        }
    }

    /// The authority's certificate, for clients that take a file.
    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.certify(&names[0].replace('*', "_"), names, |_| ())
    }

    /// A certificate under a file name of its own, with more changed than its names.
    pub(crate) fn certify(
        &self,
        stem: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let stem = self.dir.join(stem);
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_path, key_path) = (stem.with_extension("crt"), stem.with_extension("key"));
        std::fs::write(&certificate_path, certificate.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        Identity {
            der: certificate.der().to_vec(),
            certificate: certificate_path,
            key: key_path,
            server: Arc::new(server),
        }
    }
}

impl Pki {
    /// A list that says which serial numbers are no longer good.
    pub(crate) fn revoke(&self, name: &str, serials: &[u64]) -> PathBuf {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2050, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.dir.join(name);
        let pem = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        std::fs::write(&path, pem).unwrap();
        path
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

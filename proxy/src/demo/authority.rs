//! The demonstration's own certificate authority: made at its start, gone at its end, believed by nobody else.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Names whose certificates are kept: more are made anew when they are asked for.
const MOST: usize = 200;
/// What is shown to who names nobody.
const NOBODY: &str = "origin.octroi-demo.example";

/// Signs for whatever name is asked for.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The key of every certificate.
    key: KeyPair,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub(super) fn make() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "octroi demo");
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            key: KeyPair::generate()?,
            made: Mutex::default(),
        })
    }

    /// Writes its own certificate (`ca.pem`), and one for the gate (`gate.pem`, `gate.key`), which is at loopback.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let names = ["localhost", "127.0.0.1"];
        let gate = self.sign(&names).map_err(io::Error::other)?;
        fs::write(directory.join("ca.pem"), self.issuer.pem())?;
        fs::write(directory.join("gate.pem"), gate.pem())?;
        fs::write(directory.join("gate.key"), self.key.serialize_pem())
    }

    fn sign(&self, names: &[&str]) -> Result<Certificate, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names)?.signed_by(&self.key, &self.issuer)
    }

    /// How a TLS server shows a certificate for each name that it is asked for.
    ///
    /// # Errors
    /// If the TLS versions of this program do not fit its cryptography: never.
    pub(super) fn server(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn certified(&self, name: &str) -> Option<CertifiedKey> {
        let certificate = self.sign(&[name]).ok()?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = any_supported_type(&key).ok()?;
        Some(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or(NOBODY);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(name) {
            return Some(Arc::clone(known));
        }
        let certified = Arc::new(self.certified(name)?);
        if made.len() >= MOST {
            made.clear();
        }
        made.insert(name.to_owned(), Arc::clone(&certified));
        Some(certified)
    }
}

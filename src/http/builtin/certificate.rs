//! Whom TLS trusts, and what is wrong with a certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tracing::{debug, warn};

use crate::error::{CertificateProblem, Error, Result, chain};

/// Trusts what these certificates vouch for, and these certificates themselves.
///
/// An authority may not be a server to webpki. But somebody who makes one self-signed certificate for one server usually
/// makes an authority, for that is what `openssl req -x509` does.
#[derive(Debug)]
pub(super) struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Trusts the certificates of PEM files, and of the files in folders.
    pub(super) fn of_paths(paths: &[PathBuf], provider: Arc<CryptoProvider>) -> Result<Self> {
        Self::new(read_all(paths)?, provider).ok_or_else(|| {
            let paths = paths.iter().map(|path| path.display().to_string());
            let paths = paths.collect::<Vec<_>>().join(", ");
            Error::config(format!("no certificates found in {paths}"))
        })
    }

    /// Trusts the certificates in the first of these places that has any.
    pub(super) fn of_system(places: &[&str], provider: &Arc<CryptoProvider>) -> Result<Self> {
        let mut found = places.iter().filter_map(|place| {
            let mut certificates = Vec::new();
            let _ = read(Path::new(place), &mut certificates);
            Self::new(certificates, provider.clone())
        });
        found.next().ok_or_else(|| {
            Error::config(
                "this system has no certificates of authorities: install its package of them, \
                 usually ca-certificates, or set SSL_CERT_FILE",
            )
        })
    }

    /// Returns `None` if none of the certificates is usable.
    fn new(trusted: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        Some(Self {
            authorities: authorities.build().ok()?,
            trusted,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Both are found out after the dates were checked, and before the name is.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.trusted.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Reads the certificates of PEM files, and of the files in folders. What cannot be read is passed over, unless nothing
/// else has a certificate.
fn read_all(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        if let Err(error) = read(path, &mut certificates) {
            let message = format!("cannot read the certificates in {}", path.display());
            unreadable.push(Error::config_from(message, error));
        }
    }
    if certificates.is_empty() && !unreadable.is_empty() {
        return Err(unreadable.swap_remove(0));
    }
    for error in unreadable {
        warn!("{}", chain(&error));
    }
    Ok(certificates)
}

fn read(path: &Path, certificates: &mut Vec<CertificateDer<'static>>) -> io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let file = entry?.path();
            if file.is_file()
                && let Err(error) = read(&file, certificates)
            {
                debug!(file = %file.display(), %error, "a file with certificates cannot be read");
            }
        }
    } else {
        let pem = std::fs::read(path)?;
        certificates.extend(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    }
    Ok(())
}

/// Says what is wrong with a certificate: the problem, and a clause about it.
pub(super) fn explain(error: &CertificateError) -> (CertificateProblem, String) {
    use CertificateError as E;
    use CertificateProblem as P;
    match error {
        E::UnknownIssuer => {
            let message = "no authority that is trusted here has signed it";
            (P::Untrusted, message.into())
        }
        E::Expired | E::ExpiredContext { .. } => (P::Expired, "it has expired".into()),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            (P::NotYetValid, "it is not valid yet".into())
        }
        E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names = presented.iter().map(|name| bare_name(name));
            let names = names.collect::<Vec<_>>().join(", ");
            (P::OtherHost, format!("it is for {names} only"))
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            (P::OtherHost, "it has no subject alternative name".into())
        }
        E::Other(cause) => {
            let message = format!("it breaks the rules for certificates of servers ({cause})");
            (P::Untrusted, message)
        }
        _ => (P::Invalid, error.to_string()),
    }
}

/// The name within `DnsName("example.org")`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_with_certificates_is_the_store_of_the_system() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name).display().to_string();
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/tls");
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::write(at("text.pem"), "no certificate").unwrap();
        for name in ["ca.pem", "self-signed.pem"] {
            std::fs::copy(suite.join(name), at(name)).unwrap();
        }
        let provider = crate::platform::crypto_provider();
        let places = ["missing", "empty", "text.pem", "ca.pem", "self-signed.pem"].map(at);
        let mut places: Vec<&str> = places.iter().map(String::as_str).collect();
        let store = Verifier::of_system(&places, &provider).unwrap();
        let expected = CertificateDer::from_pem_file(suite.join("ca.pem")).unwrap();
        assert_eq!(store.trusted, [expected]);
        places.truncate(3);
        let error = Verifier::of_system(&places, &provider).unwrap_err();
        assert!(error.to_string().contains("ca-certificates"), "{error}");
    }

    #[test]
    fn every_problem_has_its_words() {
        use CertificateError as E;
        use CertificateProblem as P;
        let presented = vec![
            r#"DnsName("a.example")"#.into(),
            "IpAddress(192.0.2.7)".into(),
        ];
        let other_host = E::NotValidForNameContext {
            expected: ServerName::try_from("b.example").unwrap(),
            presented,
        };
        for (error, problem, words) in [
            (
                E::UnknownIssuer,
                P::Untrusted,
                "no authority that is trusted here has signed it",
            ),
            (E::Expired, P::Expired, "it has expired"),
            (E::NotValidYet, P::NotYetValid, "it is not valid yet"),
            (
                other_host,
                P::OtherHost,
                "it is for a.example, 192.0.2.7 only",
            ),
            (
                E::NotValidForName,
                P::OtherHost,
                "it has no subject alternative name",
            ),
            (E::Revoked, P::Invalid, "Revoked"),
        ] {
            assert_eq!(explain(&error), (problem, words.to_owned()));
        }
    }
}

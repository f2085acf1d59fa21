//! TLS with rustls.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::certificate::{self, Verifier};
use super::time_left;
use crate::config::HttpConfig;
use crate::error::{Error, ErrorKind, Result, TlsProblem};
use crate::platform;
use crate::url::Url;

/// Puts connections into TLS where the scheme asks for it. Clones share the certificates, which are read when they are
/// needed.
#[derive(Clone)]
pub(super) struct Tls {
    certificates: Vec<PathBuf>,
    /// The variables that name them.
    variable: Option<&'static str>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    pub(super) fn new(http: &HttpConfig) -> Self {
        Self {
            certificates: http.certificates.clone(),
            variable: http.certificates_from,
            config: Arc::default(),
        }
    }

    /// Reads the certificates to trust, unless they have been.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there are none.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        if !platform::supports_tls() {
            return Err(Error::config(
                "https needs instructions that this processor lacks (AVX2, ADX, BMI2, AES)",
            ));
        }
        let provider = platform::crypto_provider();
        let verifier = self.verifier(provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| Error::config_from("cannot set up TLS".into(), error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let config = Arc::new(config);
        Ok(self.config.get_or_init(|| config).clone())
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if !self.certificates.is_empty() {
            let verifier = Verifier::of_paths(&self.certificates, provider);
            let verifier = verifier.map_err(|error| match self.variable {
                Some(variable) => error.step(variable),
                None => error,
            })?;
            return Ok(Arc::new(verifier));
        }
        match platform::system_verifier(&provider) {
            Some(verifier) => verifier.map_err(|error| {
                let message = "cannot load the certificates that this system trusts";
                Error::config_from(message.into(), error)
            }),
            None => {
                let places = platform::CERTIFICATE_PLACES;
                Ok(Arc::new(Verifier::of_system(places, &provider)?))
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secured>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let transport = match chained {
            Some(transport) if details.needs_tls() && !transport.is_tls() => transport,
            other => return Ok(other.map(Either::A)),
        };
        let config = self.config();
        let config = config.map_err(|error| ureq::Error::Other(error.into()))?;
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(host.to_owned());
        let host = host.map_err(|_| ureq::Error::BadUri("the host is not a name".into()))?;
        let mut tls = ClientConnection::new(config, host).map_err(io::Error::other)?;
        let clock = details.current_time.clone();
        let mut socket = TransportAdapter::new(transport.boxed(), clock);
        socket.set_timeout(time_left(details));
        // What TLS says of a handshake must be told from what it says of data later.
        tls.complete_io(&mut socket).map_err(|error| {
            let refused = error.downcast::<rustls::Error>();
            refused.map_or_else(ureq::Error::from, |refused| {
                ureq::Error::Other(refused.into())
            })
        })?;
        let config = details.config;
        Ok(Some(Either::B(Secured {
            stream: StreamOwned::new(tls, socket),
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        })))
    }
}

/// Returns what TLS says is wrong with a connection: anything in a handshake; after it, only that the other side ended it,
/// for which a certificate of the client may be missing.
pub(super) fn problem(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Other(error) => error.downcast_ref(),
        ureq::Error::Io(error) => {
            let error = error.get_ref()?.downcast_ref();
            error.filter(|error| matches!(error, rustls::Error::AlertReceived(_)))
        }
        _ => None,
    }
}

/// The error of a connection that TLS refuses; `way` says which way it goes.
pub(super) fn refusal(error: &rustls::Error, url: &Url, way: &str) -> ErrorKind {
    use rustls::{AlertDescription as Alert, Error as E, InvalidMessage};
    let url = Box::new(url.clone());
    let (problem, message) = match error {
        E::InvalidCertificate(error) => {
            let (problem, message) = certificate::explain(error);
            return ErrorKind::Certificate {
                url,
                problem,
                message,
            };
        }
        E::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (TlsProblem::NotTls, "the port does not speak TLS".into()),
        E::PeerIncompatible(_)
        | E::AlertReceived(
            Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
        ) => (
            TlsProblem::NothingInCommon,
            "the server has no version or cipher suite of TLS that is accepted here".into(),
        ),
        E::AlertReceived(Alert::CertificateRequired) => (
            TlsProblem::ClientCertificate,
            "the server requires a certificate of the client".into(),
        ),
        other => (TlsProblem::Failed, format!("the handshake failed: {other}")),
    };
    ErrorKind::Tls {
        url,
        problem,
        message: format!("{message}{way}"),
    }
}

/// A connection within TLS.
pub(super) struct Secured {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

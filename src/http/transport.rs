//! The one trait that everything over the network passes, and its built-in implementation with ureq.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Weak;

use ureq::unversioned::transport::DefaultConnector;

use crate::config::{HttpConfig, ProxyConfig};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::http::resolver::RememberingResolver;
use crate::mutex::Mutex;
use crate::platform;
use crate::progress::{CancelState, CancelToken};
use crate::secret::Secret;
use crate::url::{Scheme, Url};

/// Sends GET requests. Hand in another than the built-in one to test without a network or to reach a place of your own.
///
/// An implementation answers whatever status the server gives, redirects included: following them, and keeping
/// credentials away from other hosts, is done above it. It must be thread-safe; requests come from many threads at once.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and returns when the header of the answer is there.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came. When the request's token is cancelled, a request under way, or a body
    /// that is being read, should fail soon.
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError>;
}

/// A GET request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Where to; [`Url::expose`] gives the text to send.
    pub url: &'a Url,
    /// Headers to send; a value may be a secret.
    pub headers: &'a [(&'static str, Secret)],
    /// Breaks the request off.
    pub cancel: &'a CancelToken,
}

impl<'a> Request<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(
        url: &'a Url,
        headers: &'a [(&'static str, Secret)],
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            url,
            headers,
            cancel,
        }
    }
}

/// The answer to a request: status, headers and a reader of the body.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body; reading it may block until the stall time-out.
    pub body: Box<dyn Read + Send>,
}

impl Response {
    /// Returns the first value of a header; `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why no answer came.
#[derive(Debug)]
pub struct TransportError {
    /// What happened, in a few words, as in "connection timed out".
    pub message: String,
    /// Whether the same request may succeed later.
    pub transient: bool,
    /// The implementation's own error.
    pub source: Option<BoxError>,
}

/// The built-in transport: ureq, with connections kept alive.
///
/// Requests with different cancel tokens use different connections, so that cancelling closes those of one pull only.
pub(crate) struct UreqTransport {
    config: HttpConfig,
    agents: Mutex<Vec<Agents>>,
    roots: ureq::tls::RootCerts,
}

struct Agents {
    owner: Weak<CancelState>,
    http: ureq::Agent,
    https: ureq::Agent,
}

impl UreqTransport {
    pub(crate) fn new(config: HttpConfig) -> Result<Self> {
        let roots = roots(&config.certificates)?;
        for proxy in config.https_proxy.iter().chain(&config.http_proxy) {
            ureq_proxy(proxy)?;
        }
        Ok(Self {
            config,
            agents: Mutex::default(),
            roots,
        })
    }

    fn agent(&self, request: &Request<'_>) -> Result<ureq::Agent> {
        if request.url.scheme() == Scheme::Https && !platform::supports_tls() {
            return Err(Error::config(
                "this processor lacks instructions that https needs here (AVX2, ADX, BMI2, AES)",
            ));
        }
        let mut agents = self.agents.lock();
        if !agents.iter().any(|agents| request.cancel.is(&agents.owner)) {
            agents.retain(|agents| agents.owner.strong_count() > 0);
            let http = self.new_agent(self.config.http_proxy.as_ref())?;
            let https = self.new_agent(self.config.https_proxy.as_ref())?;
            agents.push(Agents {
                owner: request.cancel.downgrade(),
                http: http.clone(),
                https: https.clone(),
            });
            request.cancel.on_cancel(move || {
                http.shutdown();
                https.shutdown();
            });
        }
        let agents = agents
            .iter()
            .find(|agents| request.cancel.is(&agents.owner));
        let agents = agents.ok_or_else(|| Error::internal("no agent for a request"))?;
        Ok(if request.url.scheme() == Scheme::Https {
            agents.https.clone()
        } else {
            agents.http.clone()
        })
    }

    fn new_agent(&self, proxy: Option<&ProxyConfig>) -> Result<ureq::Agent> {
        let builder = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The client above follows redirects, so that no credential goes along.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy.map(ureq_proxy).transpose()?)
            .timeout_connect(Some(self.config.connect_timeout))
            .timeout_resolve(Some(self.config.connect_timeout))
            .timeout_recv_response(Some(self.config.stall_timeout))
            .timeout_per_read(Some(self.config.stall_timeout))
            .timeout_per_write(Some(self.config.stall_timeout))
            .max_idle_connections(32)
            .max_idle_connections_per_host(16)
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .user_agent(self.config.user_agent.clone())
            // Ranges and digests are of the bytes as they lie.
            .accept_encoding("identity");
        let config = platform::tls_config(builder, self.roots.clone()).build();
        Ok(ureq::Agent::with_parts(
            config,
            DefaultConnector::default(),
            RememberingResolver::default(),
        ))
    }
}

/// How much is read from a socket at once. Sixteen connections of a pull hold this much each, of its 64 MiB.
const INPUT_BUFFER_BYTES: usize = 256 << 10;

impl Transport for UreqTransport {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let fault = |error: &dyn fmt::Display| TransportError {
            message: error.to_string(),
            transient: false,
            source: None,
        };
        let agent = self.agent(request).map_err(|error| fault(&error))?;
        let mut call = agent.get(request.url.expose());
        for (name, value) in request.headers {
            call = call.header(*name, value.expose());
        }
        let response = call.call().map_err(transport_error)?;
        let (head, body) = response.into_parts();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = Box::new(body.into_with_config().limit(u64::MAX).reader());
        Ok(Response {
            status: head.status.as_u16(),
            headers,
            body,
        })
    }
}

impl fmt::Debug for UreqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransport")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn ureq_proxy(proxy: &ProxyConfig) -> Result<ureq::Proxy> {
    // The parser's own words may quote the URL with its password.
    let unusable = || {
        Error::config(
            "the proxy's URL is unusable: expected http://, https://, socks4:// or socks5://",
        )
    };
    let parsed = ureq::Proxy::new(proxy.url.expose()).map_err(|_| unusable())?;
    let mut builder = ureq::Proxy::builder(parsed.protocol())
        .host(parsed.host())
        .port(parsed.port())
        .resolve_target(parsed.resolve_target());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in &proxy.no_proxy {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(|_| unusable())
}

/// Reads the authorities to trust from PEM files and folders of them; the system's own for none.
fn roots(paths: &[PathBuf]) -> Result<ureq::tls::RootCerts> {
    if paths.is_empty() {
        return Ok(ureq::tls::RootCerts::PlatformVerifier);
    }
    let mut certificates = Vec::new();
    for path in paths {
        let unreadable = |error: std::io::Error| {
            Error::from(ErrorKind::Config {
                message: format!("cannot read the certificates in {}", path.display()),
                source: Some(error.into()),
            })
        };
        let files = if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(unreadable)?;
            entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| path.is_file())
                .collect()
        } else {
            vec![path.clone()]
        };
        for file in files {
            let pem = std::fs::read(&file).map_err(unreadable)?;
            certificates.extend(ureq::tls::parse_pem(&pem).filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            }));
        }
    }
    if certificates.is_empty() {
        let shown: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Error::config(format!(
            "no certificate in {}",
            shown.join(", ")
        )));
    }
    Ok(certificates.into())
}

/// Puts ureq's errors into words, and says which of them may pass.
fn transport_error(error: ureq::Error) -> TransportError {
    let (message, transient) = describe(&error);
    TransportError {
        message,
        transient,
        source: Some(error.into()),
    }
}

fn describe(error: &ureq::Error) -> (String, bool) {
    let (message, transient) = match error {
        ureq::Error::HostNotFound => ("host not found".to_owned(), true),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            ("connection timed out".to_owned(), true)
        }
        ureq::Error::Timeout(_) => ("no byte came for too long".to_owned(), true),
        ureq::Error::Io(error) => (io_message(error), true),
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => {
            ("connection failed".to_owned(), true)
        }
        ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::Pem(_)
        | ureq::Error::TlsRequired => ("the secure connection could not be made".to_owned(), false),
        ureq::Error::Protocol(_)
        | ureq::Error::LargeResponseHeader(..)
        | ureq::Error::BodyStalled => (
            "the server does not speak HTTP as it should".to_owned(),
            true,
        ),
        _ => ("the request failed".to_owned(), false),
    };
    (message, transient)
}

/// Puts an error of a socket into words.
pub(crate) fn io_message(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    // While a body is read, ureq's own errors come wrapped.
    let wrapped = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    if let Some(wrapped) = wrapped {
        return describe(wrapped).0;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            "connection broken"
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no byte came for too long",
        ErrorKind::UnexpectedEof => "the body ended early",
        _ => "connection failed",
    }
    .to_owned()
}

//! The trait that every request over the network goes through, and its built-in implementation with ureq.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Weak;

use ureq::unversioned::transport::DefaultConnector;

use crate::config::{HttpConfig, ProxyConfig};
use crate::error::{BoxError, Error, Result};
use crate::http::resolver::CachingResolver;
use crate::mutex::Mutex;
use crate::platform;
use crate::progress::{CancelState, CancelToken};
use crate::secret::Secret;
use crate::url::{Scheme, Url};

/// Sends GET requests. Replace the built-in implementation to test without a network or to reach servers in another way.
///
/// An implementation returns every response, whatever its status. It does not follow redirects: the caller does, and keeps
/// credentials from other hosts. Many threads send requests at once. The [module](crate::transport) has an example.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request, and returns once the headers of the response have arrived. The [module](crate::transport) has an
    /// example.
    ///
    /// Once the request's token is cancelled, the request should fail soon, and so should reading its body.
    ///
    /// # Errors
    /// [`TransportError`] if there is no response.
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError>;
}

/// A GET request.
///
/// A transport that forwards requests to a gateway, for instance, needs all of it:
///
/// ```
/// use modelrack::CancelToken;
/// use modelrack::transport::{Request, Secret, Url};
///
/// fn curl(request: &Request<'_>) -> Option<String> {
///     if request.cancel.is_cancelled() {
///         return None;
///     }
///     let headers = request.headers.iter().map(|(name, value)| format!("-H '{name}: {}' ", value.expose()));
///     Some(format!("curl {}'{}'", headers.collect::<String>(), request.url.expose()))
/// }
///
/// let url = Url::parse("https://models.example.org/models.json")?;
/// let headers = [("range", Secret::new("bytes=0-1023"))];
/// let cancel = CancelToken::new();
/// let request = Request::new(&url, &headers, &cancel);
/// assert_eq!(
///     curl(&request).as_deref(),
///     Some("curl -H 'range: bytes=0-1023' 'https://models.example.org/models.json'"),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The URL; [`Url::expose`] returns it with its credentials.
    pub url: &'a Url,
    /// The headers to send: names in lower case, and values that `Debug` does not show.
    pub headers: &'a [(&'static str, Secret)],
    /// Is cancelled when the request is no longer needed.
    pub cancel: &'a CancelToken,
}

impl<'a> Request<'a> {
    /// Creates a request, for testing a transport; [`Request`] has an example.
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

/// A response: status, headers and a reader of the body.
///
/// ```
/// use std::io::{Cursor, Read};
///
/// use modelrack::transport::Response;
///
/// let mut response = Response {
///     status: 206,
///     headers: vec![("content-range".to_owned(), "bytes 0-3/10".to_owned())],
///     body: Box::new(Cursor::new(b"abcd")),
/// };
/// assert_eq!(response.header("content-range"), Some("bytes 0-3/10"));
/// assert_eq!(response.header("etag"), None);
/// let mut bytes = Vec::new();
/// response.body.read_to_end(&mut bytes)?;
/// assert_eq!((response.status, bytes.as_slice()), (206, &b"abcd"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body. A read blocks until bytes arrive, and fails once the stall timeout is over.
    pub body: Box<dyn Read + Send>,
}

impl Response {
    /// Returns the first value of a header, whose name is in lower case; [`Response`] has an example.
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

/// Why a request got no response.
///
/// ```
/// use std::io;
///
/// use modelrack::error::BoxError;
/// use modelrack::transport::TransportError;
///
/// fn from_io(error: io::Error) -> TransportError {
///     TransportError {
///         message: "the gateway did not answer".to_owned(),
///         transient: error.kind() == io::ErrorKind::TimedOut,
///         source: Some(BoxError::from(error)),
///     }
/// }
///
/// assert!(from_io(io::ErrorKind::TimedOut.into()).transient);
/// ```
#[derive(Debug)]
pub struct TransportError {
    /// What happened, such as "connection timed out": lower case, without the URL and a full stop.
    pub message: String,
    /// Whether the same request may succeed later. If so, it is retried.
    pub transient: bool,
    /// The cause, such as the error of another crate.
    pub source: Option<BoxError>,
}

/// The built-in transport: ureq with persistent connections.
///
/// Requests with different cancel tokens use different connections, so that cancelling a pull closes only its own.
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
                "https needs instructions that this processor lacks (AVX2, ADX, BMI2, AES)",
            ));
        }
        let select = |agents: &Agents| match request.url.scheme() {
            Scheme::Https => agents.https.clone(),
            _ => agents.http.clone(),
        };
        let mut all = self.agents.lock();
        if let Some(agents) = all.iter().find(|agents| request.cancel.is(&agents.owner)) {
            return Ok(select(agents));
        }
        all.retain(|agents| agents.owner.strong_count() > 0);
        let agents = Agents {
            owner: request.cancel.downgrade(),
            http: self.new_agent(self.config.http_proxy.as_ref())?,
            https: self.new_agent(self.config.https_proxy.as_ref())?,
        };
        let (http, https) = (agents.http.clone(), agents.https.clone());
        request.cancel.on_cancel(move || {
            http.shutdown();
            https.shutdown();
        });
        let agent = select(&agents);
        all.push(agents);
        Ok(agent)
    }

    fn new_agent(&self, proxy: Option<&ProxyConfig>) -> Result<ureq::Agent> {
        let builder = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The client follows redirects itself, without credentials for other hosts.
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
            // Ranges and digests refer to uncompressed bytes.
            .accept_encoding("identity");
        let config = platform::tls_config(builder, self.roots.clone()).build();
        Ok(ureq::Agent::with_parts(
            config,
            DefaultConnector::default(),
            CachingResolver::default(),
        ))
    }
}

/// How much is read from a socket at once. A pull has up to sixteen connections, and 64 MiB for everything.
const INPUT_BUFFER_BYTES: usize = 256 << 10;
/// What is said when a server stops sending.
const STALLED: &str = "timed out waiting for data";

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
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        Ok(Response {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
            body: Box::new(body.into_with_config().limit(u64::MAX).reader()),
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
    // The parser's own message may quote the URL with its password.
    let unusable =
        || Error::config("invalid proxy URL: expected http://, https://, socks4:// or socks5://");
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

/// Reads the certificate authorities to trust from PEM files and folders of them; without paths, the system's.
fn roots(paths: &[PathBuf]) -> Result<ureq::tls::RootCerts> {
    if paths.is_empty() {
        return Ok(ureq::tls::RootCerts::PlatformVerifier);
    }
    let mut certificates = Vec::new();
    for path in paths {
        let unreadable = |error: std::io::Error| {
            let message = format!("cannot read the certificates in {}", path.display());
            Error::config_from(message, error)
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
        let paths = paths.iter().map(|path| path.display().to_string());
        let shown = paths.collect::<Vec<_>>().join(", ");
        return Err(Error::config(format!("no certificates found in {shown}")));
    }
    Ok(certificates.into())
}

/// Describes an error of ureq, and tells whether the request may succeed later.
fn transport_error(error: ureq::Error) -> TransportError {
    let (message, transient) = describe(&error);
    TransportError {
        message: message.to_owned(),
        transient,
        source: Some(error.into()),
    }
}

fn describe(error: &ureq::Error) -> (&'static str, bool) {
    use ureq::{Error, Timeout};
    match error {
        Error::HostNotFound => ("host not found", true),
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => ("connection timed out", true),
        Error::Timeout(_) => (STALLED, true),
        Error::Io(error) => (io_message(error), true),
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) => ("connection failed", true),
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired => {
            ("cannot establish a secure connection", false)
        }
        Error::Protocol(_) | Error::LargeResponseHeader(..) | Error::BodyStalled => {
            ("the server sent an invalid response", true)
        }
        _ => ("the request failed", false),
    }
}

/// Describes an error of a socket.
pub(crate) fn io_message(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    // While a body is read, ureq's own errors come wrapped.
    let wrapped = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(wrapped) = wrapped {
        return describe(wrapped).0;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            "connection lost"
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => STALLED,
        ErrorKind::UnexpectedEof => "the response ended early",
        _ => "connection failed",
    }
}

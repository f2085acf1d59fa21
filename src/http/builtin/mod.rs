//! The built-in transport: ureq, with connections of our own making: past dead addresses, through proxies, with TLS.
//!
//! ureq speaks HTTP over what a chain of connectors gives it. The links of this chain are ours, except that for SOCKS:
//! ureq's own try addresses one after another, tunnel plain http, and take no verifier of certificates.

mod certificate;
mod dial;
mod no_proxy;
mod proxy;
mod resolver;
mod socks;
mod tls;

use std::fmt;
use std::io;
use std::sync::Weak;

use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};
use ureq::{Timeout, http};

use crate::config::HttpConfig;
use crate::error::{Error, Result};
use crate::http::transport::{Method, Request, Response, Transport, TransportError};
use crate::mutex::Mutex;
use crate::progress::{CancelState, CancelToken};
use crate::url::{Scheme, Url};

use dial::Dialer;
use proxy::{HttpProxy, Proxy, TunnelRefused};
use resolver::CachingResolver;
use socks::Socks;
use tls::Tls;

/// The built-in transport: ureq with persistent connections.
///
/// Requests with different cancel tokens use different connections, so that cancelling a pull closes only its own.
pub(crate) struct UreqTransport {
    config: HttpConfig,
    tls: Tls,
    dialer: Dialer,
    resolver: CachingResolver,
    agents: Mutex<Vec<Agent>>,
}

/// The persistent connections of one cancel token on one route.
struct Agent {
    owner: Weak<CancelState>,
    route: Route,
    agent: ureq::Agent,
}

/// The way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Direct,
    HttpProxy,
    HttpsProxy,
}

impl UreqTransport {
    /// Proxies and certificates are only looked at when a request needs them.
    pub(crate) fn new(config: HttpConfig) -> Self {
        let dialer = Dialer::default();
        Self {
            tls: Tls::new(&config),
            config,
            resolver: CachingResolver::new(dialer.clone()),
            dialer,
            agents: Mutex::default(),
        }
    }

    /// Returns the way to a server, with the proxy on it.
    fn route(&self, url: &Url) -> Result<(Route, Option<Proxy>)> {
        let (route, proxy) = match url.scheme() {
            Scheme::Https => (Route::HttpsProxy, &self.config.https_proxy),
            _ => (Route::HttpProxy, &self.config.http_proxy),
        };
        let (host, port) = url.host_and_port();
        let port = port.parse().unwrap_or_default();
        Ok(match proxy {
            Some(proxy) if !no_proxy::covers(&proxy.no_proxy, host, port) => {
                (route, Some(Proxy::new(proxy)?))
            }
            _ => (Route::Direct, None),
        })
    }

    fn agent(&self, cancel: &CancelToken, route: Route, proxy: Option<&Proxy>) -> ureq::Agent {
        let mut agents = self.agents.lock();
        let is_known = |agent: &&Agent| agent.route == route && cancel.is(&agent.owner);
        if let Some(known) = agents.iter().find(is_known) {
            return known.agent.clone();
        }
        agents.retain(|agent| agent.owner.strong_count() > 0);
        let chain =
            ().chain(Socks::new(self.dialer.clone()))
                .chain(HttpProxy::new(self.agent_config(None)))
                .chain(self.dialer.clone())
                .chain(self.tls.clone());
        let config = self.agent_config(proxy.map(Proxy::for_ureq));
        let agent = ureq::Agent::with_parts(config, chain, self.resolver.clone());
        agents.push(Agent {
            owner: cancel.downgrade(),
            route,
            agent: agent.clone(),
        });
        drop(agents);
        let cancelled = agent.clone();
        cancel.on_cancel(move || cancelled.shutdown());
        agent
    }

    /// Explains an error of ureq.
    fn failed(&self, error: ureq::Error, url: &Url, proxy: Option<&Proxy>) -> TransportError {
        let way = proxy.map_or_else(String::new, |proxy| format!(", through the proxy {proxy}"));
        if let Some(refused) = tls::problem(&error) {
            return TransportError::known(tls::refusal(refused, url, &way), false);
        }
        let error = match (error, proxy) {
            (ureq::Error::Other(inner), Some(proxy))
                if let Some(&TunnelRefused { status }) = inner.downcast_ref() =>
            {
                return TransportError::known(proxy.refusal(url, status), status >= 500);
            }
            (ureq::Error::Other(inner), _) => match inner.downcast::<Error>() {
                Ok(known) => return TransportError::known(*known, false),
                Err(inner) => ureq::Error::Other(inner),
            },
            (other, _) => other,
        };
        let (what, transient) = describe(&error);
        let limit = match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!(" after {} s", self.config.connect_timeout.as_secs_f32())
            }
            _ => String::new(),
        };
        // What the message says in full needs no cause.
        let source = match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => None,
            ureq::Error::HostNotFound | ureq::Error::Timeout(_) => None,
            other => Some(other.into()),
        };
        TransportError {
            message: format!("{what}{limit}{way}"),
            transient,
            source,
        }
    }

    fn agent_config(&self, proxy: Option<ureq::Proxy>) -> ureq::config::Config {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The client follows redirects itself, without credentials for other hosts.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
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
            .accept_encoding("identity")
            .build()
    }
}

/// How much is read from a socket at once. A pull has up to sixteen connections, and 64 MiB for everything.
const INPUT_BUFFER_BYTES: usize = 256 << 10;
/// What is said when a server stops sending.
const STALLED: &str = "timed out waiting for data";

impl Transport for UreqTransport {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        self.send(request)
    }

    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let (url, lasting) = (request.url, |error| TransportError::known(error, false));
        let (route, proxy) = self.route(url).map_err(lasting)?;
        if url.scheme() == Scheme::Https {
            self.tls.config().map_err(lasting)?;
        }
        let agent = self.agent(request.cancel, route, proxy.as_ref());
        let mut call = http::Request::builder()
            .method(request.method.as_str())
            .uri(url.expose());
        for (name, value) in request.headers {
            call = call.header(*name, value.expose());
        }
        let forwards = proxy.as_ref().filter(|proxy| proxy.forwards(url));
        let is_authorized = request
            .headers
            .iter()
            .any(|(name, _)| *name == "authorization");
        if let Some(proxy) = forwards.filter(|proxy| is_authorized && !proxy.is_loopback()) {
            let message = "refusing to send credentials over plain http through the proxy";
            return Err(lasting(Error::config(format!("{message} {proxy} ({url})"))));
        }
        // A tunnel has been asked for with them; the server must not see them.
        if let Some(credentials) = forwards.and_then(Proxy::authorization) {
            call = call.header("proxy-authorization", credentials.expose());
        }
        let response = run(&agent, call, request);
        let response = response.map_err(|error| self.failed(error, url, proxy.as_ref()))?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if let Some(proxy) = forwards.filter(|_| status >= 400 && proxy::made(&head)) {
            return Err(TransportError::known(
                proxy.refusal(url, status),
                status >= 500,
            ));
        }
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        Ok(Response {
            status,
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
            body: Box::new(body.into_with_config().limit(u64::MAX).reader()),
        })
    }
}

/// Sends a request with what it carries.
fn run(
    agent: &ureq::Agent,
    call: http::request::Builder,
    request: &Request<'_>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let Some(payload) = request.payload else {
        return match request.method {
            Method::Post | Method::Put | Method::Patch => agent.run(call.body(&[][..])?),
            _ => agent.run(call.body(())?),
        };
    };
    // With its length in the headers, a body is sent in one piece.
    let call = call.header("content-length", payload.size_bytes());
    let mut reader = payload.open_at(0)?;
    agent.run(call.body(ureq::SendBody::from_reader(&mut reader))?)
}

impl fmt::Debug for UreqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransport")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Returns what is left of the time for a connection, which name lookups, proxies and TLS share.
fn time_left(details: &ConnectionDetails<'_>) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Instant::Exact(started), Duration::Exact(limit)) = (details.now, timeout.after) {
        timeout.after = Duration::Exact(limit.saturating_sub(started.elapsed()));
    }
    timeout
}

/// Describes an error of ureq, and tells whether the request may succeed later.
fn describe(error: &ureq::Error) -> (&'static str, bool) {
    use ureq::Error;
    match error {
        Error::HostNotFound => ("host not found", true),
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => ("connection timed out", true),
        Error::Timeout(_) => (STALLED, true),
        // What was to be sent, and not the connection.
        Error::Io(error) if is_of_payload(error) => ("what is to be sent cannot be read", false),
        Error::Io(error) => (io_message(error), true),
        Error::ConnectionFailed => ("connection failed", true),
        Error::Protocol(_) | Error::LargeResponseHeader(..) | Error::BodyStalled => {
            ("the server sent an invalid response", true)
        }
        Error::Http(_) | Error::BadUri(_) => ("the URL is invalid", false),
        _ => ("the request failed", false),
    }
}

/// Whether an error is one of ours, which only the readers of payloads have.
fn is_of_payload(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.is_some_and(|_: &crate::Error| true)
}

/// Describes an error of a socket.
pub(crate) fn io_message(error: &io::Error) -> &'static str {
    use io::ErrorKind;
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
        // Connections have no other use for this kind.
        ErrorKind::NotFound => "host not found",
        // What is not compressed as its header says.
        ErrorKind::InvalidInput => "the server sent an invalid response",
        _ => "connection failed",
    }
}

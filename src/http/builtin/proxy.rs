//! Proxies that speak HTTP: plain http is passed on in absolute form, https through a tunnel ([RFC 9112], sections 3.2.2
//! and 3.2.3).
//!
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112

use std::fmt;
use std::io::{self, Read, Write};

use base64::Engine as _;
use ureq::ProxyProtocol;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::Uri;
use ureq::http::response::Parts;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport, TransportAdapter,
};

use super::time_left;
use crate::config::ProxyConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::url::{Scheme, Url};

/// The longest response to CONNECT that is read.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A proxy as it was configured.
pub(super) struct Proxy {
    proxy: ureq::Proxy,
    variable: Option<&'static str>,
}

impl Proxy {
    /// Reads the URL of a proxy.
    pub(super) fn new(config: &ProxyConfig) -> Result<Self> {
        let proxy = ureq::Proxy::new(config.url.expose().trim()).map_err(|_| {
            // The parser's own message may quote the URL with its password.
            let name = config.variable.unwrap_or("the proxy");
            let expected = "expected a URL with http, https, socks4, socks4a, socks5 or socks5h";
            Error::config(format!("{name}: {expected}"))
        })?;
        Ok(Self {
            proxy,
            variable: config.variable,
        })
    }

    pub(super) fn for_ureq(&self) -> ureq::Proxy {
        self.proxy.clone()
    }

    /// Returns whether the proxy gets the requests themselves for this URL, and not only a tunnel.
    pub(super) fn forwards(&self, url: &Url) -> bool {
        speaks_http(&self.proxy) && url.scheme() == Scheme::Http
    }

    /// Returns whether requests to the proxy stay on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        Url::parse(&format!("http://{self}")).is_ok_and(|url| url.is_loopback())
    }

    /// Returns the `Proxy-Authorization` header for the user and password of the proxy's URL.
    pub(super) fn authorization(&self) -> Option<Secret> {
        authorization(&self.proxy)
    }

    /// The error for a status that the proxy itself responded with.
    pub(super) fn refusal(&self, url: &Url, status: u16) -> ErrorKind {
        ErrorKind::Proxy {
            url: Box::new(url.clone()),
            proxy: self.to_string(),
            status,
            authorized: self.proxy.username().is_some(),
            variable: self.variable,
        }
    }
}

/// Returns whether a proxy made a response to a request that it should have passed on. Only 407 is its own by definition;
/// others are known by their headers: that of [RFC 9209], and those that Squid and tinyproxy have.
///
/// [RFC 9209]: https://www.rfc-editor.org/rfc/rfc9209
pub(super) fn made(response: &Parts) -> bool {
    let header = |name| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    response.status == 407
        || header("x-squid-error").is_some()
        || header("proxy-status").is_some_and(|status| status.contains("error="))
        || header("server").is_some_and(|server| server.starts_with("tinyproxy/"))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.proxy.host(), self.proxy.port())
    }
}

fn authorization(proxy: &ureq::Proxy) -> Option<Secret> {
    let user = proxy.username()?;
    let credentials = format!("{user}:{}", proxy.password().unwrap_or_default());
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    Some(Secret::new(format!("Basic {encoded}")))
}

pub(super) fn speaks_http(proxy: &ureq::Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

/// A proxy refuses to connect to a server.
#[derive(Debug)]
pub(super) struct TunnelRefused {
    pub(super) status: u16,
}

impl fmt::Display for TunnelRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy responded with status {}", self.status)
    }
}

impl std::error::Error for TunnelRefused {}

/// Connects to servers through the proxy of the configuration, if there is one.
#[derive(Debug)]
pub(super) struct HttpProxy {
    /// The configuration of connections to the proxy itself.
    direct: Config,
}

impl HttpProxy {
    pub(super) fn new(direct: Config) -> Self {
        Self { direct }
    }
}

impl<In: Transport> Connector<In> for HttpProxy {
    type Out = Either<In, Proxied>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let proxy = details.config.proxy().filter(|proxy| speaks_http(proxy));
        let (None, Some(proxy)) = (&chained, proxy) else {
            return Ok(chained.map(Either::A));
        };
        let uri = proxy.uri();
        let connection = (details.run_connector)(&ConnectionDetails {
            uri,
            addrs: details
                .resolver
                .resolve(uri, &self.direct, time_left(details))?,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        })?;
        let proxied = match details.needs_tls() {
            true => Proxied {
                connection: tunnel(connection, proxy, details)?,
                origin: None,
            },
            false => Proxied {
                connection,
                origin: Some(format!("http://{}", authority(details.uri))),
            },
        };
        Ok(Some(Either::B(proxied)))
    }
}

fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// Asks the proxy for a connection to the server.
fn tunnel(
    connection: Box<dyn Transport>,
    proxy: &ureq::Proxy,
    details: &ConnectionDetails<'_>,
) -> Result<Box<dyn Transport>, ureq::Error> {
    let default = if details.uri.port().is_none() {
        ":443"
    } else {
        ""
    };
    let target = format!("{}{default}", authority(details.uri));
    let authorization = authorization(proxy).map_or_else(String::new, |value| {
        format!("Proxy-Authorization: {}\r\n", value.expose())
    });
    let agent = match details.config.user_agent() {
        AutoHeaderValue::Provided(agent) => format!("User-Agent: {agent}\r\n"),
        _ => String::new(),
    };
    let mut stream = TransportAdapter::new(connection, details.current_time.clone());
    stream.set_timeout(time_left(details));
    write!(
        stream,
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{agent}{authorization}\r\n"
    )?;
    match read_status(&mut stream)? {
        200..300 => Ok(stream.into_inner()),
        status => Err(ureq::Error::Other(Box::new(TunnelRefused { status }))),
    }
}

/// Reads the head of a response, and nothing beyond it.
fn read_status(stream: &mut impl Read) -> io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let status = head.get("HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3));
    let status = status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the proxy does not speak HTTP");
    status
        .filter(|_| head.starts_with(b"HTTP/1."))
        .ok_or_else(invalid)
}

/// A connection to a server by way of a proxy.
#[derive(Debug)]
pub(super) struct Proxied {
    connection: Box<dyn Transport>,
    /// What the targets of requests start with in absolute form; without it, the connection is a tunnel.
    origin: Option<String>,
}

impl Transport for Proxied {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut amount = amount;
        // ureq knows the origin form only. Without bodies, what is sent at once is a whole request.
        if let Some(origin) = &self.origin {
            const METHOD: usize = "GET ".len();
            let output = self.connection.buffers().output();
            let target = METHOD + origin.len();
            let end = amount + origin.len();
            if output.starts_with(b"GET /") && end <= output.len() {
                output.copy_within(METHOD..amount, target);
                output[METHOD..target].copy_from_slice(origin.as_bytes());
                amount = end;
            }
        }
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.connection.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::Response;

    #[test]
    fn what_a_proxy_says_itself_is_told_from_what_it_passes_on() {
        for (status, name, value, expected) in [
            (407, "server", "nginx", true),
            (403, "x-squid-error", "ERR_ACCESS_DENIED 0", true),
            (502, "proxy-status", "proxy.example; error=dns_error", true),
            (401, "server", "tinyproxy/1.11.1", true),
            (403, "server", "nginx", false),
            (502, "via", "1.1 proxy.example (squid/5.7)", false),
            (
                404,
                "proxy-status",
                "proxy.example; received-status=404",
                false,
            ),
        ] {
            let response = Response::builder().status(status).header(name, value);
            let (head, ()) = response.body(()).unwrap().into_parts();
            assert_eq!(made(&head), expected, "{status} {name}: {value}");
        }
    }

    #[test]
    fn the_answer_to_connect_is_read_to_its_end_and_no_further() {
        let read = |text: &str| {
            let mut bytes = text.as_bytes();
            (read_status(&mut bytes).ok(), bytes.len())
        };
        assert_eq!(read("HTTP/1.0 200 OK\r\n\r\nx"), (Some(200), 1));
        assert_eq!(read("HTTP/1.1 407\r\na: b\r\n\r\n"), (Some(407), 0));
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
        ] {
            assert_eq!(read(bad).0, None, "{bad}");
        }
    }
}

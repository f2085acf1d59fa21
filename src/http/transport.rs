//! The trait that every request over the network goes through.

use std::fmt;
use std::io::{self, Read};

use crate::error::{BoxError, Error};
use crate::progress::CancelToken;
use crate::secret::Secret;
use crate::url::Url;

/// Sends requests. Replace the built-in implementation to test without a network or to reach servers in another way.
///
/// An implementation returns every response, whatever its status. It does not follow redirects: the caller does, and keeps
/// credentials from other hosts. Many threads send requests at once. The [module](crate::transport) has an example.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a GET request, and returns once the headers of the response have arrived. The [module](crate::transport) has
    /// an example.
    ///
    /// Once the request's token is cancelled, the request should fail soon, and so should reading its body.
    ///
    /// # Errors
    /// [`TransportError`] if there is no response.
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError>;

    /// Sends a request of any other [method](Request::method), as [`Transport::get`] does. Publishing needs it, and so do
    /// token services; what only pulls gets by without it.
    ///
    /// # Errors
    /// [`TransportError`] if there is no response; always, unless it is implemented.
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        Err(TransportError {
            message: format!("the transport sends no {} requests", request.method),
            transient: false,
            source: None,
        })
    }
}

/// What a request asks the server to do ([RFC 9110], section 9); [`Request`] has an example.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Send the document.
    Get,
    /// Send only the headers that a GET would get.
    Head,
    /// Take in what the request carries, such as the beginning of an upload.
    Post,
    /// Store what the request carries.
    Put,
    /// Change the document by what the request carries.
    Patch,
    /// Remove the document.
    Delete,
}

impl Method {
    /// Returns its name, in capitals; [`Request`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Method {
    /// Whether the server is to change something.
    pub(crate) fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request carries. It is read again when the request is repeated.
///
/// ```
/// use std::io::Read;
///
/// use modelrack::transport::Payload;
///
/// let payload: &dyn Payload = &b"grant_type=refresh_token".to_vec();
/// let mut bytes = Vec::new();
/// payload.open_at(0)?.read_to_end(&mut bytes)?;
/// assert_eq!(payload.size_bytes(), bytes.len() as u64);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Payload: Send + Sync + fmt::Debug {
    /// Returns its size, which the request states before the first byte is sent.
    fn size_bytes(&self) -> u64;

    /// Begins to read it behind the first `start` bytes; all others follow, up to the [size](Self::size_bytes) and no further.
    ///
    /// # Errors
    /// Those of opening a file, for instance.
    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>>;
}

impl Payload for Vec<u8> {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        Ok(Box::new(self.get(start..).unwrap_or_default()))
    }
}

/// A request.
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
///     let method = request.method.as_str();
///     Some(format!("curl -X {method} {}'{}'", headers.collect::<String>(), request.url.expose()))
/// }
///
/// let url = Url::parse("https://models.example.org/models.json")?;
/// let headers = [("range", Secret::new("bytes=0-1023"))];
/// let cancel = CancelToken::new();
/// let request = Request::new(&url, &headers, &cancel);
/// assert_eq!(
///     curl(&request).as_deref(),
///     Some("curl -X GET -H 'range: bytes=0-1023' 'https://models.example.org/models.json'"),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The URL; [`Url::expose`] returns it with its credentials.
    pub url: &'a Url,
    /// The headers to send: names in lower case, and values that `Debug` does not show.
    pub headers: &'a [(&'static str, Secret)],
    /// What the request carries; `None` for nothing. The headers do not state its length.
    pub payload: Option<&'a dyn Payload>,
    /// Is cancelled when the request is no longer needed.
    pub cancel: &'a CancelToken,
}

impl<'a> Request<'a> {
    /// Creates a GET request, for testing a transport; [`Request`] has an example.
    #[must_use]
    pub fn new(
        url: &'a Url,
        headers: &'a [(&'static str, Secret)],
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            method: Method::Get,
            url,
            headers,
            payload: None,
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
    /// The cause, such as the error of another crate. An [`Error`] of this crate is what the operation fails with.
    pub source: Option<BoxError>,
}

impl TransportError {
    /// A failure that this crate has words for.
    pub(super) fn known(error: impl Into<Error>, transient: bool) -> Self {
        let error = error.into();
        Self {
            message: error.to_string(),
            transient,
            source: Some(error.into()),
        }
    }
}

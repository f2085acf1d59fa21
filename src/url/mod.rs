//! URLs that are safe to show.
//!
//! The part of [RFC 3986] that this crate needs: absolute `http`, `https`, `file` and `s3` URLs, joining a relative path, and
//! resolving the `Location` of a redirect. `Display` and `Debug` omit user, password, query values and fragment, since
//! these carry credentials and signatures.
//!
//! [RFC 3986]: https://www.rfc-editor.org/rfc/rfc3986

mod percent;
mod reference;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;

use crate::platform;
use crate::secret::Secret;

use percent::encode;

pub(crate) use percent::{encode_component, encode_path, encode_strictly, percent_decode};

/// Returns what people typed for a place without the user and the password in it, for a message; `None` if it has none. It need
/// not be a URL.
pub(crate) fn without_login(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    // In the last component, an `@` begins a version, and in the path of a folder, it is a character.
    let end = rest.rfind('/').unwrap_or(rest.len());
    let at = rest[..end].rfind('@').filter(|_| !rest.starts_with('/'))?;
    Some(format!("{scheme}://{}", &rest[at + 1..]))
}

/// The scheme of a [`Url`].
///
/// ```
/// use modelrack::transport::{Scheme, Url};
///
/// /// Whether nobody on the way can read or change what is fetched.
/// fn is_protected(url: &Url) -> bool {
///     match url.scheme() {
///         Scheme::Https | Scheme::File => true,
///         Scheme::Http | Scheme::S3 => url.is_loopback(),
///     }
/// }
///
/// assert!(is_protected(&Url::parse("https://models.example.org")?));
/// assert!(!is_protected(&Url::parse("http://models.example.org")?));
/// # Ok::<(), modelrack::error::InvalidUrl>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A file on this machine.
    File,
    /// An object of a bucket, in an object store that speaks S3. No transport gets one: which host has the bucket depends on
    /// the store, and requests go to that host's URL.
    S3,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::File => "file",
            Self::S3 => "s3",
        }
    }
}

/// An absolute URL; `Display` and `Debug` show no credentials.
///
/// ```
/// use modelrack::transport::{Scheme, Url};
///
/// let url = Url::parse("https://user:secret@models.example.org/v1?key=abc")?;
/// assert_eq!(url.to_string(), "https://models.example.org/v1?…");
/// assert_eq!((url.scheme(), url.authority()), (Scheme::Https, "models.example.org"));
///
/// // For a request:
/// assert_eq!(url.expose(), "https://models.example.org/v1?key=abc");
/// let authorization = url.basic_authorization().expect("the URL has a user");
/// assert_eq!(authorization.expose(), "Basic dXNlcjpzZWNyZXQ=");
/// # Ok::<(), modelrack::error::InvalidUrl>(())
/// ```
///
/// URLs of documents and files are derived from that of a registry:
///
/// ```
/// use modelrack::transport::Url;
///
/// let registry: Url = "https://models.example.org/v1".parse()?;
/// let index = registry.join("models.json");
/// assert_eq!(index.to_string(), "https://models.example.org/v1/models.json");
/// assert_eq!(index.beside(".minisig").to_string(), "https://models.example.org/v1/models.json.minisig");
///
/// let elsewhere = index.redirect("https://cdn.example.net/models.json")?;
/// assert!(!index.same_origin(&elsewhere), "credentials must not follow");
/// # Ok::<(), modelrack::error::InvalidUrl>(())
/// ```
///
/// A file URL names a folder or file on this machine:
///
/// ```
/// use modelrack::transport::Url;
///
/// let folder = std::env::temp_dir();
/// let url = Url::from_path(&folder)?;
/// assert_eq!(url.to_file_path(), Some(folder));
/// assert!(!url.is_loopback(), "it has no host");
/// # Ok::<(), modelrack::error::InvalidUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// The host in lower case, with an optional port; empty for files.
    authority: String,
    /// Percent-encoded, starting with a slash.
    path: String,
    query: Option<String>,
    credentials: Option<Box<Credentials>>,
}

/// User and password of a URL.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    text: Secret,
    /// The setting that has them.
    setting: Option<Arc<str>>,
}

/// The error of parsing a URL.
///
/// ```
/// use modelrack::transport::Url;
///
/// let error = Url::parse("models.example.org").unwrap_err();
/// assert_eq!(error.to_string(), "a URL must start with https://, http://, file:// or s3://");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(&'static str);

impl InvalidUrl {
    pub(crate) fn new(reason: &'static str) -> Self {
        Self(reason)
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidUrl {}

impl Url {
    /// Parses an absolute URL with scheme `http`, `https`, `file` or `s3`.
    ///
    /// # Errors
    /// [`InvalidUrl`] if the scheme is unknown, or the host is missing or invalid.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let text = text.trim();
        let unknown = InvalidUrl("a URL must start with https://, http://, file:// or s3://");
        let (scheme, rest) = text.split_once("://").ok_or(unknown.clone())?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "file" => Scheme::File,
            "s3" => Scheme::S3,
            _ => return Err(unknown),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((user, host)) => {
                let (text, setting) = (Secret::new(user), None);
                (Some(Box::new(Credentials { text, setting })), host)
            }
            None => (None, authority),
        };
        // A colon without a port means the port of the scheme (RFC 3986, section 6.2.3).
        let host = host.strip_suffix(':').unwrap_or(host).to_ascii_lowercase();
        match scheme {
            Scheme::File if !host.is_empty() && host != "localhost" => {
                let reason = "a file URL has three slashes, such as file:///srv/models";
                return Err(InvalidUrl(reason));
            }
            Scheme::Http | Scheme::Https if host.is_empty() || host.starts_with(':') => {
                return Err(InvalidUrl("the URL has no host"));
            }
            Scheme::S3 if host.is_empty() => {
                return Err(InvalidUrl("an s3 URL names a bucket: s3://bucket/prefix"));
            }
            Scheme::S3 if credentials.is_some() || host.contains([':', '[', '%']) => {
                let reason = "an s3 URL has neither a user nor a port: s3://bucket/prefix";
                return Err(InvalidUrl(reason));
            }
            _ => {}
        }
        let is_valid = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]~%".contains(&c);
        if !host.bytes().all(is_valid) {
            return Err(InvalidUrl("the host of the URL has an invalid character"));
        }
        // The colons within brackets belong to an address.
        let behind_brackets = host.rsplit_once(']').map_or(&*host, |(_, rest)| rest);
        let port = behind_brackets.split_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            let reason = "the port of the URL is not a number up to 65535";
            return Err(InvalidUrl(reason));
        }
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(encode(query, b"/?"))),
            None => (path, None),
        };
        let (authority, path) = match scheme {
            Scheme::File => (String::new(), encode(&path.replace('\\', "/"), b"/")),
            _ => (host, encode(path, b"/")),
        };
        Ok(Self {
            scheme,
            authority,
            path: if path.is_empty() { "/".into() } else { path },
            query,
            credentials,
        })
    }

    /// Returns the URL of a folder or file on this machine; the path must be absolute. [`Url`] has an example.
    ///
    /// # Errors
    /// [`InvalidUrl`] if the path is relative or not Unicode.
    pub fn from_path(path: &Path) -> Result<Self, InvalidUrl> {
        let text = path.to_str().ok_or(InvalidUrl("the path is not Unicode"))?;
        if !path.is_absolute() {
            return Err(InvalidUrl("the path is relative"));
        }
        let text = text.replace('\\', "/");
        let text = encode_path(text.strip_prefix("//?/").unwrap_or(&text));
        let slash = if text.starts_with('/') { "" } else { "/" };
        Self::parse(&format!("file://{slash}{text}"))
    }

    /// Returns the scheme; [`Url`] has an example.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host and the port, if it has one, in lower case; empty for a file. [`Url`] has an example.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the URL for a request, without user and password. Do not show it: its query may carry a signature. [`Url`]
    /// has an example.
    #[must_use]
    pub fn expose(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.without_query()),
            None => self.without_query(),
        }
    }

    /// Returns the query, percent-encoded.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Returns the path, percent-encoded.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns what follows the last slash of the path.
    pub(crate) fn last_segment(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn without_query(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.authority, self.path)
    }

    /// Returns the `Authorization` header for the user and password of the URL, if it has any; [`Url`] has an example.
    #[must_use]
    pub fn basic_authorization(&self) -> Option<Secret> {
        let credentials = percent_decode(self.credentials.as_ref()?.text.expose());
        let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
        Some(Secret::new(format!("Basic {encoded}")))
    }

    /// Returns whether requests to the URL stay on this machine; [`Url`] has an example.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
            _ => &self.authority,
        };
        // A name of numbers is an address, even a short one such as `127.1`.
        let is_address = host.split('.').all(|part| part.parse::<u32>().is_ok());
        let is_local =
            host == "localhost" || host == "[::1]" || host.starts_with("127.") && is_address;
        is_local && self.scheme != Scheme::S3
    }

    /// Returns whether both URLs have the same scheme, host and port; [`Url`] has an example.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host_and_port() == other.host_and_port()
    }

    /// Returns the host and the port, which may be that of the scheme.
    pub(crate) fn host_and_port(&self) -> (&str, &str) {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
            _ if self.scheme == Scheme::Https => (&self.authority, "443"),
            _ => (&self.authority, "80"),
        }
    }

    /// Returns whether another URL has the same origin, and the same path or one below.
    pub(crate) fn is_above(&self, other: &Self) -> bool {
        let rest = other.path.strip_prefix(self.path.trim_end_matches('/'));
        let is_below = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_below && self.same_origin(other)
    }

    /// Returns the path of a file URL; `None` for other schemes. [`Url`] has an example.
    #[must_use]
    pub fn to_file_path(&self) -> Option<PathBuf> {
        if self.scheme != Scheme::File {
            return None;
        }
        let path = String::from_utf8(percent_decode(&self.path)).ok()?;
        // `/C:/models` starts with a drive on Windows; elsewhere, `C:` is an ordinary folder.
        let drive = path.as_bytes();
        let is_drive = platform::HAS_DRIVES
            && drive.len() >= 3
            && drive[1].is_ascii_alphabetic()
            && drive[2] == b':';
        Some(PathBuf::from(if is_drive { &path[1..] } else { &path[..] }))
    }

    /// Appends a relative path, and percent-encodes it where necessary; [`Url`] has an example.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        let base = self.path.trim_end_matches('/');
        let relative = encode_path(relative);
        Self {
            path: format!("{base}/{relative}"),
            ..self.clone()
        }
    }

    /// Returns the URL with user and password.
    pub(crate) fn with_credentials(&self) -> Secret {
        let text = self.expose();
        match (&self.credentials, text.split_once("://")) {
            (Some(credentials), Some((scheme, rest))) => {
                Secret::new(format!("{scheme}://{}@{rest}", credentials.text.expose()))
            }
            _ => Secret::new(text),
        }
    }

    /// Notes which setting has the user and password, such as a variable or a key of the configuration.
    pub(crate) fn set_in(mut self, setting: impl Into<Arc<str>>) -> Self {
        if let Some(credentials) = &mut self.credentials {
            credentials.setting = Some(setting.into());
        }
        self
    }

    /// Returns the setting that has the user and password, if that is known.
    pub(crate) fn setting(&self) -> Option<&Arc<str>> {
        self.credentials.as_ref()?.setting.as_ref()
    }

    /// Returns the URL of the server alone, with the credentials.
    pub(crate) fn of_server(&self) -> Self {
        Self {
            path: "/".to_owned(),
            query: None,
            ..self.clone()
        }
    }

    /// Returns the URL with a different query.
    pub(crate) fn with_query(&self, query: &str) -> Self {
        Self {
            query: Some(encode(query, b"/?")),
            ..self.clone()
        }
    }

    /// Returns the URL with a suffix added to its path; [`Url`] has an example.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> Self {
        Self {
            path: format!("{}{suffix}", self.path),
            ..self.clone()
        }
    }

    /// Resolves the `Location` of a redirect. Credentials in it are dropped. [`Url`] has an example.
    ///
    /// # Errors
    /// Those of [`Url::parse`]; [`InvalidUrl`] for an empty location and for a file.
    pub fn redirect(&self, location: &str) -> Result<Self, InvalidUrl> {
        if location.trim().is_empty() {
            return Err(InvalidUrl("the redirect has no target"));
        }
        let target = self.resolve(location)?;
        match target.scheme {
            Scheme::Http | Scheme::Https => Ok(target),
            Scheme::File => Err(InvalidUrl("the redirect leads to a file")),
            Scheme::S3 => Err(InvalidUrl("the redirect leads to a bucket")),
        }
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_query())?;
        f.write_str(self.query.as_ref().map_or("", |_| "?…"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

//! How requests reach servers: the [`Transport`] trait, which an app can implement itself, and URLs.
//!
//! | name | what it is |
//! |---|---|
//! | [`Transport`] | sends requests; the built-in implementation uses ureq |
//! | [`Request`], [`Method`], [`Payload`] | what it is given |
//! | [`Response`] | what it returns |
//! | [`TransportError`] | why there is no response |
//! | [`Url`], [`Scheme`] | URLs that are safe to show |
//! | [`Secret`] | text that is not shown, such as the value of a header |
//!
//! The built-in transport is configured with [`HttpConfig`](crate::config::HttpConfig). An app that reaches its servers in
//! another way, or a test that must not use a network, passes its own to
//! [`ModelManagerBuilder::transport`](crate::ModelManagerBuilder::transport). Retries, redirects, credentials, size limits
//! and digests are handled above it; `file://` URLs never reach it.
//!
//! ```
//! use std::io::Cursor;
//! use std::sync::Arc;
//!
//! use modelrack::transport::{Request, Response, Transport, TransportError};
//! use modelrack::{Config, Environment, Manager, ModelManager, RemoteOptions, config::System};
//!
//! /// A server that knows one document.
//! #[derive(Debug)]
//! struct OneIndex;
//!
//! impl Transport for OneIndex {
//!     fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
//!         let (status, body) = match request.url.expose().as_str() {
//!             "https://models.example.org/models.json" => (200, r#"{"whisper": {"tiny": {"v1": {"hash":
//!                 "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"}}}}"#),
//!             _ => (404, ""),
//!         };
//!         let headers = vec![("content-length".to_owned(), body.len().to_string())];
//!         let response = Response { status, headers, body: Box::new(Cursor::new(body)) };
//!         assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()));
//!         Ok(response)
//!     }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let environment = Environment::empty(System::Linux, folder.path());
//! let config = Config::new("tool").registry_url("https://models.example.org");
//! let manager = ModelManager::builder(config)
//!     .environment(environment)
//!     .transport(Arc::new(OneIndex))
//!     .build();
//! let listing = manager.list_remote(&RemoteOptions::default())?;
//! assert_eq!(listing.models[0].model.to_string(), "whisper/tiny v1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::http::transport::{Method, Payload, Request, Response, Transport, TransportError};
pub use crate::secret::Secret;
pub use crate::url::{Scheme, Url};

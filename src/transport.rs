//! How requests reach servers: the [`Transport`] trait, which an app can implement itself, and URLs.

pub use crate::http::transport::{Request, Response, Transport, TransportError};
pub use crate::secret::Secret;
pub use crate::url::{Scheme, Url};

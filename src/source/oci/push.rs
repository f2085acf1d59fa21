//! Where artifacts are pushed to: the registries that they are pulled from.

use std::sync::Arc;

use super::place::RegistryPlace;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::authority::Authority;
use crate::http::oci::RegistryAuthority;
use crate::url::Url;

/// A registry for writing.
#[derive(Debug)]
pub(crate) struct PushRegistry {
    place: RegistryPlace,
    authority: Arc<dyn Authority>,
}

impl PushRegistry {
    /// The registry of a host, such as `ghcr.io` or `localhost:5000`.
    ///
    /// # Errors
    /// [`InvalidRef`](crate::ErrorKind::InvalidRef) if it is no host.
    pub(crate) fn open(host: &str, environment: &Environment) -> Result<Self> {
        let place = RegistryPlace::of_host(host)?;
        let authority = Arc::new(RegistryAuthority::new(&place.api, environment));
        Ok(Self { place, authority })
    }

    /// What people call it: `ghcr.io`.
    pub(crate) fn host(&self) -> &str {
        &self.place.host
    }

    pub(crate) fn authority(&self) -> &Arc<dyn Authority> {
        &self.authority
    }

    /// Returns the name and the address of a repository.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if no repository can have that name.
    pub(crate) fn repository(&self, path: &str) -> Result<(String, Url)> {
        let has_capitals = path.bytes().any(|c| c.is_ascii_uppercase());
        let name = self.place.repository(path).filter(|_| !has_capitals);
        let name = name.ok_or_else(|| {
            let path = path.escape_debug();
            Error::argument(format!(
                "'{path}' cannot be the name of a repository, which has small letters, digits, and '.', '_' or '-' between them"
            ))
        })?;
        let base = self.place.api.join(&name);
        Ok((name, base))
    }
}

//! Where artifacts are pushed to: repositories of the registries that they are pulled from.

use std::sync::Arc;

use super::upload::{Pushed, RepositoryWriter};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::authority::Authority;
use crate::http::call::Call;
use crate::http::oci::RegistryAuthority;
use crate::oci::RegistryPlace;
use crate::relpath::below;

/// Repositories of a registry.
pub(super) struct Repositories {
    place: RegistryPlace,
    /// A repository, or what the names of all begin with.
    path: String,
    /// Authorized for the registry.
    call: Call,
    pushed: Arc<Pushed>,
}

impl Repositories {
    /// Those of a host, such as `ghcr.io` or `localhost:5000`.
    ///
    /// # Errors
    /// [`InvalidRef`](crate::ErrorKind::InvalidRef) if it is no host.
    pub(super) fn open(
        host: &str,
        path: &str,
        call: &Call,
        environment: &Environment,
    ) -> Result<Self> {
        let place = RegistryPlace::of_host(host)?;
        let authority: Arc<dyn Authority> =
            Arc::new(RegistryAuthority::new(&place.api, environment));
        Ok(Self {
            call: call.authorized(Some(&authority)),
            place,
            path: path.to_owned(),
            pushed: Arc::default(),
        })
    }

    /// The only repository, or that of a model with this name.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if no repository can have that name.
    pub(super) fn writer(&self, model: Option<&str>) -> Result<RepositoryWriter> {
        let path = match model {
            None => self.path.clone(),
            // Registries know no capitals; no two models of a source differ in them alone.
            Some(model) => below(&self.path, &model.to_ascii_lowercase()),
        };
        let has_capitals = path.bytes().any(|c| c.is_ascii_uppercase());
        let name = self.place.repository(&path).filter(|_| !has_capitals);
        let name = name.ok_or_else(|| {
            let path = path.escape_debug();
            Error::argument(format!(
                "'{path}' cannot be the name of a repository, which has small letters, digits, and '.', '_' or '-' between them"
            ))
        })?;
        Ok(RepositoryWriter {
            base: self.place.api.join(&name),
            host: self.place.host.clone(),
            name,
            call: self.call.clone(),
            registry: self.pushed.clone(),
        })
    }
}

//! Finding models in a compiled index.

use std::fmt::Display;
use std::sync::Arc;

use super::index::Origin;
use super::wire::{LeftOut, Rest};
use crate::catalog::RemoteModel;
use crate::error::{Error, Result};
use crate::source::compiled::{self, Row};
use crate::source::{Identity, choose_version};

/// What is kept of an index.
pub(super) type Known = compiled::Known<Origin, Rest>;

/// What a row offers, of the source with this key.
pub(super) fn remote(source: &Arc<str>, row: Row) -> RemoteModel {
    RemoteModel {
        alias_of: row.alias_of,
        metadata: row.about,
        ..RemoteModel::new(row.model, source.clone(), row.digest)
    }
}

impl Known {
    /// Finds the version that is asked for, or the only one; `location` names the index in errors.
    pub(super) fn find(
        &self,
        identity: &Identity,
        path: &str,
        version: Option<&str>,
        location: impl Display,
    ) -> Result<RemoteModel> {
        let name = identity.full_name(path);
        let (group, model) = name.rsplit_once('/').unwrap_or(("", &name));
        let mut versions = self.names.versions_of(group, model)?;
        let mut faults = self.rest.left_out.iter().filter(|entry| entry.path == path);
        let is_meant = |fault: &&LeftOut| {
            let of_version = fault.version.as_deref();
            versions.is_empty() || of_version.is_none() || of_version == version
        };
        if let Some(fault) = faults.find(is_meant) {
            let message = format!("in the index, {}", fault.reason);
            return Err(Error::registry(location, message));
        }
        if versions.is_empty() {
            return Err(identity.not_found(path, self.near(identity, path)));
        }
        let mut real = versions.iter().filter(|row| row.alias_of.is_none());
        let only = match (real.next(), real.next()) {
            (Some(only), None) => Some(only.model.version()),
            _ => None,
        };
        let offered: Vec<&str> = versions.iter().map(|row| row.model.version()).collect();
        let chosen = choose_version(&name, &offered, version.or(only))?;
        let place = offered.iter().position(|version| *version == chosen);
        let row = versions.swap_remove(place.unwrap_or_default());
        Ok(remote(&identity.key.as_str().into(), row))
    }
}

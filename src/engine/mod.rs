//! The operations: between the sources, which say where bytes are, and the store, which keeps them.
//!
//! Each file holds one operation whole: its options, its plan, its report and its code.

pub(crate) mod commit;
pub(crate) mod copy;
mod coverage;
pub(crate) mod documents;
pub(crate) mod downloads;
pub(crate) mod holdings;
pub(crate) mod inventory;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod remove;
pub(crate) mod resolve;
pub(crate) mod search;
mod span;
pub(crate) mod transfer;
pub(crate) mod update;
pub(crate) mod verify;
mod whole;

use std::sync::Arc;

use crate::config::SourceConfig;
use crate::error::Result;
use crate::http::Client;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

use downloads::Downloads;

/// What every operation works with.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) downloads: Downloads,
}

impl Engine {
    /// The sources, each as configured.
    pub(crate) fn sources(&self) -> &[SourceConfig] {
        &self.settings.sources
    }

    /// The same client, offline when either the settings or the call say so.
    pub(crate) fn client(&self, offline: bool) -> Client {
        self.client.with_offline(offline)
    }

    /// Everything that is installed.
    pub(crate) fn records(&self) -> Result<crate::store::record::Records> {
        self.store.records()
    }
}

//! The operations: between the sources, which say where bytes are, and the store, which keeps them.
//!
//! Each file holds one operation whole: its options, its plan, its report and its code. No kind of source is named here:
//! what depends on the kind is asked of a [`Source`](crate::source::Source).

pub(crate) mod clear;
pub(crate) mod discover;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod lookup;
pub(crate) mod mirror;
pub(crate) mod pull;
pub(crate) mod sync;
pub(crate) mod transfer;

use std::sync::Arc;

use crate::error::Result;
use crate::http::call::Call;
use crate::progress::{CancelToken, Progress};
use crate::settings::Settings;
use crate::source::Sources;
use crate::store::Store;
use crate::store::record::Records;

use pull::downloads::{Downloads, Slots};

/// What every operation works with.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) sources: Sources,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) downloads: Downloads,
    pub(crate) slots: Slots,
}

impl Engine {
    pub(crate) fn new(
        settings: Settings,
        store: Store,
        sources: Sources,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self {
            slots: Slots::new(settings.max_pulls),
            settings,
            store,
            sources,
            progress,
            downloads: Downloads::default(),
        }
    }

    /// Makes the call that an operation hands down: offline when either the settings or the caller say so.
    pub(crate) fn call(&self, offline: bool, cancel: &CancelToken) -> Call {
        let client = self.sources.client.with_offline(offline);
        Call {
            auto_sync: self.settings.auto_sync,
            ..Call::new(client, cancel.clone(), self.progress.clone())
        }
    }

    /// Returns the handler of progress that an operation was given, or the manager's own.
    pub(crate) fn progress_of<'a>(
        &'a self,
        own: &'a Option<Arc<dyn Progress>>,
    ) -> &'a dyn Progress {
        own.as_ref().unwrap_or(&self.progress).as_ref()
    }

    /// Reads what is installed.
    pub(crate) fn records(&self) -> Result<Records> {
        self.store.records()
    }
}

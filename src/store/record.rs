//! `registry.json`: what is installed.
//!
//! ```json
//! {"<group>": {"<model>": {"<version>": {
//!   "manifest_hash": "<sha256>", "total_size": 12, "file_count": 1, "installed_at": "2026-01-31T12:00:00Z",
//!   "source": "weights", "type": "classification", "tags": ["digits"], "metadata": {"description": "…"}
//! }}}}
//! ```
//!
//! The last line is optional: a store that another implementation of this layout wrote has none of it. Fields that this
//! version does not know are kept.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::model::ModelRef;

/// What is recorded of one installed model version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub(crate) manifest_hash: Digest,
    pub(crate) total_size: u64,
    pub(crate) file_count: u64,
    #[serde(with = "crate::time")]
    pub(crate) installed_at: SystemTime,
    /// The key of the source it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) model_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub(crate) metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    pub(crate) unknown: serde_json::Map<String, serde_json::Value>,
}

/// Everything that is installed: group → model → version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Records(BTreeMap<String, BTreeMap<String, BTreeMap<String, ModelRecord>>>);

impl Records {
    pub(crate) fn get(&self, model: &ModelRef) -> Option<&ModelRecord> {
        self.0
            .get(model.group())?
            .get(model.model())?
            .get(model.version())
    }

    pub(crate) fn insert(&mut self, model: &ModelRef, record: ModelRecord) {
        let models = self.0.entry(model.group().to_owned()).or_default();
        models
            .entry(model.model().to_owned())
            .or_default()
            .insert(model.version().to_owned(), record);
    }

    pub(crate) fn remove(&mut self, model: &ModelRef) -> Option<ModelRecord> {
        let models = self.0.get_mut(model.group())?;
        let versions = models.get_mut(model.model())?;
        let record = versions.remove(model.version())?;
        if versions.is_empty() {
            models.remove(model.model());
        }
        if models.is_empty() {
            self.0.remove(model.group());
        }
        Some(record)
    }

    /// Everything in the order of names. An entry whose name could not be a folder is left out, and reported.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModelRef, &ModelRecord)> {
        self.0.iter().flat_map(|(group, models)| {
            models.iter().flat_map(move |(model, versions)| {
                versions.iter().filter_map(move |(version, record)| {
                    match ModelRef::new(group, model, version) {
                        Ok(model) => Some((model, record)),
                        Err(error) => {
                            tracing::warn!(%error, "an entry of registry.json is ignored");
                            None
                        }
                    }
                })
            })
        })
    }
}

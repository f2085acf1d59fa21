//! Changing what is recorded of an installed model: its type, tags and metadata.

use crate::engine::Engine;
use crate::engine::local::list::InstalledModel;
use crate::error::{ErrorKind, Result};
use crate::model::ModelAddress;
use crate::store::record::Annotation;

impl Engine {
    /// Changes the record of an installed model; returns the changed model.
    pub(crate) fn annotate(
        &self,
        address: &ModelAddress,
        annotation: &Annotation,
    ) -> Result<InstalledModel> {
        let mut records = self.records()?;
        let model = self.reading(address)?.find_installed(&records)?;
        let record = match *annotation == Annotation::default() {
            true => records.remove(&model),
            false => self.store.annotate(&model, annotation)?,
        };
        let record = record.ok_or_else(|| ErrorKind::NotInstalled {
            model: model.to_string(),
            near: Vec::new(),
        })?;
        Ok(self.installed(model, record))
    }
}

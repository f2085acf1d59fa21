//! The models of a compiled registry in memory, for who looks up one after another.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Compiled, ROW_BYTES, Record, Row, damaged, read_words};
use crate::catalog::RemoteMetadata;
use crate::error::Result;
use crate::model::Words;

/// All models, as they lie in the file: a row is made when it is asked for.
#[derive(Debug)]
pub(crate) struct Names {
    words: Arc<Words>,
    texts: Words,
    records: Vec<u8>,
    path: PathBuf,
}

impl<O> Compiled<O> {
    /// Reads the names of all models.
    ///
    /// # Errors
    /// Those of [`Compiled::rows`].
    pub(crate) fn names(&mut self) -> Result<Names> {
        let words = self.words()?.into();
        let texts = self.read_part(self.head.texts)?;
        let texts = read_words(&texts).and_then(|texts| Words::of(texts.into_iter()));
        let texts = texts.ok_or_else(|| self.damaged(None))?;
        let records = self.read_part(self.head.rows)?;
        if records.len() as u64 != self.head.models as u64 * ROW_BYTES as u64 {
            return Err(self.damaged(None));
        }
        let path = self.path.clone();
        Ok(Names {
            words,
            texts,
            records,
            path,
        })
    }
}

impl Names {
    /// Returns all versions of a model, in order; none if there is no such model.
    ///
    /// # Errors
    /// [`DamagedCache`](crate::ErrorKind::DamagedCache) when a record is not as it was written.
    pub(crate) fn versions_of(&self, group: &str, model: &str) -> Result<Vec<Row>> {
        let records = self.records();
        let begin = records.partition_point(|bytes| self.model(bytes) < (group, model));
        let found = records[begin..].iter();
        let found = found.take_while(|bytes| self.model(bytes) == (group, model));
        found.map(|bytes| self.row(bytes)).collect()
    }

    /// The groups and names of all models, in order, each once.
    pub(crate) fn models(&self) -> Vec<(&str, &str)> {
        let mut models: Vec<_> = self.records().iter().map(|it| self.model(it)).collect();
        models.dedup();
        models
    }

    fn records(&self) -> &[[u8; ROW_BYTES]] {
        self.records.as_chunks().0
    }

    fn model(&self, bytes: &[u8; ROW_BYTES]) -> (&str, &str) {
        let [group, model, ..] = Record::decode(bytes).words;
        let word = |number: u32| number.checked_sub(1).map_or("", |at| self.words.get(at));
        (word(group), word(model))
    }

    fn row(&self, bytes: &[u8; ROW_BYTES]) -> Result<Row> {
        let about = |place: u32| {
            let text = self.texts.has(place).then(|| self.texts.get(place))?;
            RemoteMetadata::of_json(serde_json::from_str(text).ok()?)
        };
        let row = Record::decode(bytes).row(&self.words, &mut Default::default(), about);
        row.ok_or_else(|| damaged(&self.path, None))
    }
}

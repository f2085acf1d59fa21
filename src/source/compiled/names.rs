//! The models of a compiled registry in memory, for who looks up one after another.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tracing::debug;

use super::{Compiled, Head, ROW_BYTES, Record, Row, damaged, read_words};
use crate::catalog::RawMetadata;
use crate::digest::Digest;
use crate::error::Result;
use crate::model::Words;
use crate::near::nearest;
use crate::relpath::below;
use crate::source::Identity;

/// What is kept of a compiled registry for who finds one model after another: reading it takes as long as finding a thousand.
/// `R` is what its kind of source needs beside the models.
#[derive(Debug)]
pub(crate) struct Known<O, R> {
    pub(crate) head: Head<O>,
    pub(crate) names: Names,
    pub(crate) rest: R,
}

impl<O: Clone, R: DeserializeOwned> Known<O, R> {
    /// Reads it.
    ///
    /// # Errors
    /// Those of [`Compiled::rows`].
    pub(crate) fn of(compiled: &mut Compiled<O>) -> Result<Self> {
        debug!(path = %compiled.path.display(), "reading a compiled registry");
        Ok(Self {
            head: compiled.head.clone(),
            names: compiled.names()?,
            rest: compiled.rest()?,
        })
    }
}

impl<O, R> Known<O, R> {
    /// The paths of models that come near.
    pub(crate) fn near(&self, identity: &Identity, path: &str) -> Vec<String> {
        let models = self.names.models().into_iter();
        let models = models.map(|(group, model)| identity.path_in(below(group, model)));
        let paths: Vec<String> = models.collect();
        nearest(path, paths.iter().map(String::as_str))
    }
}

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

    /// Returns the only model in a folder; none if there are several.
    ///
    /// # Errors
    /// Those of [`Names::versions_of`].
    pub(crate) fn only_in(&self, root: &str) -> Result<Option<Row>> {
        let is_there = |bytes: &&[u8; ROW_BYTES]| {
            let [_, _, _, number, ..] = Record::decode(bytes).words;
            self.word(number) == root
        };
        let mut found = self.records().iter().filter(is_there);
        let only = found.next().filter(|_| found.next().is_none());
        only.map(|bytes| self.row(bytes)).transpose()
    }

    /// Returns the first version whose manifest has a digest.
    ///
    /// # Errors
    /// Those of [`Names::versions_of`].
    pub(crate) fn with_digest(&self, digest: Digest) -> Result<Option<Row>> {
        let mut records = self.records().iter();
        let found = records.find(|bytes| Record::decode(bytes).digest == digest);
        found.map(|bytes| self.row(bytes)).transpose()
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
        (self.word(group), self.word(model))
    }

    fn word(&self, number: u32) -> &str {
        number.checked_sub(1).map_or("", |at| self.words.get(at))
    }

    fn row(&self, bytes: &[u8; ROW_BYTES]) -> Result<Row> {
        let about = |place: u32| {
            let text = self.texts.has(place).then(|| self.texts.get(place))?;
            RawMetadata::of_json(serde_json::from_str(text).ok()?)
        };
        let row = Record::decode(bytes).row(&self.words, &mut Default::default(), about);
        row.ok_or_else(|| damaged(&self.path, None))
    }
}

//! Compiling a registry.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::{FORMAT, Head, Part, ROW_BYTES, Record, Row, UNKNOWN};
use crate::catalog::ListingPlace;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::relpath::twins;

/// Compiles a registry into `out`: lists of files are passed on at once, and of everything else what the file will hold is
/// kept until [`Compiler::finish`].
pub(crate) struct Compiler<'o> {
    out: &'o mut dyn FnMut(&[u8]) -> Result<()>,
    hasher: Hasher,
    /// How much was written.
    at: u64,
    words: Words,
    texts: Words,
    records: Vec<Record>,
}

/// Distinct texts, each with its number, which begins at 1.
#[derive(Default)]
struct Words {
    numbers: HashMap<Arc<str>, u32>,
    all: Vec<Arc<str>>,
}

impl Words {
    fn number(&mut self, word: &str) -> Result<u32> {
        if let Some(number) = self.numbers.get(word) {
            return Ok(*number);
        }
        let word: Arc<str> = word.into();
        self.all.push(word.clone());
        let too_many = |_| Error::internal("a registry has too many names");
        let number = u32::try_from(self.all.len()).map_err(too_many)?;
        self.numbers.insert(word, number);
        Ok(number)
    }

    fn word(&self, number: u32) -> &str {
        let place = usize::try_from(number)
            .ok()
            .and_then(|it| it.checked_sub(1));
        place
            .and_then(|place| self.all.get(place))
            .map_or("", |word| word)
    }
}

impl<'o> Compiler<'o> {
    pub(crate) fn new(out: &'o mut dyn FnMut(&[u8]) -> Result<()>) -> Self {
        Self {
            out,
            hasher: Hasher::default(),
            at: 0,
            words: Words::default(),
            texts: Words::default(),
            records: Vec::new(),
        }
    }

    /// Writes the document that lists the files of a model.
    ///
    /// # Errors
    /// Whatever `out` fails with, here and elsewhere.
    pub(crate) fn list(&mut self, json: &[u8]) -> Result<ListingPlace> {
        let place = ListingPlace {
            at: self.at,
            length: json.len() as u64,
        };
        self.write(json)?;
        Ok(place)
    }

    /// Adds a version, in any order; one that was added before gives way to it.
    pub(crate) fn add(&mut self, row: &Row) -> Result<()> {
        let mut word = |word: &str| self.words.number(word);
        let (group, model) = (word(row.model.group())?, word(row.model.model())?);
        let (version, root) = (word(row.model.version())?, word(&row.root)?);
        let alias_of = row.alias_of.as_deref().map_or(Ok(0), word)?;
        let about = match row.about.json() {
            "{}" => 0,
            json => self.texts.number(json)?,
        };
        let (at, length) = row
            .place
            .map_or((UNKNOWN, 0), |place| (place.at, place.length));
        let known = |number: Option<u64>| number.unwrap_or(UNKNOWN);
        self.records.push(Record {
            words: [group, model, version, root, alias_of, about],
            numbers: [known(row.files), known(row.bytes), at, length],
            digest: row.digest,
        });
        Ok(())
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Removes the models whose names differ only in case from each other, or from others that are not offered; returns
    /// the names.
    pub(crate) fn remove_twins(&mut self, others: Vec<String>) -> Vec<String> {
        self.sort();
        let words = &self.words;
        // Only capitals, and letters beyond ASCII, could make two of them one.
        let may_meet = |byte: u8| !byte.is_ascii() || byte.is_ascii_uppercase();
        let mut texts = words
            .all
            .iter()
            .map(|word| &**word)
            .chain(others.iter().map(String::as_str));
        if !texts.any(|text| text.bytes().any(may_meet)) {
            return Vec::new();
        }
        let name = |record: &Record| {
            let [group, model, ..] = record.words;
            match words.word(group) {
                "" => words.word(model).to_owned(),
                group => format!("{group}/{}", words.word(model)),
            }
        };
        let mut names: Vec<String> = self.records.iter().map(name).collect();
        names.dedup();
        names.extend(others);
        let twins = twins(names.iter());
        let is_twin = |name: &String| !twins.is_empty() && twins.contains(&name.to_lowercase());
        self.records.retain(|record| !is_twin(&name(record)));
        names.retain(is_twin);
        names
    }

    /// Sorts the versions by name, and drops those that were added again.
    fn sort(&mut self) {
        let words = &self.words;
        let key = |record: &Record| {
            let [group, model, version, ..] = record.words;
            [group, model, version].map(|number| words.word(number))
        };
        let is_in_order = |pair: &[Record]| key(&pair[0]) < key(&pair[1]);
        if self.records.windows(2).all(is_in_order) {
            return;
        }
        self.records.sort_by(|one, other| key(one).cmp(&key(other)));
        self.records.dedup_by(|later, earlier| {
            let is_same = key(later) == key(earlier);
            if is_same {
                *earlier = *later;
            }
            is_same
        });
    }

    /// Writes everything that is left. `origin` says what was compiled, `files` how many files it lists, and `rest` what it
    /// has beside the models.
    pub(crate) fn finish<O: Serialize>(
        mut self,
        origin: O,
        files: usize,
        rest: &impl Serialize,
    ) -> Result<Head<O>> {
        self.sort();
        let lists = self.end_part(0);
        let (words, texts) = (
            std::mem::take(&mut self.words),
            std::mem::take(&mut self.texts),
        );
        let (words, texts) = (self.write_words(&words)?, self.write_words(&texts)?);
        let at = self.at;
        for records in std::mem::take(&mut self.records).chunks(1024) {
            let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
            self.write(&bytes)?;
        }
        let rows = self.end_part(at);
        let json = |error: serde_json::Error| Error::internal(error.to_string());
        let at = self.at;
        self.write(&serde_json::to_vec(rest).map_err(json)?)?;
        let rest = self.end_part(at);
        let head = Head {
            format: FORMAT,
            origin,
            models: usize::try_from(rows.length).unwrap_or_default() / ROW_BYTES,
            files,
            lists,
            words,
            texts,
            rows,
            rest,
        };
        let line = serde_json::to_string(&head).map_err(json)?;
        self.write(format!("\n{} {line}", Digest::of(line.as_bytes())).as_bytes())?;
        Ok(head)
    }

    fn write_words(&mut self, words: &Words) -> Result<Part> {
        let at = self.at;
        for words in words.all.chunks(1024) {
            let mut bytes = Vec::new();
            for word in words {
                let too_long = |_| Error::internal("a registry has a name that is too long");
                let length = u32::try_from(word.len()).map_err(too_long)?;
                bytes.extend(length.to_le_bytes());
                bytes.extend(word.as_bytes());
            }
            self.write(&bytes)?;
        }
        Ok(self.end_part(at))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        (self.out)(bytes)
    }

    /// Describes the part that began there, and begins the next.
    fn end_part(&mut self, at: u64) -> Part {
        Part {
            at,
            length: self.at - at,
            digest: std::mem::take(&mut self.hasher).finish(),
        }
    }
}

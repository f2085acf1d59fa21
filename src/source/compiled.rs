//! What a registry offers, compiled into a form that reads fast.
//!
//! A `models.json` of 100,000 versions takes a second to read, and a `models.toml` of 100,000 files half of one; who lists
//! or looks up models needs little of either. So one file, `models.index`, is written beside the registry as it was served.
//! It has these parts, one behind the other:
//!
//! | part | holds |
//! |---|---|
//! | lists | the documents that list the files of models, for registries that have them |
//! | words | each part of a name, version and folder once |
//! | texts | each JSON object that describes models once |
//! | rows | the models in the order of names, each in [`ROW_BYTES`] bytes: numbers of words and texts, counts, a digest |
//! | rest | a JSON document of what the kind of source needs beside the models |
//! | head | on the last line, a digest and JSON: what it was compiled of, and the length and digest of each other part |
//!
//! Numbers are little-endian; words and texts have their lengths in front. No part is believed before its digest is
//! verified, or that of the document that is read of it.

mod names;
mod write;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::{ListingPlace, RawMetadata};
use crate::digest::{Digest, Hasher};
use crate::error::{BoxError, Error, ErrorKind, IoContext, Result};
use crate::model::{ModelRef, Words};

pub(crate) use names::Known;
pub(crate) use write::Compiler;

/// Other versions of this crate may write another one.
const FORMAT: u32 = 2;
/// The largest head that is read.
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// Six numbers of words and texts, four larger ones, and a digest.
const ROW_BYTES: usize = 6 * 4 + 4 * 8 + 32;
/// Stands for a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// What was compiled, and how it lies in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head<O> {
    format: u32,
    /// What it was compiled of.
    #[serde(flatten)]
    pub(crate) origin: O,
    pub(crate) models: usize,
    /// How many files the registry lists.
    pub(crate) files: usize,
    lists: Part,
    words: Part,
    texts: Part,
    rows: Part,
    rest: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    at: u64,
    length: u64,
    digest: Digest,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) model: ModelRef,
    pub(crate) digest: Digest,
    /// The version that this one is an alias of.
    pub(crate) alias_of: Option<Arc<str>>,
    /// The folder in a repository or zip that its files are relative to.
    pub(crate) root: Arc<str>,
    /// How many files it has, where that is known.
    pub(crate) files: Option<u64>,
    /// `None` when a size is not stated.
    pub(crate) bytes: Option<u64>,
    /// Where its files are listed, if they are.
    pub(crate) place: Option<ListingPlace>,
    /// What the registry says of it beyond its files.
    pub(crate) about: RawMetadata,
}

/// Where a compiled registry is read from: a file, or memory.
pub(crate) trait Content: Read + Seek + Send {}

impl<T: Read + Seek + Send> Content for T {}

/// A compiled registry; `O` is what it was compiled of.
pub(crate) struct Compiled<O> {
    pub(crate) head: Head<O>,
    content: BufReader<Box<dyn Content>>,
    path: PathBuf,
}

impl<O: DeserializeOwned> Compiled<O> {
    /// Reads the head; `None` when there is none, or another version of this crate wrote it. `path` names it in errors.
    pub(crate) fn open(content: impl Content + 'static, path: &Path) -> Result<Option<Self>> {
        let mut content: Box<dyn Content> = Box::new(content);
        let mut read_end = || {
            let length = content.seek(SeekFrom::End(0))?;
            content.seek(SeekFrom::Start(length.saturating_sub(MAX_HEAD_BYTES)))?;
            let mut end = Vec::new();
            content.read_to_end(&mut end)?;
            io::Result::Ok(end)
        };
        let end = read_end().at("read", path)?;
        let line = end.rsplit(|byte| *byte == b'\n').next();
        let head: Option<Head<O>> = line.and_then(read_head);
        Ok(head.map(|head| Self {
            head,
            content: BufReader::with_capacity(64 << 10, content),
            path: path.to_owned(),
        }))
    }
}

impl<O> Compiled<O> {
    /// Whether all parts are as they were written.
    pub(crate) fn is_whole(&mut self) -> Result<bool> {
        let Head {
            lists,
            words,
            texts,
            rows,
            rest,
            ..
        } = self.head;
        for part in [lists, words, texts, rows, rest] {
            if !self.is_intact(part)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns all models, in the order of names.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedCache`], also by each row, when it is not as it was written; the storage errors.
    pub(crate) fn rows(&mut self) -> Result<Rows<'_>> {
        let words = self.words()?;
        let texts = self.texts()?;
        let rows = self.head.rows;
        if !self.is_intact(rows)? || rows.length != self.head.models as u64 * ROW_BYTES as u64 {
            return Err(self.damaged(None));
        }
        self.seek(rows.at)?;
        Ok(Rows {
            left: self.head.models,
            content: &mut self.content,
            path: &self.path,
            words: words.into(),
            texts,
            root: (0, Arc::default()),
        })
    }

    /// Reads what the registry has beside its models.
    ///
    /// # Errors
    /// Those of [`Compiled::rows`].
    pub(crate) fn rest<T: DeserializeOwned>(&mut self) -> Result<T> {
        let json = self.read_part(self.head.rest)?;
        serde_json::from_slice(&json).map_err(|error| self.damaged(Some(error.into())))
    }

    /// Reads the document that lists the files of a model, whose digest tells that the place is right.
    ///
    /// # Errors
    /// Those of [`Compiled::rows`].
    pub(crate) fn list(&mut self, place: &ListingPlace, digest: Digest) -> Result<Vec<u8>> {
        let json = self.read(place.at, place.length)?;
        match Digest::of(&json) == digest {
            true => Ok(json),
            false => Err(self.damaged(None)),
        }
    }

    /// The path that names it in errors.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn words(&mut self) -> Result<Words> {
        let bytes = self.read_part(self.head.words)?;
        let words = read_words(&bytes).and_then(|words| Words::of(words.into_iter()));
        words.ok_or_else(|| self.damaged(None))
    }

    fn texts(&mut self) -> Result<Vec<RawMetadata>> {
        let bytes = self.read_part(self.head.texts)?;
        let of_json = |text| RawMetadata::of_json(serde_json::from_str(text).ok()?);
        let texts = read_words(&bytes).and_then(|texts| texts.into_iter().map(of_json).collect());
        texts.ok_or_else(|| self.damaged(None))
    }

    fn read_part(&mut self, part: Part) -> Result<Vec<u8>> {
        let bytes = self.read(part.at, part.length)?;
        match Digest::of(&bytes) == part.digest {
            true => Ok(bytes),
            false => Err(self.damaged(None)),
        }
    }

    fn is_intact(&mut self, part: Part) -> Result<bool> {
        self.seek(part.at)?;
        let (mut hasher, mut left) = (Hasher::default(), part.length);
        while left > 0 {
            let piece = self.content.fill_buf().at("read", &self.path)?;
            let length = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if length == 0 {
                return Ok(false);
            }
            hasher.update(&piece[..length]);
            self.content.consume(length);
            left -= length as u64;
        }
        Ok(hasher.finish() == part.digest)
    }

    /// Reads so many bytes, fewer where the file ends before.
    fn read(&mut self, at: u64, length: u64) -> Result<Vec<u8>> {
        self.seek(at)?;
        let mut bytes = Vec::new();
        let read = (&mut self.content).take(length).read_to_end(&mut bytes);
        read.at("read", &self.path)?;
        Ok(bytes)
    }

    fn seek(&mut self, at: u64) -> Result<()> {
        let place = self.content.seek(SeekFrom::Start(at));
        place.at("read", &self.path).map(|_| ())
    }

    fn damaged(&self, source: Option<BoxError>) -> Error {
        damaged(&self.path, source)
    }
}

fn damaged(path: &Path, source: Option<BoxError>) -> Error {
    let path = path.to_owned();
    ErrorKind::DamagedCache { path, source }.into()
}

impl<O: fmt::Debug> fmt::Debug for Compiled<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Compiled");
        shown.field("head", &self.head).field("path", &self.path);
        shown.finish_non_exhaustive()
    }
}

/// The models of a compiled registry.
pub(crate) struct Rows<'c> {
    content: &'c mut BufReader<Box<dyn Content>>,
    path: &'c Path,
    words: Arc<Words>,
    texts: Vec<RawMetadata>,
    root: LastRoot,
    left: usize,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        self.left = self.left.checked_sub(1)?;
        let mut bytes = [0; ROW_BYTES];
        let read = self.content.read_exact(&mut bytes).at("read", self.path);
        let row = read.and_then(|()| {
            let texts = &self.texts;
            let about = |place: u32| texts.get(usize::try_from(place).ok()?).cloned();
            let row = Record::decode(&bytes).row(&self.words, &mut self.root, about);
            row.ok_or_else(|| damaged(self.path, None))
        });
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A row as it is in the file.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Group, model, version, root, alias; the last is a text.
    words: [u32; 6],
    /// Files and bytes; where the files are listed, and how long that list is.
    numbers: [u64; 4],
    digest: Digest,
}

/// The number of the last folder, and the folder: often, it is that of the next model, too.
type LastRoot = (u32, Arc<str>);

impl Record {
    /// Makes the row; `about` returns the text with a number. `None` when a number stands for nothing.
    fn row(
        &self,
        words: &Arc<Words>,
        last_root: &mut LastRoot,
        about: impl FnOnce(u32) -> Option<RawMetadata>,
    ) -> Option<Row> {
        // Zero stands for none.
        let word = |number: u32| number.checked_sub(1).filter(|place| words.has(*place));
        let [group, model, version, root, alias_of, text] = self.words;
        if last_root.0 != root {
            *last_root = (root, words.get(word(root)?).into());
        }
        let [files, bytes, at, length] = self.numbers;
        let known = |number| Some(number).filter(|number| *number != UNKNOWN);
        let name = [word(group)?, word(model)?, word(version)?];
        Some(Row {
            model: ModelRef::of_words(words.clone(), name),
            digest: self.digest,
            alias_of: word(alias_of).map(|place| words.get(place).into()),
            root: last_root.1.clone(),
            files: known(files),
            bytes: known(bytes),
            place: known(at).map(|at| ListingPlace { at, length }),
            about: match text.checked_sub(1) {
                Some(place) => about(place)?,
                None => RawMetadata::default(),
            },
        })
    }

    fn encode(&self) -> impl Iterator<Item = u8> {
        let words = self.words.into_iter().flat_map(u32::to_le_bytes);
        let numbers = self.numbers.into_iter().flat_map(u64::to_le_bytes);
        words.chain(numbers).chain(*self.digest.as_bytes())
    }

    fn decode(bytes: &[u8; ROW_BYTES]) -> Self {
        let (mut words, mut numbers, mut digest) = ([0; 6], [0; 4], [0; 32]);
        let (first, rest) = bytes.split_at(6 * 4);
        let (second, last) = rest.split_at(4 * 8);
        for (word, bytes) in words.iter_mut().zip(first.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        for (number, bytes) in numbers.iter_mut().zip(second.as_chunks().0) {
            *number = u64::from_le_bytes(*bytes);
        }
        digest.copy_from_slice(last);
        Self {
            words,
            numbers,
            digest: digest.into(),
        }
    }
}

/// Reads the last line, if it is what was written.
fn read_head<O: DeserializeOwned>(line: &[u8]) -> Option<Head<O>> {
    let (digest, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_intact = digest.parse() == Ok(Digest::of(json.as_bytes()));
    let head: Head<O> = serde_json::from_str(json).ok().filter(|_| is_intact)?;
    (head.format == FORMAT).then_some(head)
}

/// Reads words, or texts, as [`Compiler::finish`] writes them.
fn read_words(mut bytes: &[u8]) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    while !bytes.is_empty() {
        words.push(take_word(&mut bytes)?);
    }
    Some(words)
}

fn take_word<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (word, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(word).ok()
}

#[cfg(test)]
mod tests;

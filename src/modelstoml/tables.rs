//! Reads the tables that every reader knows, piece by piece.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem::size_of_val;

use serde::de::{Deserialize, DeserializeOwned};
use toml::de::{DeArray, DeString, DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::document::{Document, FileEntry};
use super::pieces::{Lines, Piece, Room, Text, entry_bytes, malformed, reason};
use crate::error::{Error, Result};
use crate::relpath::shown;
use crate::sorted::Gathered;

/// What the allocator adds to a short text or list of its own.
const ALLOCATION_BYTES: usize = 24;

/// The entries that cannot be read, and why.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) models: BTreeMap<String, String>,
    pub(super) examples: BTreeMap<String, String>,
}

/// A table that every reader knows.
#[derive(Debug, Clone, Copy)]
enum Known {
    Files,
    Models,
    Examples,
}

const KNOWN: [(&str, Known); 3] = [
    ("files", Known::Files),
    ("models", Known::Models),
    ("examples", Known::Examples),
];

/// Reads the tables that every reader knows, each entry by itself: one that cannot be read leaves the others be.
pub(super) struct Tables<'t> {
    /// Without the files.
    document: Document<'t>,
    files: Gathered<DeString<'t>, FileEntry>,
    pub(super) faults: Faults,
    pub(super) room: Room,
    /// The tables that had a header.
    headers: Vec<&'static str>,
    /// At the top, and in `[_meta]`.
    versions: [Option<Value>; 2],
    lines: Lines,
    location: &'t dyn Display,
}

impl<'t> Tables<'t> {
    /// `location` names the registry in errors.
    pub(super) fn new(location: &'t dyn Display) -> Self {
        Self {
            document: Document::default(),
            files: Gathered::default(),
            faults: Faults::default(),
            room: Room::default(),
            headers: Vec::new(),
            versions: [None, None],
            lines: Lines::default(),
            location,
        }
    }

    /// Takes what every reader knows of a piece, and returns what is left.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when a table is malformed, or there is too much.
    pub(super) fn take(&mut self, mut piece: Piece<'t>) -> Result<Option<Piece<'t>>> {
        let text = piece.text;
        let known = |name: &DeString<'_>| KNOWN.iter().find(|(known, _)| known == name);
        let Some(table) = piece.table.first() else {
            self.take_top(&mut piece)?;
            return Ok(Some(piece));
        };
        let Some((header, known)) = known(table) else {
            if table == "_meta" && piece.table.len() == 1 {
                let version = piece.values.get("schema_version").cloned();
                self.take_version(1, version, text)?;
            }
            return Ok(Some(piece));
        };
        if piece.has_header && piece.table.len() == 1 {
            if self.headers.contains(header) {
                return Err(duplicate(header, text, self.location));
            }
            self.headers.push(header);
        }
        match piece.table.len() {
            1 => self.entries(*known, piece.value(), text)?,
            2 => {
                let name = piece.table.swap_remove(1);
                self.entry(*known, name, piece.value(), text)?;
            }
            // A table in an entry, which has none.
            _ => {}
        }
        Ok(None)
    }

    /// Takes the keys in front of the first table.
    fn take_top(&mut self, piece: &mut Piece<'t>) -> Result<()> {
        let text = piece.text;
        for (name, known) in KNOWN {
            if let Some(entries) = piece.values.remove(name) {
                self.entries(known, entries, text)?;
            }
        }
        let texts = [
            ("root", &mut self.document.root),
            ("asset", &mut self.document.asset),
        ];
        for (name, place) in texts {
            if let Some(value) = piece.values.remove(name) {
                *place = Some(read(value, text, self.location)?);
            }
        }
        let meta = piece.values.get("_meta").map(Spanned::get_ref);
        let of_meta = meta.and_then(|meta| meta.get("schema_version")).cloned();
        self.take_version(1, of_meta, text)?;
        let version = piece.values.remove("schema_version");
        self.take_version(0, version, text)
    }

    fn take_version(
        &mut self,
        place: usize,
        value: Option<Spanned<DeValue<'t>>>,
        text: Text<'_>,
    ) -> Result<()> {
        if let Some(value) = value {
            self.versions[place] = Some(read(value, text, self.location)?);
        }
        Ok(())
    }

    fn entries(&mut self, known: Known, value: Spanned<DeValue<'t>>, text: Text<'_>) -> Result<()> {
        let entries = table(value, text, self.location)?;
        let mut entries = entries.into_iter();
        entries.try_for_each(|(name, value)| self.entry(known, name.into_inner(), value, text))
    }

    fn entry(
        &mut self,
        known: Known,
        name: DeString<'t>,
        value: Spanned<DeValue<'t>>,
        text: Text<'_>,
    ) -> Result<()> {
        let names = match known {
            Known::Files => return self.file(name, value, text),
            Known::Models | Known::Examples => names(value),
        };
        let names = names.map_err(|error| reason(&error, text, &mut self.lines));
        let (lists, faults) = match known {
            Known::Models => (&mut self.document.models, &mut self.faults.models),
            _ => (&mut self.document.examples, &mut self.faults.examples),
        };
        let is_known = lists.contains_key(&name) || faults.contains_key(&*name);
        if is_known {
            return Err(duplicate(&name, text, self.location));
        }
        match names {
            Ok(names) => {
                let bytes = names
                    .iter()
                    .map(|name| size_of_val(name) + owned_bytes(name));
                let bytes = bytes.sum::<usize>() + owned_bytes(&name);
                let entry = entry_bytes::<DeString<'_>, Vec<DeString<'_>>>() + ALLOCATION_BYTES;
                self.room.take(bytes + entry, self.location)?;
                lists.insert(name, names);
            }
            Err(fault) => {
                let bytes = entry_bytes::<String, String>() + name.len() + fault.capacity();
                self.room
                    .take(bytes + 2 * ALLOCATION_BYTES, self.location)?;
                faults.insert(name.into_owned(), fault);
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        name: DeString<'t>,
        value: Spanned<DeValue<'t>>,
        text: Text<'_>,
    ) -> Result<()> {
        let file = FileEntry::deserialize(ValueDeserializer::from(value));
        let file = file.unwrap_or_else(|error| FileEntry {
            fault: Some(reason(&error, text, &mut self.lines).into()),
            ..FileEntry::default()
        });
        let texts = [&file.url, &file.fault].into_iter().flatten();
        let texts = texts.map(|text| text.len() + ALLOCATION_BYTES);
        let bytes = texts.sum::<usize>() + owned_bytes(&name);
        let entry = entry_bytes::<DeString<'_>, FileEntry>();
        self.room.take(bytes + entry, self.location)?;
        match self.files.get_mut(&name) {
            None => self.files.add(name, file),
            Some(known) => {
                if !known.add(file) {
                    return Err(duplicate(&name, text, self.location));
                }
            }
        }
        Ok(())
    }

    /// Returns what the tables say, and the entries that cannot be read.
    pub(super) fn finish(self) -> (Document<'t>, Faults) {
        let document = Document {
            files: self.files.finish(),
            ..self.document
        };
        (document, self.faults)
    }

    /// What is wrong with the first entry that cannot be read, if there is one.
    #[cfg(feature = "author")]
    pub(super) fn fault(&self) -> Option<&str> {
        let of_files = self.files.values();
        let of_files = of_files.filter_map(|file| file.fault.as_deref());
        let Faults { models, examples } = &self.faults;
        let lists = models.values().chain(examples.values());
        let mut all = of_files.chain(lists.map(String::as_str));
        all.next()
    }

    /// Checks what concerns all entries.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when the major `schema_version` is unknown.
    pub(super) fn check_version(&self) -> Result<()> {
        let version = self.versions.iter().flatten().next();
        if version.is_some_and(|version| !is_known(version)) {
            let message = "the registry's schema_version is not supported; only version 1 is";
            return Err(Error::registry(self.location, message));
        }
        Ok(())
    }
}

/// The names in a list.
fn names<'t>(value: Spanned<DeValue<'t>>) -> Result<Vec<DeString<'t>>, toml::de::Error> {
    let is_text = |value: &Spanned<DeValue<'_>>| value.get_ref().is_str();
    let is_list = value
        .get_ref()
        .as_array()
        .is_some_and(|list| list.iter().all(is_text));
    match value.get_ref() {
        DeValue::Array(_) if is_list => {}
        _ => {
            let names = Vec::<String>::deserialize(ValueDeserializer::from(value))?;
            return Ok(names.into_iter().map(DeString::from).collect());
        }
    }
    let list = match value.into_inner() {
        DeValue::Array(list) => list,
        _ => DeArray::new(),
    };
    // Collected, the names would keep the room of the values, which is more.
    let mut names = Vec::with_capacity(list.len());
    names.extend(list.into_iter().map(|name| match name.into_inner() {
        DeValue::String(name) => name,
        _ => DeString::default(),
    }));
    Ok(names)
}

/// What a name takes beside the text of the registry.
fn owned_bytes(name: &DeString<'_>) -> usize {
    match name {
        DeString::Borrowed(_) => 0,
        DeString::Owned(name) => name.capacity(),
    }
}

/// Takes a value that has to be a table; `location` names the registry in errors.
pub(super) fn table<'t>(
    value: Spanned<DeValue<'t>>,
    text: Text<'_>,
    location: &dyn Display,
) -> Result<DeTable<'t>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(table),
        other => read::<Table>(Spanned::new(span, other), text, location).map(|_| DeTable::new()),
    }
}

/// Deserializes a value; `location` names the registry in errors.
pub(super) fn read<T: DeserializeOwned>(
    value: Spanned<DeValue<'_>>,
    text: Text<'_>,
    location: &dyn Display,
) -> Result<T> {
    T::deserialize(ValueDeserializer::from(value))
        .map_err(|error| malformed(&error, text, location))
}

pub(super) fn duplicate(name: &str, text: Text<'_>, location: &dyn Display) -> Error {
    let reason = format!(
        "line {} or below: duplicate key '{}'",
        text.line,
        shown(name)
    );
    Error::registry_from(location, "the registry is malformed", reason)
}

fn is_known(schema_version: &Value) -> bool {
    match schema_version {
        Value::String(text) => text.trim().split('.').next() == Some("1"),
        Value::Integer(number) => *number == 1,
        Value::Float(number) => (1.0..2.0).contains(number),
        _ => false,
    }
}

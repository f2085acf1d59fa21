//! Reading the registry of a project: an entry is typed as soon as the next one begins.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue, ValueDeserializer};

use super::document::Document;
use super::pieces::{Piece, Room, Text, each_piece, entry_bytes, map_bytes};
use super::project::{FileFacts, MAX_KEPT_BYTES, ModelEntry, ProjectRegistry, TargetEntry};
use super::tables::{Tables, duplicate, read, table};
use super::write::is_cut_short;
use crate::error::{Error, Result};
use crate::relpath::{RelPath, shown};

/// A table whose entries are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Models,
    Targets,
}

const KINDS: [(&str, Kind); 2] = [("entries", Kind::Models), ("targets", Kind::Targets)];

/// An entry that is being read.
#[derive(Default)]
struct Open<'t> {
    values: DeTable<'t>,
    /// The files of versions: there may be many, in any order.
    files: BTreeMap<String, BTreeMap<RelPath, FileFacts>>,
    /// What it takes until it is typed.
    bytes: usize,
}

struct Reader<'t> {
    tables: Tables<'t>,
    entries: BTreeMap<String, ModelEntry>,
    targets: BTreeMap<String, TargetEntry>,
    others: DeTable<'t>,
    open: BTreeMap<(Kind, String), Open<'t>>,
    /// Whether entries are open until the end, and not until the next one begins.
    is_patient: bool,
    /// Whether an entry goes on after another one began.
    is_scattered: bool,
    location: &'t dyn Display,
}

impl ProjectRegistry {
    /// Parses a registry; `location` names it in errors.
    pub(crate) fn parse(text: &str, location: &dyn Display) -> Result<Self> {
        let (mut registry, document) = read_project(text, location)?;
        if is_cut_short(text) {
            let message = "the end of the registry is missing";
            return Err(Error::registry(location, message));
        }
        let joined = registry.join(document);
        joined.map_err(|fault| Error::registry(location, fault))?;
        Ok(registry)
    }
}

/// Reads a registry and the tables that every reader knows, with names of the text; `location` names it in errors.
///
/// # Errors
/// [`Registry`](crate::error::ErrorKind::Registry) when it is malformed, or has more than can be kept.
fn read_project<'t>(
    text: &'t str,
    location: &'t dyn Display,
) -> Result<(ProjectRegistry, Document<'t>)> {
    let mut reader = Reader::new(location, false);
    each_piece(text, location, |piece| reader.take(piece))?;
    if reader.is_scattered {
        reader = Reader::new(location, true);
        each_piece(text, location, |piece| reader.take(piece))?;
    }
    reader.finish()
}

impl<'t> Reader<'t> {
    fn new(location: &'t dyn Display, is_patient: bool) -> Self {
        let mut tables = Tables::new(location);
        tables.room = Room::of(MAX_KEPT_BYTES);
        Self {
            tables,
            entries: BTreeMap::new(),
            targets: BTreeMap::new(),
            others: DeTable::new(),
            open: BTreeMap::new(),
            is_patient,
            is_scattered: false,
            location,
        }
    }

    fn take(&mut self, piece: Piece<'t>) -> Result<()> {
        let Some(mut piece) = self.tables.take(piece)? else {
            return Ok(());
        };
        let text = piece.text;
        let first = piece.table.first();
        let kind = first.and_then(|first| KINDS.iter().find(|(name, _)| name == first));
        match (kind, piece.table.len()) {
            (Some((_, kind)), 2..) => {
                let id = piece.table.drain(..2).next_back().unwrap_or_default();
                self.entry(*kind, id.into_owned(), piece)
            }
            (Some((_, kind)), 1) => self.entries(*kind, piece.value(), text),
            (None, 0) => {
                for (name, kind) in KINDS {
                    if let Some(entries) = piece.values.remove(name) {
                        self.entries(kind, entries, text)?;
                    }
                }
                self.other(piece)
            }
            _ => self.other(piece),
        }
    }

    /// Takes a piece of what other programs keep.
    fn other(&mut self, piece: Piece<'t>) -> Result<()> {
        let room = &mut self.tables.room;
        add(&mut self.others, piece, room, self.location).map(drop)
    }

    /// Takes entries that are values of keys.
    fn entries(&mut self, kind: Kind, entries: Spanned<DeValue<'t>>, text: Text<'t>) -> Result<()> {
        for (id, value) in table(entries, text, self.location)? {
            let piece = Piece {
                table: Vec::new(),
                is_element: false,
                has_header: true,
                values: table(value, text, self.location)?,
                text,
            };
            self.entry(kind, id.into_inner().into_owned(), piece)?;
        }
        Ok(())
    }

    /// Takes a piece of an entry, whose table is the one below the entry.
    fn entry(&mut self, kind: Kind, id: String, piece: Piece<'t>) -> Result<()> {
        let is_typed = match kind {
            Kind::Models => self.entries.contains_key(&id),
            Kind::Targets => self.targets.contains_key(&id),
        };
        if is_typed {
            self.is_scattered = true;
            return Ok(());
        }
        let key = (kind, id);
        if !self.is_patient && !self.open.contains_key(&key) {
            self.complete()?;
        }
        let (room, location) = (&mut self.tables.room, self.location);
        let (open, text) = (self.open.entry(key).or_default(), piece.text);
        let names: Vec<&str> = piece.table.iter().map(|name| &**name).collect();
        let place = match kind {
            Kind::Models if !piece.is_element => names.as_slice(),
            _ => &[],
        };
        if let ["versions", version, "files"] = place {
            let files = open.files.entry((*version).to_owned()).or_default();
            take_files(files, piece.values, text, room, location)?;
            let inserted = insert(&mut open.values, &piece.table[..2], false, DeTable::new());
            return inserted.map_err(|name| duplicate(&name, text, location));
        }
        open.bytes += add(&mut open.values, piece, room, location)?;
        Ok(())
    }

    /// Types the entries that are open.
    fn complete(&mut self) -> Result<()> {
        for ((kind, id), open) in std::mem::take(&mut self.open) {
            self.tables.room.give_back(open.bytes);
            let location = self.location;
            let bytes = match kind {
                Kind::Models => {
                    let mut entry: ModelEntry = value(&id, open.values, location)?;
                    for (version, files) in open.files {
                        if let Some(version) = entry.versions.get_mut(&version) {
                            version.files.extend(files);
                        }
                    }
                    let bytes = entry.kept_bytes();
                    self.entries.insert(id, entry);
                    bytes
                }
                Kind::Targets => {
                    let target: TargetEntry = value(&id, open.values, location)?;
                    let bytes = target.kept_bytes();
                    self.targets.insert(id, target);
                    bytes
                }
            };
            self.tables.room.take(bytes, location)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(ProjectRegistry, Document<'t>)> {
        self.complete()?;
        self.tables.check_version()?;
        if let Some(fault) = self.tables.fault() {
            let (message, fault) = ("the registry is malformed", fault.to_owned());
            return Err(Error::registry_from(self.location, message, fault));
        }
        let mut others = self.others;
        // Collected, a map has full nodes; those that were inserted in order are half full.
        let registry = ProjectRegistry {
            entries: self.entries.into_iter().collect(),
            targets: self.targets.into_iter().collect(),
            target_sets: take(&mut others, "target_sets", self.location)?,
            target_weights: take(&mut others, "target_weights", self.location)?,
            others: value("the registry", others, self.location)?,
            ..ProjectRegistry::default()
        };
        Ok((registry, self.tables.finish().0))
    }
}

/// Adds the files of a version.
fn take_files(
    files: &mut BTreeMap<RelPath, FileFacts>,
    values: DeTable<'_>,
    text: Text<'_>,
    room: &mut Room,
    location: &dyn Display,
) -> Result<()> {
    for (name, value) in values {
        let name = name.into_inner();
        let path =
            RelPath::parse(&name).map_err(|error| Error::registry(location, error.to_string()))?;
        let facts: FileFacts = read(value, text, location)?;
        room.take(entry_bytes::<RelPath, FileFacts>() + name.len(), location)?;
        if files.insert(path, facts).is_some() {
            return Err(duplicate(&name, text, location));
        }
    }
    Ok(())
}

/// Adds a piece to the table that it is below; returns about how many bytes it takes.
fn add<'t>(
    table: &mut DeTable<'t>,
    piece: Piece<'t>,
    room: &mut Room,
    location: &dyn Display,
) -> Result<usize> {
    let bytes = table_bytes(&piece.values, piece.table.len());
    room.take(bytes, location)?;
    let is_next = piece.is_element && piece.has_header;
    let inserted = insert(table, &piece.table, is_next, piece.values);
    inserted.map_err(|name| duplicate(&name, piece.text, location))?;
    Ok(bytes)
}

/// Adds values to the table of these names, to the last element where it is an array of them, or to the next one.
///
/// # Errors
/// A key that has a value already.
fn insert<'t>(
    table: &mut DeTable<'t>,
    names: &[DeString<'t>],
    is_next: bool,
    values: DeTable<'t>,
) -> Result<(), String> {
    let Some((name, below)) = names.split_first() else {
        return merge(table, values);
    };
    let taken = || name.clone().into_owned();
    let key = || Spanned::new(0..0, name.clone());
    if below.is_empty() && is_next {
        let list = || Spanned::new(0..0, DeValue::Array(DeArray::new()));
        let DeValue::Array(list) = table.entry(key()).or_insert_with(list).get_mut() else {
            return Err(taken());
        };
        list.push(Spanned::new(0..0, DeValue::Table(values)));
        return Ok(());
    }
    let none = || Spanned::new(0..0, DeValue::Table(DeTable::new()));
    let place = match table.entry(key()).or_insert_with(none).get_mut() {
        DeValue::Array(list) => list.iter_mut().next_back().map(Spanned::get_mut),
        place => Some(place),
    };
    match place {
        Some(DeValue::Table(place)) => insert(place, below, is_next, values),
        _ => Err(taken()),
    }
}

/// Adds what another piece has of the same table.
fn merge<'t>(table: &mut DeTable<'t>, values: DeTable<'t>) -> Result<(), String> {
    for (key, value) in values {
        let Some(known) = table.get_mut(&**key.get_ref()) else {
            table.insert(key, value);
            continue;
        };
        match (known.get_mut(), value.into_inner()) {
            (DeValue::Table(known), DeValue::Table(more)) => merge(known, more)?,
            _ => return Err(key.into_inner().into_owned()),
        }
    }
    Ok(())
}

/// Types an entry.
fn value<T: DeserializeOwned>(id: &str, values: DeTable<'_>, location: &dyn Display) -> Result<T> {
    let values = Spanned::new(0..0, DeValue::Table(values));
    T::deserialize(ValueDeserializer::from(values)).map_err(|error| {
        let reason = format!("{}: {}", shown(id), error.message().trim());
        Error::registry_from(location, "the registry is malformed", reason)
    })
}

/// Takes a table that others do not know.
fn take<T: DeserializeOwned + Default>(
    others: &mut DeTable<'_>,
    key: &str,
    location: &dyn Display,
) -> Result<T> {
    let none = Text { text: "", line: 1 };
    let values = others
        .remove(key)
        .map(|values| read(values, none, location));
    values.unwrap_or_else(|| Ok(T::default()))
}

/// About how many bytes a table takes until it is typed, below so many tables of its own.
fn table_bytes(table: &DeTable<'_>, above: usize) -> usize {
    const MAP_BYTES: usize = map_bytes::<Spanned<DeString<'_>>, Spanned<DeValue<'_>>>(1);
    fn bytes(value: &Spanned<DeValue<'_>>) -> usize {
        let below = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(bytes).sum(),
            DeValue::Table(table) => table_bytes(table, 0),
            _ => 0,
        };
        below + size_of::<Spanned<DeValue<'_>>>()
    }
    MAP_BYTES * (above + 1) + table.values().map(bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn read_all(text: &str) -> Result<ProjectRegistry> {
        read_project(text, &"here").map(|(registry, _)| registry)
    }

    const SIR: &str = "[entries.sir]\ncurrent = \"1\"\npath = \"sir.py\"\n";
    const OTHER: &str =
        "[entries.other]\ncurrent = \"1\"\npath = \"other.py\"\n[entries.other.versions.1]\n";

    #[test]
    fn an_entry_may_be_written_in_every_way() {
        let files = format!(
            "\"sir.py\" = {{ hash = \"{}\", size = 3 }}\n",
            "a".repeat(64)
        );
        let inline = files.trim();
        let together = read_all(&format!(
            "{SIR}own = 1\n[entries.sir.versions.1]\n[entries.sir.versions.1.files]\n{files}{OTHER}"
        ));
        let together = together.unwrap();
        assert_eq!(together.entries["sir"].versions["1"].files.len(), 1);
        for text in [
            format!("{SIR}own = 1\n{OTHER}[entries.sir.versions.1]\nfiles.{inline}\n"),
            format!("{SIR}own = 1\n{OTHER}[entries.sir.versions.1.files]\n{files}"),
            format!("{OTHER}[entries.sir.versions.1.files]\n{files}{SIR}own = 1\n"),
            format!(
                "[entries]\nsir = {{ current = \"1\", path = \"sir.py\", own = 1, versions = {{ 1 = {{ files = {{ {inline} }} }} }} }}\n{OTHER}"
            ),
            format!(
                "entries.sir = {{ current = \"1\", path = \"sir.py\", own = 1 }}\n{OTHER}[entries.sir.versions]\n1.files.{inline}\n"
            ),
        ] {
            assert_eq!(read_all(&text).unwrap(), together, "{text}");
        }
    }

    #[test]
    fn what_other_programs_keep_is_kept() {
        let text =
            "a = 1\n[x]\nb.c = 2\n[[x.list]]\nd = 3\n[x.list.e]\nf = 4\n[[x.list]]\nd = 5\n[y.z]\n";
        let whole: Table = text.parse().unwrap();
        assert_eq!(read_all(text).unwrap().others, whole);
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        for bad in [
            format!("{SIR}[entries.sir.versions.1]\n{OTHER}[entries.sir]\npath = \"x\"\n"),
            format!("[x]\na = 1\n{OTHER}[x]\na = 2\n"),
            "x = 1\n[x.y]\n".to_owned(),
            "[x]\n[[x]]\n".to_owned(),
            "[files]\na = {}\n[x]\n[files]\na = {}\n".to_owned(),
            "[models]\na = []\n[x]\n[models]\na = []\n".to_owned(),
        ] {
            let error = read_all(&bad).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for bad in [
            "entries = 1\n",
            "[entries]\na = 1\n",
            "[[entries]]\n",
            "[entries.a]\n",
            "[[entries.a]]\n",
            "targets = []\n",
            "target_sets = 1\n",
            "target_sets.a = 1\n",
            "files = 1\n",
            "[[files]]\n",
            "[files]\na = 1\n",
            "[models]\na = 1\n",
            "[examples.a]\n",
        ] {
            let error = read_all(bad).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
        }
    }

    #[test]
    fn millions_of_entries_are_refused() {
        let entry = |number: usize| format!("[x.e{number}.a.b]\n");
        let text: String = (0..MAX_KEPT_BYTES / 4 / 1144).map(entry).collect();
        let error = read_all(&text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("more entries than can be read"), "{error}");
    }
}

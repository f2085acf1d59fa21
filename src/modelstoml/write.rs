//! Writing a registry: the same registry as the same text, in an order that keeps its diffs readable.

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use toml::Value;

use super::document::{Document, FileEntry, LeftOut, MAX_REGISTRY_BYTES};
use super::metadata::toml_table;
use super::project::{Files, MAX_KEPT_BYTES, ModelEntry, ProjectRegistry, TargetEntry};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::relpath::RelPath;
use crate::size::sizes_apart;
use crate::time::rfc3339_micros;

/// The first line of a registry. One that has it but not [`END`] was cut short, wherever that was.
const HEAD: &str = "# A registry of models; without its last line, '# end', it was cut short.";
/// The last line of a registry.
const END: &str = "# end";

/// Whether a text is only the beginning of a registry that was written here.
pub(super) fn is_cut_short(text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let first = lines.next().unwrap_or_default();
    let is_part = !first.is_empty() && HEAD.starts_with(first);
    is_part && !lines.any(|line| line.trim_end() == END)
}

/// What is known of a text without keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextFacts {
    pub(crate) size_bytes: u64,
    pub(crate) digest: Digest,
}

/// Counts and hashes a text.
#[derive(Default)]
struct Measure {
    size_bytes: u64,
    hasher: Hasher,
}

impl Write for Measure {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.size_bytes += text.len() as u64;
        self.hasher.update(text.as_bytes());
        Ok(())
    }
}

/// Passes a text on in larger pieces.
struct Pieces<'o> {
    out: &'o mut dyn FnMut(&[u8]) -> Result<()>,
    held: String,
    failure: Result<()>,
}

impl Write for Pieces<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.held.push_str(text);
        if self.held.len() >= 64 << 10 {
            self.failure = (self.out)(self.held.as_bytes());
            self.held.clear();
        }
        self.failure.as_ref().map_err(|_| fmt::Error).copied()
    }
}

impl ProjectRegistry {
    /// Returns the size and the digest of the text.
    pub(crate) fn measure(&self) -> TextFacts {
        let mut facts = Measure::default();
        // Counting does not fail.
        let _ = self.write(&mut facts);
        TextFacts {
            size_bytes: facts.size_bytes,
            digest: facts.hasher.finish(),
        }
    }

    /// Writes the text piece by piece: that of a large registry need not be in memory.
    ///
    /// # Errors
    /// Whatever `out` fails with.
    pub(crate) fn write_to(&self, out: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut pieces = Pieces {
            out,
            held: String::new(),
            failure: Ok(()),
        };
        let _ = self.write(&mut pieces);
        pieces.failure?;
        (pieces.out)(pieces.held.as_bytes())
    }

    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let document = self.document();
        writeln!(out, "{HEAD}\nschema_version = \"1.0\"")?;
        // Keys of the top go before its tables.
        let (tables, keys): (Vec<_>, Vec<_>) = self.others.iter().partition(|(_, v)| v.is_table());
        write_values(out, keys)?;
        write_document(out, &document)?;
        for (id, entry) in &self.entries {
            write_entry(out, id, entry, &document)?;
        }
        for (id, target) in &self.targets {
            write_target(out, id, target)?;
        }
        if !self.target_sets.is_empty() {
            writeln!(out, "\n[target_sets]")?;
        }
        for (set, targets) in &self.target_sets {
            writeln!(out, "{} = {}", key_of(set), array(targets))?;
        }
        for (set, weights) in &self.target_weights {
            writeln!(out, "\n[target_weights.{}]", key_of(set))?;
            for (target, weight) in weights {
                writeln!(out, "{} = {}", key_of(target), toml::Value::Float(*weight))?;
            }
        }
        for (key, value) in tables {
            writeln!(out, "\n[{}]", key_of(key))?;
            write_values(out, value.as_table().into_iter().flatten())?;
        }
        writeln!(out, "\n{END}")
    }

    /// Checks the registry, and the size of its text in bytes, as consumers will; `source` is the name of the source that serves it,
    /// and `location` names the registry in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when nobody could read it.
    pub(crate) fn check(&self, bytes: u64, source: &str, location: &dyn Display) -> Result<()> {
        if bytes > MAX_REGISTRY_BYTES {
            let [bytes, most] = sizes_apart(bytes, MAX_REGISTRY_BYTES);
            let message = format!("the registry would have {bytes}; at most {most} are allowed");
            return Err(Error::registry(location, message));
        }
        if self.kept_bytes() > MAX_KEPT_BYTES {
            let message = "the registry would have more entries than can be read";
            return Err(Error::registry(location, message));
        }
        let document = self.document();
        document.check_asset(location)?;
        let refuse = |fault: LeftOut| Error::registry(location, format!("in [models], {fault}"));
        document.each_model(source, "main", |model| {
            let model = model.map_err(refuse)?;
            model.listing("").map_err(refuse)?;
            model.fault().map_or(Ok(()), |fault| Err(refuse(fault)))
        })
    }
}

fn write_document(out: &mut dyn Write, document: &Document<'_>) -> fmt::Result {
    write_text(out, "root", document.root.as_deref())?;
    write_text(out, "asset", document.asset.as_deref())?;
    writeln!(out, "\n[files]")?;
    for (name, file) in &document.files {
        writeln!(out, "{} = {}", quoted(name), inline(file))?;
    }
    let Document {
        models, examples, ..
    } = document;
    for (table, lists) in [("models", models), ("examples", examples)] {
        writeln!(out, "\n[{table}]")?;
        for (name, members) in lists {
            writeln!(out, "{} = [", quoted(name))?;
            for member in members {
                writeln!(out, "    {},", quoted(member))?;
            }
            writeln!(out, "]")?;
        }
    }
    Ok(())
}

fn inline(file: &FileEntry) -> String {
    let fields = [
        file.digest
            .map(|digest| format!("hash = \"sha256:{digest}\"")),
        file.size_bytes.map(|size| format!("size = {size}")),
        file.url
            .as_ref()
            .map(|url| format!("url = {}", quoted(url))),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    match fields.is_empty() {
        true => "{}".into(),
        false => format!("{{ {} }}", fields.join(", ")),
    }
}

fn write_entry(
    out: &mut dyn Write,
    id: &str,
    entry: &ModelEntry,
    document: &Document<'_>,
) -> fmt::Result {
    let id = key_of(id);
    writeln!(out, "\n[entries.{id}]")?;
    write_text(out, "name", Some(&entry.name))?;
    write_text(out, "description", Some(&entry.description))?;
    write_text(out, "type", entry.model_type.as_deref())?;
    write_text(out, "status", entry.status.as_deref())?;
    write_array(out, "tags", &entry.tags)?;
    write_text(out, "current", Some(&entry.current))?;
    write_text(out, "path", Some(&entry.path))?;
    write_text(out, "format", entry.format.as_deref())?;
    write_text(out, "entrypoint", entry.entrypoint.as_deref())?;
    write_array(out, "outputs", &entry.outputs)?;
    write_array(out, "data", entry.data.iter().map(RelPath::as_str))?;
    write_array(out, "code", entry.code.iter().map(RelPath::as_str))?;
    write_array(out, "given", &entry.given)?;
    write_values(out, &entry.others)?;
    for (name, version) in entry.history() {
        let table = format!("entries.{id}.versions.{}", key_of(name));
        writeln!(out, "\n[{table}]")?;
        write_state(out, version.registered_at, &version.digest)?;
        let metadata = toml_table(&version.metadata);
        if !metadata.is_empty() {
            writeln!(out, "[{table}.metadata]")?;
            write_values(out, &metadata)?;
        }
        let stated = (name == entry.current).then_some(document);
        write_files(out, &table, &version.files, stated)?;
    }
    Ok(())
}

fn write_target(out: &mut dyn Write, id: &str, target: &TargetEntry) -> fmt::Result {
    let table = format!("targets.{}", key_of(id));
    // Required keys are written even when they are empty.
    writeln!(out, "\n[{table}]\npath = {}", quoted(target.path.as_str()))?;
    writeln!(out, "entrypoint = {}", quoted(&target.entrypoint))?;
    writeln!(out, "model_output = {}", quoted(&target.model_output))?;
    write_array(out, "data", target.data.iter().map(RelPath::as_str))?;
    write_state(out, target.registered_at, &target.digest)?;
    write_values(out, &target.others)?;
    write_files(out, &table, &target.files, None)
}

fn write_state(out: &mut dyn Write, registered_at: SystemTime, digest: &Digest) -> fmt::Result {
    let time = rfc3339_micros(registered_at);
    writeln!(out, "registered_at = {time}\ndigest = \"sha256:{digest}\"")
}

/// Writes the files of a version or target, except for those that `[files]` states.
fn write_files(
    out: &mut dyn Write,
    table: &str,
    files: &Files,
    stated: Option<&Document<'_>>,
) -> fmt::Result {
    let mut is_first = true;
    for (path, facts) in files {
        let known = stated.and_then(|document| document.files.get(path.as_str()));
        if known.and_then(FileEntry::facts) == Some(*facts) {
            continue;
        }
        let own = FileEntry {
            digest: Some(facts.digest),
            size_bytes: Some(facts.size_bytes),
            ..FileEntry::default()
        };
        if std::mem::take(&mut is_first) {
            writeln!(out, "[{table}.files]")?;
        }
        writeln!(out, "{} = {}", quoted(path.as_str()), inline(&own))?;
    }
    Ok(())
}

/// Writes each value on one line.
fn write_values<'v>(
    out: &mut dyn Write,
    values: impl IntoIterator<Item = (&'v String, &'v Value)>,
) -> fmt::Result {
    for (key, value) in values {
        writeln!(out, "{} = {value}", key_of(key))?;
    }
    Ok(())
}

fn write_text(out: &mut dyn Write, key: &str, value: Option<&str>) -> fmt::Result {
    match value {
        None | Some("") => Ok(()),
        Some(value) => writeln!(out, "{key} = {}", quoted(value)),
    }
}

fn write_array<S: AsRef<str>>(
    out: &mut dyn Write,
    key: &str,
    values: impl IntoIterator<Item = S>,
) -> fmt::Result {
    match array(values).as_str() {
        "[]" => Ok(()),
        values => writeln!(out, "{key} = {values}"),
    }
}

fn array<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> String {
    let values = values.into_iter().map(|value| quoted(value.as_ref()));
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// A basic string. JSON writes them the same way, except for the one control character that it leaves as it is.
fn quoted(text: &str) -> String {
    let is_special = |c: char| c.is_control() || matches!(c, '"' | '\\');
    match text.contains(is_special) {
        false => format!("\"{text}\""),
        true => serde_json::Value::from(text)
            .to_string()
            .replace('\u{7f}', "\\u007f"),
    }
}

/// A key: bare where that is possible.
fn key_of(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => quoted(key),
    }
}

//! Writing a registry: the same registry as the same text, in an order that keeps its diffs readable.

use std::fmt::{Display, Write as _};

use toml::{Table, Value};

use super::document::{Document, FileEntry, MAX_REGISTRY_BYTES};
use super::project::{Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
use crate::error::{Error, Result};
use crate::relpath::RelPath;
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

impl ProjectRegistry {
    /// Returns the text of the registry.
    pub(crate) fn render(&self) -> String {
        let document = self.document();
        let mut text = format!("{HEAD}\nschema_version = \"1.0\"\n");
        // Keys of the top go before its tables.
        let (tables, keys): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|(_, value)| value.is_table());
        for (key, value) in keys {
            push(&mut text, format_args!("{} = {value}\n", key_of(key)));
        }
        push_document(&mut text, &document);
        for (id, entry) in &self.entries {
            push_entry(&mut text, id, entry, &document);
        }
        for (id, target) in &self.targets {
            push_target(&mut text, id, target);
        }
        if !self.target_sets.is_empty() {
            text.push_str("\n[target_sets]\n");
        }
        for (set, targets) in &self.target_sets {
            push(
                &mut text,
                format_args!("{} = {}\n", key_of(set), array(targets)),
            );
        }
        for (key, value) in tables {
            if let Value::Table(table) = value {
                push(&mut text, format_args!("\n[{}]\n", key_of(key)));
                push_values(&mut text, table);
            }
        }
        push(&mut text, format_args!("\n{END}\n"));
        text
    }

    /// Checks the registry, and the size of its text, as consumers will; `source` is the name of the source that serves it,
    /// and `location` names the registry in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when nobody could read it.
    pub(crate) fn check(&self, text: &str, source: &str, location: &dyn Display) -> Result<()> {
        if text.len() as u64 > MAX_REGISTRY_BYTES {
            let bytes = text.len();
            let message = format!(
                "the registry would have {bytes} bytes; at most {MAX_REGISTRY_BYTES} are allowed"
            );
            return Err(Error::registry(location, message));
        }
        let document = self.document();
        document.check_asset(location)?;
        document.each_model(source, "main", location, |model| {
            model.listing("", location).map(|_| ())
        })
    }
}

fn push_document(text: &mut String, document: &Document) {
    for (key, value) in [("root", &document.root), ("asset", &document.asset)] {
        push_text(text, key, value.as_deref().unwrap_or_default());
    }
    text.push_str("\n[files]\n");
    for (name, file) in &document.files {
        push(text, format_args!("{} = {}\n", quoted(name), inline(file)));
    }
    for (table, lists) in [
        ("models", &document.models),
        ("examples", &document.examples),
    ] {
        push(text, format_args!("\n[{table}]\n"));
        for (name, members) in lists {
            push(text, format_args!("{} = [\n", quoted(name)));
            for member in members {
                push(text, format_args!("    {},\n", quoted(member)));
            }
            text.push_str("]\n");
        }
    }
}

fn inline(file: &FileEntry) -> String {
    let hash = file
        .digest
        .map(|digest| format!("hash = \"sha256:{digest}\""));
    let size = file.size_bytes.map(|size| format!("size = {size}"));
    let url = file
        .url
        .as_ref()
        .map(|url| format!("url = {}", quoted(url)));
    let fields: Vec<String> = [hash, size, url].into_iter().flatten().collect();
    match fields.is_empty() {
        true => "{}".into(),
        false => format!("{{ {} }}", fields.join(", ")),
    }
}

fn push_entry(text: &mut String, id: &str, entry: &ModelEntry, document: &Document) {
    let id = key_of(id);
    let some = |field: &Option<String>| field.clone().unwrap_or_default();
    push(text, format_args!("\n[entries.{id}]\n"));
    push_text(text, "name", &entry.name);
    push_text(text, "description", &entry.description);
    push_text(text, "type", &some(&entry.model_type));
    push_array(text, "tags", &entry.tags);
    push_text(text, "current", &entry.current);
    push_text(text, "path", &entry.path);
    push_text(text, "format", &some(&entry.format));
    push_text(text, "entrypoint", &some(&entry.entrypoint));
    push_array(text, "outputs", &entry.outputs);
    push_array(text, "data", entry.data.iter().map(RelPath::as_str));
    push_array(text, "code", entry.code.iter().map(RelPath::as_str));
    push_array(text, "given", &entry.given);
    push_values(text, &entry.others);
    for (version, registered) in entry.history() {
        let table = format!("entries.{id}.versions.{}", key_of(version));
        let stated = (version == entry.current).then_some(document);
        push_version(text, &table, registered, stated);
    }
}

/// Writes a version, with the files that `[files]` does not state.
fn push_version(
    text: &mut String,
    table: &str,
    version: &RegisteredVersion,
    stated: Option<&Document>,
) {
    let RegisteredVersion {
        registered_at,
        digest,
        ..
    } = version;
    let time = rfc3339_micros(*registered_at);
    push(
        text,
        format_args!("\n[{table}]\nregistered_at = {time}\ndigest = \"sha256:{digest}\"\n"),
    );
    let metadata = version.metadata.iter();
    let metadata: Table = metadata
        .filter_map(|(key, value)| Some((key.clone(), of_json(value)?)))
        .collect();
    if !metadata.is_empty() {
        push(text, format_args!("[{table}.metadata]\n"));
        push_values(text, &metadata);
    }
    push_files(text, table, &version.files, stated);
}

fn push_target(text: &mut String, id: &str, target: &TargetEntry) {
    let table = format!("targets.{}", key_of(id));
    push(text, format_args!("\n[{table}]\n"));
    // Required keys are written even when they are empty.
    for (key, value) in [
        ("path", target.path.as_str()),
        ("entrypoint", &target.entrypoint),
        ("model_output", &target.model_output),
    ] {
        push(text, format_args!("{key} = {}\n", quoted(value)));
    }
    push_array(text, "data", target.data.iter().map(RelPath::as_str));
    let (time, digest) = (rfc3339_micros(target.registered_at), target.digest);
    push(
        text,
        format_args!("registered_at = {time}\ndigest = \"sha256:{digest}\"\n"),
    );
    push_values(text, &target.others);
    push_files(text, &table, &target.files, None);
}

fn push_files(text: &mut String, table: &str, files: &Files, stated: Option<&Document>) {
    let mut is_first = true;
    for (path, facts) in files {
        let own = FileEntry {
            digest: Some(facts.digest),
            size_bytes: Some(facts.size_bytes),
            url: None,
        };
        let known = stated.and_then(|document| document.files.get(path.as_str()));
        if known
            .is_some_and(|known| (known.digest, known.size_bytes) == (own.digest, own.size_bytes))
        {
            continue;
        }
        if std::mem::take(&mut is_first) {
            push(text, format_args!("[{table}.files]\n"));
        }
        push(
            text,
            format_args!("{} = {}\n", quoted(path.as_str()), inline(&own)),
        );
    }
}

/// Writes each value on one line.
fn push_values(text: &mut String, table: &Table) {
    for (key, value) in table {
        push(text, format_args!("{} = {value}\n", key_of(key)));
    }
}

fn push_text(text: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        push(text, format_args!("{key} = {}\n", quoted(value)));
    }
}

fn push_array<S: AsRef<str>>(text: &mut String, key: &str, values: impl IntoIterator<Item = S>) {
    let values = array(values);
    if values != "[]" {
        push(text, format_args!("{key} = {values}\n"));
    }
}

fn array<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> String {
    let values = values.into_iter().map(|value| quoted(value.as_ref()));
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn push(text: &mut String, piece: impl Display) {
    // Writing to a string does not fail.
    let _ = write!(text, "{piece}");
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

/// Converts a value to TOML, which has no `null` and no integers beyond 63 bits.
fn of_json(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is) => Value::Boolean(*is),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(values) => {
            Value::Array(values.iter().filter_map(of_json).collect())
        }
        serde_json::Value::Object(map) => {
            let values = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), of_json(value)?)));
            Value::Table(values.collect())
        }
    })
}

//! Writing the registry of a project: the same one as the same text, in an order that makes its differences readable.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use toml::Value;

use super::{FileFacts, MadeFile, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
use crate::relpath::RelPath;
use crate::time::rfc3339_micros;

/// The first line of a registry. One that has it and not [`END`] was cut short, wherever that was.
pub(super) const HEAD: &str =
    "# A registry of models; without its last line, '# end', it was cut short.";
/// The last line of a registry.
pub(super) const END: &str = "# end";

/// What a registry that readers know of consists of.
#[derive(Debug)]
pub(crate) struct Tables<'a> {
    pub(crate) root: &'a str,
    pub(crate) asset: Option<&'a str>,
    pub(crate) files: BTreeMap<&'a str, MadeFile>,
    pub(crate) models: BTreeMap<&'a str, Vec<&'a str>>,
    pub(crate) examples: BTreeMap<&'a str, Vec<&'a str>>,
}

impl Tables<'_> {
    /// Writes them down.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from("schema_version = \"1.0\"\n");
        let root = Some(self.root).filter(|root| !root.is_empty());
        for (key, value) in [("root", root), ("asset", self.asset)] {
            push_text(&mut text, key, value.unwrap_or_default());
        }
        text.push_str("\n[files]\n");
        for (name, file) in &self.files {
            push(
                &mut text,
                format_args!("{} = {}\n", quoted(name), stated(file)),
            );
        }
        text.push_str("\n[models]\n");
        for (model, files) in &self.models {
            push_list(&mut text, model, files);
        }
        text.push_str("\n[examples]\n");
        for (example, models) in &self.examples {
            push_list(&mut text, example, models);
        }
        text
    }
}

fn stated(file: &MadeFile) -> String {
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

impl ProjectRegistry {
    /// Writes it down.
    pub(crate) fn render(&self) -> String {
        let made = self.made.models.iter();
        let mut models: BTreeMap<&str, Vec<&str>> = made
            .map(|(model, files)| (model.as_str(), borrowed(files)))
            .collect();
        for (id, entry) in &self.entries {
            let files = entry.current().into_iter().flat_map(|v| v.files.keys());
            models.insert(id, files.map(RelPath::as_str).collect());
        }
        let examples = self.made.examples.iter();
        let served = Tables {
            root: &self.root,
            asset: self.made.asset.as_deref(),
            files: self.files(),
            models,
            examples: examples
                .map(|(name, of)| (name.as_str(), borrowed(of)))
                .collect(),
        };
        let mut text = served.render();
        // Keys of the top before its tables.
        let (tables, keys): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|(_, value)| value.is_table());
        let mut front = String::new();
        for (key, value) in keys {
            push(&mut front, format_args!("{} = {value}\n", key_of(key)));
        }
        text.insert_str(text.find('\n').map_or(0, |at| at + 1), &front);
        text.insert_str(0, &format!("{HEAD}\n"));
        for (id, entry) in &self.entries {
            push_entry(&mut text, id, entry, &served.files);
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
            text.push('\n');
            push_table(&mut text, &key_of(key), value);
        }
        push(&mut text, format_args!("\n{END}\n"));
        text
    }
}

fn push_entry(text: &mut String, id: &str, entry: &ModelEntry, files: &BTreeMap<&str, MadeFile>) {
    let id = key_of(id);
    push(text, format_args!("\n[entries.{id}]\n"));
    push_text(text, "name", &entry.name);
    push_text(text, "description", &entry.description);
    push_text(
        text,
        "type",
        entry.model_type.as_deref().unwrap_or_default(),
    );
    push_array(text, "tags", &entry.tags);
    push_text(text, "current", &entry.current);
    push_text(text, "path", &entry.path);
    push_text(text, "format", entry.format.as_deref().unwrap_or_default());
    push_text(
        text,
        "entrypoint",
        entry.entrypoint.as_deref().unwrap_or_default(),
    );
    push_array(text, "outputs", &entry.outputs);
    push_array(text, "data", entry.data.iter().map(RelPath::as_str));
    push_array(text, "code", entry.code.iter().map(RelPath::as_str));
    push_array(text, "given", &entry.given);
    push_others(text, &entry.others);
    for (version, registered) in entry.history() {
        let is_stated = |(path, facts): (&RelPath, &FileFacts)| {
            version == entry.current
                && files
                    .get(path.as_str())
                    .is_some_and(|file| says(file, facts))
        };
        let own = registered.files.iter().filter(|file| !is_stated(*file));
        push_version(
            text,
            &format!("entries.{id}.versions.{}", key_of(version)),
            registered,
            own,
        );
    }
}

fn says(file: &MadeFile, facts: &FileFacts) -> bool {
    file.digest == Some(facts.digest) && file.size_bytes == Some(facts.size_bytes)
}

fn push_version<'a>(
    text: &mut String,
    table: &str,
    version: &RegisteredVersion,
    files: impl Iterator<Item = (&'a RelPath, &'a FileFacts)>,
) {
    push(text, format_args!("\n[{table}]\n"));
    push(
        text,
        format_args!(
            "registered_at = {}\n",
            rfc3339_micros(version.registered_at)
        ),
    );
    push(
        text,
        format_args!("digest = \"sha256:{}\"\n", version.digest),
    );
    let metadata: toml::Table = version
        .metadata
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), of_json(value)?)))
        .collect();
    if !metadata.is_empty() {
        push_table(text, &format!("{table}.metadata"), &Value::Table(metadata));
    }
    push_files(text, table, files);
}

fn push_target(text: &mut String, id: &str, target: &TargetEntry) {
    let table = format!("targets.{}", key_of(id));
    push(text, format_args!("\n[{table}]\n"));
    // Those of which none may be missing.
    for (key, value) in [
        ("path", target.path.as_str()),
        ("entrypoint", &target.entrypoint),
        ("model_output", &target.model_output),
    ] {
        push(text, format_args!("{key} = {}\n", quoted(value)));
    }
    push_array(text, "data", target.data.iter().map(RelPath::as_str));
    push(
        text,
        format_args!("registered_at = {}\n", rfc3339_micros(target.registered_at)),
    );
    push(
        text,
        format_args!("digest = \"sha256:{}\"\n", target.digest),
    );
    push_others(text, &target.others);
    push_files(text, &table, target.files.iter());
}

fn push_files<'a>(
    text: &mut String,
    table: &str,
    files: impl Iterator<Item = (&'a RelPath, &'a FileFacts)>,
) {
    let mut files = files.peekable();
    if files.peek().is_some() {
        push(text, format_args!("[{table}.files]\n"));
    }
    for (path, facts) in files {
        let FileFacts { digest, size_bytes } = facts;
        let path = quoted(path.as_str());
        push(
            text,
            format_args!("{path} = {{ hash = \"sha256:{digest}\", size = {size_bytes} }}\n"),
        );
    }
}

/// Writes a value of another program; a table with those below it on lines of their own.
fn push_table(text: &mut String, name: &str, value: &Value) {
    let Value::Table(table) = value else {
        return;
    };
    push(text, format_args!("[{name}]\n"));
    for (key, value) in table {
        push(text, format_args!("{} = {value}\n", key_of(key)));
    }
}

/// Writes what is not known here, each on one line.
fn push_others(text: &mut String, others: &toml::Table) {
    for (key, value) in others {
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
    let values: Vec<String> = values
        .into_iter()
        .map(|value| quoted(value.as_ref()))
        .collect();
    format!("[{}]", values.join(", "))
}

fn push_list(text: &mut String, name: &str, members: &[&str]) {
    push(text, format_args!("{} = [\n", quoted(name)));
    for member in members {
        push(text, format_args!("    {},\n", quoted(member)));
    }
    text.push_str("]\n");
}

fn push(text: &mut String, piece: impl Display) {
    // A string takes everything.
    let _ = write!(text, "{piece}");
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A basic string. JSON writes them the same way, but for the one control character that it leaves as it is.
fn quoted(text: &str) -> String {
    if text
        .chars()
        .all(|c| !c.is_control() && !matches!(c, '"' | '\\'))
    {
        return format!("\"{text}\"");
    }
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

/// A key: bare where that is possible.
fn key_of(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => quoted(key),
    }
}

/// What TOML has for a value; it has nothing for `null`, and no integers beyond 63 bits.
fn of_json(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is) => Value::Boolean(*is),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return None,
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(values) => {
            Value::Array(values.iter().filter_map(of_json).collect())
        }
        serde_json::Value::Object(map) => Value::Table(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), of_json(value)?)))
                .collect(),
        ),
    })
}

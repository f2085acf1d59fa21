//! The TOML of a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use toml::Spanned;

use super::locked::{LockedFile, LockedModel, total_bytes};
use crate::archive::ArchiveFormat;
use crate::catalog::{Pin, PinState};
use crate::digest::{Digest, GitBlobId};
use crate::model::{ModelRef, check_version};
use crate::relpath::{RelPath, check_distinct, shown};

#[derive(Deserialize)]
pub(super) struct LockWire {
    #[serde(default)]
    pub(super) models: BTreeMap<String, Spanned<ModelWire>>,
}

#[derive(Deserialize)]
pub(super) struct ModelWire {
    source: String,
    kind: String,
    location: String,
    alias_of: Option<String>,
    #[serde(deserialize_with = "sha256")]
    manifest: Digest,
    #[serde(rename = "type")]
    model_type: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    size: Option<u64>,
    pin: Option<Pin>,
    files: Vec<FileWire>,
}

#[derive(Deserialize)]
struct FileWire {
    #[serde(deserialize_with = "rel_path")]
    path: RelPath,
    size: Option<u64>,
    #[serde(default, deserialize_with = "some_sha256")]
    sha256: Option<Digest>,
    #[serde(default, deserialize_with = "some_git_blob")]
    git_blob: Option<GitBlobId>,
    archive: Option<ArchiveFormat>,
}

/// Reads a path, so that the parser knows the line of one that is none.
fn rel_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RelPath, D::Error> {
    let text = String::deserialize(deserializer)?;
    RelPath::parse(&text).map_err(|error| {
        let (path, reason) = (shown(&text), error.reason());
        D::Error::custom(format!("the path '{path}' {reason}"))
    })
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| bad_digest(&text, 64))
}

fn some_sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    sha256(deserializer).map(Some)
}

fn some_git_blob<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<GitBlobId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| bad_digest(&text, 40))
}

fn bad_digest<E: serde::de::Error>(text: &str, digits: usize) -> E {
    let text = text.escape_debug();
    E::custom(format!(
        "the digest '{text}' does not have {digits} hexadecimal digits"
    ))
}

impl ModelWire {
    /// Reads what a table says of a model; what is wrong with it is the rest of a sentence.
    pub(super) fn read(self, model: ModelRef) -> Result<LockedModel, String> {
        if let Some(pin) = &self.pin {
            check_pin(pin)?;
        }
        let mut paths = BTreeSet::new();
        if let Some(file) = self.files.iter().find(|file| !paths.insert(&file.path)) {
            return Err(format!("the file '{}' is listed twice", file.path));
        }
        check_distinct(self.files.iter().map(|file| &file.path))
            .map_err(|error| error.to_string())?;
        let file = |wire: FileWire| LockedFile {
            path: wire.path,
            size_bytes: wire.size,
            sha256: wire.sha256,
            git_blob: wire.git_blob,
            archive: wire.archive,
        };
        let mut files: Vec<_> = self.files.into_iter().map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        if self.size != total_bytes(&files) {
            return Err("the sizes of the files do not add up to the size of the model".into());
        }
        Ok(LockedModel {
            model,
            source: self.source,
            kind: self.kind,
            location: self.location,
            manifest_digest: self.manifest,
            alias_of: self.alias_of,
            model_type: self.model_type,
            tags: self.tags,
            total_bytes: self.size,
            files,
            pin: self.pin,
        })
    }
}

/// Refuses a place outside its repository: requests are made from it.
fn check_pin(pin: &Pin) -> Result<(), String> {
    let check_path = |path: &str| RelPath::parse(path).map_err(|error| error.to_string());
    check_path(&pin.repo)?;
    if !pin.root.is_empty() {
        check_path(&pin.root)?;
    }
    match &pin.state {
        PinState::Commit(commit) => check_version(commit).map_err(|error| error.to_string()),
        PinState::Release { tag, asset } => {
            check_version(tag).map_err(|error| error.to_string())?;
            match asset.contains('/') {
                true => Err(format!("the asset '{}' has a slash", asset.escape_debug())),
                false => check_path(asset).map(drop),
            }
        }
    }
}

/// Writes the table of a model.
pub(super) fn write(model: &LockedModel, text: &mut String) {
    let name = quoted(&model.model.to_string());
    let _ = writeln!(text, "\n[models.{name}]");
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("source", quoted(&model.source));
    line("kind", quoted(&model.kind));
    line("location", quoted(&model.location));
    if let Some(alias_of) = &model.alias_of {
        line("alias_of", quoted(alias_of));
    }
    line("manifest", quoted(&model.manifest_digest.to_string()));
    if let Some(pin) = &model.pin {
        // What a pin has is no secret of this module: whatever is recorded of an installed model is locked, too.
        line(
            "pin",
            inline(&serde_json::to_value(pin).unwrap_or_default()),
        );
    }
    if let Some(model_type) = &model.model_type {
        line("type", quoted(model_type));
    }
    if !model.tags.is_empty() {
        line("tags", inline(&Value::from(model.tags.clone())));
    }
    if let Some(size) = model.total_bytes {
        line("size", size.to_string());
    }
    text.push_str("files = [\n");
    for file in &model.files {
        let _ = writeln!(text, "  {},", inline_file(file));
    }
    text.push_str("]\n");
}

fn inline_file(file: &LockedFile) -> String {
    let mut fields = vec![format!("path = {}", quoted(file.path.as_str()))];
    fields.extend(file.size_bytes.map(|size| format!("size = {size}")));
    fields.extend(file.sha256.map(|digest| format!("sha256 = \"{digest}\"")));
    fields.extend(file.git_blob.map(|id| format!("git_blob = \"{id}\"")));
    fields.extend(file.archive.map(|it| format!("archive = \"{it}\"")));
    format!("{{ {} }}", fields.join(", "))
}

/// Writes a value in one line.
fn inline(value: &Value) -> String {
    let list =
        |items: Vec<String>, [open, close]: [&str; 2]| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{key} = {}", inline(value));
            list(fields.iter().map(field).collect(), ["{ ", " }"])
        }
        Value::Array(items) => list(items.iter().map(inline).collect(), ["[", "]"]),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Writes a basic string. JSON writes them the same way, except for the one control character that it leaves as it is.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

/// Returns the number of the line that a byte is on.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Returns what the parser says, with the line and the table that it is in.
pub(super) fn reason(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let Some(span) = error.span() else {
        return message;
    };
    let line = line_of(text, span.start);
    let is_header = |line: &&str| line.trim_start().starts_with("[models.");
    let header = text.lines().take(line).filter(is_header).last();
    match header {
        Some(header) => format!("line {line}, in {}: {message}", header.trim()),
        None => format!("line {line}: {message}"),
    }
}

/// Finds the first line by which a tool for version control marks what it could not merge; returns its number and the marker.
pub(super) fn merge_marker(text: &str) -> Option<(usize, &str)> {
    let markers = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
    let marker = |line: &str| {
        let found = line.get(..7).filter(|start| markers.contains(start))?;
        let rest = &line[found.len()..];
        (rest.is_empty() || rest.starts_with([' ', '\r'])).then_some(found.len())
    };
    let mut lines = text.lines().zip(1..);
    lines.find_map(|(line, number)| Some((number, &line[..marker(line)?])))
}

//! What a project has registered, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::error::chain;
use crate::project::{
    AddReport, Difference, FailedPath, Files, ImportReport, ItemChange, ItemKind, ModelEntry,
    ProjectRegistry, RegisteredItem, RegisteredVersion, ResyncReport, Severity, StatusReport,
    TargetEntry, WrittenReport,
};
use crate::time::rfc3339;
use crate::{Digest, Metadata, RelPath};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Added<'a> {
    registry: String,
    processed: usize,
    registered: Vec<Item<'a>>,
    unchanged: &'a [String],
    failed: Vec<Failed<'a>>,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    kind: &'static str,
    id: &'a str,
    version: Option<&'a str>,
    previous: Option<&'a str>,
    new: bool,
    files: usize,
    total_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Failed<'a> {
    path: &'a str,
    code: &'static str,
    message: String,
}

impl<'a> From<&'a FailedPath> for Failed<'a> {
    fn from(failed: &'a FailedPath) -> Self {
        Self {
            path: &failed.path,
            code: failed.error.code(),
            message: chain(&failed.error),
        }
    }
}

impl<'a> From<&'a RegisteredItem> for Item<'a> {
    fn from(item: &'a RegisteredItem) -> Self {
        Self {
            kind: item.kind.as_str(),
            id: &item.id,
            version: item.version.as_deref(),
            previous: item.previous.as_deref(),
            new: item.is_new,
            files: item.files,
            total_bytes: item.total_bytes,
        }
    }
}

impl<'a> Added<'a> {
    pub(in crate::cli) fn new(report: &'a AddReport, registry: &Path) -> Self {
        Self {
            registry: registry.display().to_string(),
            processed: report.processed,
            registered: report.registered.iter().map(Into::into).collect(),
            unchanged: &report.unchanged,
            failed: report.failed.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Taken<'a> {
    registry: String,
    dry_run: bool,
    processed: usize,
    registered: Vec<Item<'a>>,
    unchanged: &'a [String],
    failed: Vec<Failed<'a>>,
    target_sets: &'a [String],
    notes: Vec<Note<'a>>,
}

#[derive(Debug, Serialize)]
struct Note<'a> {
    entity: Option<Named<'a>>,
    message: &'a str,
}

impl<'a> Taken<'a> {
    pub(in crate::cli) fn new(report: &'a ImportReport, registry: &Path, dry_run: bool) -> Self {
        let notes = report.notes.iter().map(|note| Note {
            entity: note.entity.as_ref().map(|(kind, id)| Named {
                kind: kind.as_str(),
                id,
            }),
            message: &note.message,
        });
        Self {
            registry: registry.display().to_string(),
            dry_run,
            processed: report.processed,
            registered: report.registered.iter().map(Into::into).collect(),
            unchanged: &report.unchanged,
            failed: report.failed.iter().map(Into::into).collect(),
            target_sets: &report.target_sets,
            notes: notes.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Reported {
    path: String,
    models: usize,
    targets: usize,
    files: usize,
    removed: Vec<String>,
}

impl From<&WrittenReport> for Reported {
    fn from(report: &WrittenReport) -> Self {
        let removed = report.removed.iter();
        Self {
            path: report.path.display().to_string(),
            models: report.models,
            targets: report.targets,
            files: report.files,
            removed: removed.map(|path| path.display().to_string()).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Removed<'a> {
    removed: Vec<Named<'a>>,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    kind: &'static str,
    id: &'a str,
}

impl<'a> Removed<'a> {
    pub(in crate::cli) fn new(removed: &'a [(ItemKind, String)]) -> Self {
        let named = removed.iter().map(|(kind, id)| Named {
            kind: kind.as_str(),
            id,
        });
        Self {
            removed: named.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Registered<'a> {
    models: Vec<Model<'a>>,
    targets: Vec<Target<'a>>,
    target_sets: &'a BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Found<'a> {
    models: Vec<Model<'a>>,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    version: &'a str,
    #[serde(rename = "type")]
    model_type: Option<&'a str>,
    tags: &'a BTreeSet<String>,
    path: &'a str,
    format: Option<&'a str>,
    entrypoint: Option<&'a str>,
    outputs: &'a [String],
    data: Vec<&'a str>,
    code: Vec<&'a str>,
    files: usize,
    total_bytes: u64,
    registered_at: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    id: &'a str,
    path: &'a str,
    entrypoint: &'a str,
    model_output: &'a str,
    data: Vec<&'a str>,
    registered_at: String,
    digest: Digest,
}

impl<'a> Model<'a> {
    fn new(id: &'a str, entry: &'a ModelEntry) -> Self {
        let current = entry.current();
        Self {
            id,
            name: &entry.name,
            description: &entry.description,
            version: &entry.current,
            model_type: entry.model_type.as_deref(),
            tags: &entry.tags,
            path: &entry.path,
            format: entry.format.as_deref(),
            entrypoint: entry.entrypoint.as_deref(),
            outputs: &entry.outputs,
            data: paths(&entry.data),
            code: paths(&entry.code),
            files: current.map_or(0, |version| version.files.len()),
            total_bytes: current.map_or(0, RegisteredVersion::total_bytes),
            registered_at: current.map(|version| rfc3339(version.registered_at)),
            digest: current.map(|version| version.digest),
        }
    }
}

impl<'a> Target<'a> {
    fn new(id: &'a str, target: &'a TargetEntry) -> Self {
        Self {
            id,
            path: target.path.as_str(),
            entrypoint: &target.entrypoint,
            model_output: &target.model_output,
            data: paths(&target.data),
            registered_at: rfc3339(target.registered_at),
            digest: target.digest,
        }
    }
}

impl<'a> Registered<'a> {
    pub(in crate::cli) fn new(
        models: &[(&'a str, &'a ModelEntry)],
        registry: &'a ProjectRegistry,
    ) -> Self {
        let targets = registry.targets.iter();
        Self {
            models: models
                .iter()
                .map(|(id, entry)| Model::new(id, entry))
                .collect(),
            targets: targets
                .map(|(id, target)| Target::new(id, target))
                .collect(),
            target_sets: &registry.target_sets,
        }
    }
}

impl<'a> Found<'a> {
    pub(in crate::cli) fn new(models: &[(&'a str, &'a ModelEntry)]) -> Self {
        Self {
            models: models
                .iter()
                .map(|(id, entry)| Model::new(id, entry))
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct ModelDetail<'a> {
    #[serde(flatten)]
    model: Model<'a>,
    kind: &'static str,
    metadata: Option<&'a Metadata>,
    contents: Vec<File<'a>>,
    versions: Vec<Version<'a>>,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct TargetDetail<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    kind: &'static str,
    contents: Vec<File<'a>>,
}

#[derive(Debug, Serialize)]
struct File<'a> {
    path: &'a str,
    size: u64,
    sha256: Digest,
}

#[derive(Debug, Serialize)]
struct Version<'a> {
    version: &'a str,
    registered_at: String,
    digest: Digest,
    files: usize,
}

impl<'a> ModelDetail<'a> {
    pub(in crate::cli) fn new(id: &'a str, entry: &'a ModelEntry) -> Self {
        let current = entry.current();
        let versions = entry.history().into_iter().map(|(version, of)| Version {
            version,
            registered_at: rfc3339(of.registered_at),
            digest: of.digest,
            files: of.files.len(),
        });
        Self {
            model: Model::new(id, entry),
            kind: ItemKind::Model.as_str(),
            metadata: current.map(|version| &version.metadata),
            contents: current.map_or(Vec::new(), |version| contents(&version.files)),
            versions: versions.collect(),
        }
    }
}

impl<'a> TargetDetail<'a> {
    pub(in crate::cli) fn new(id: &'a str, target: &'a TargetEntry) -> Self {
        Self {
            target: Target::new(id, target),
            kind: ItemKind::Target.as_str(),
            contents: contents(&target.files),
        }
    }
}

fn contents(files: &Files) -> Vec<File<'_>> {
    let files = files.iter().map(|(path, facts)| File {
        path: path.as_str(),
        size: facts.size_bytes,
        sha256: facts.digest,
    });
    files.collect()
}

fn paths(paths: &[RelPath]) -> Vec<&str> {
    paths.iter().map(RelPath::as_str).collect()
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Status<'a> {
    models: usize,
    targets: usize,
    files: usize,
    files_hashed: usize,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding<'a>>,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    severity: &'static str,
    category: &'static str,
    entity: Option<Named<'a>>,
    message: &'a str,
    suggestion: Option<String>,
}

impl<'a> Status<'a> {
    /// `quote` puts the command into suggestions as it was typed.
    pub(in crate::cli) fn new(report: &'a StatusReport, quote: impl Fn(&str) -> String) -> Self {
        let findings = report.findings.iter().map(|finding| Finding {
            severity: finding.severity.as_str(),
            category: finding.category.as_str(),
            entity: finding.entity.as_ref().map(|(kind, id)| Named {
                kind: kind.as_str(),
                id,
            }),
            message: &finding.message,
            suggestion: finding.suggestion.as_deref().map(&quote),
        });
        Self {
            models: report.models,
            targets: report.targets,
            files: report.files,
            files_hashed: report.files_hashed,
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
            findings: findings.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Resynced<'a> {
    dry_run: bool,
    applied: bool,
    needs_force: bool,
    changed: Vec<Change<'a>>,
    dropped: Vec<Dropped<'a>>,
    unchanged: usize,
    failed: Vec<Failed<'a>>,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    kind: &'static str,
    id: &'a str,
    fields: Vec<Field<'a>>,
    files_changed: Vec<&'a str>,
    files_added: Vec<&'a str>,
    files_removed: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Field<'a> {
    field: &'static str,
    from: &'a str,
    to: &'a str,
}

#[derive(Debug, Serialize)]
struct Dropped<'a> {
    kind: &'static str,
    id: &'a str,
    files: Vec<&'a str>,
}

impl<'a> From<&'a ItemChange> for Change<'a> {
    fn from(change: &'a ItemChange) -> Self {
        let fields = change.fields.iter().map(|field| Field {
            field: field.field,
            from: &field.from,
            to: &field.to,
        });
        Self {
            kind: change.kind.as_str(),
            id: &change.id,
            fields: fields.collect(),
            files_changed: paths(&change.files_changed),
            files_added: paths(&change.files_added),
            files_removed: paths(&change.files_removed),
        }
    }
}

impl<'a> Resynced<'a> {
    pub(in crate::cli) fn new(report: &'a ResyncReport, dry_run: bool) -> Self {
        let Difference {
            changed,
            dropped,
            unchanged,
            ..
        } = &report.difference;
        let dropped = dropped.iter().map(|dropped| Dropped {
            kind: dropped.kind.as_str(),
            id: &dropped.id,
            files: paths(&dropped.files),
        });
        Self {
            dry_run,
            applied: report.applied,
            needs_force: report.needs_force(),
            changed: changed.iter().map(Into::into).collect(),
            dropped: dropped.collect(),
            unchanged: *unchanged,
            failed: report.failed.iter().map(Into::into).collect(),
        }
    }
}

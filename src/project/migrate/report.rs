//! Writing the registry for tools that read `model_registry.json`.
//!
//! ```text
//! <output>/
//! ├── model_registry.json             all models, targets and target sets
//! ├── model_registry_summary.json     their numbers, and what is wrong with them
//! └── {model_id}/
//!     └── {model_id}_metadata.json    the entry of one model; the last part of an id with slashes names the file
//! ```
//!
//! An entry has the fields of the current version that those tools read, and those that [`Project::import`] needs to restore
//! the registry:
//!
//! ```json
//! {
//!   "model_id": "actinf_pomdp_agent",
//!   "model_name": "Active Inference POMDP Agent",
//!   "file_path": "input/gnn_files/actinf_pomdp_agent.md",
//!   "file_size_bytes": 1759,
//!   "registered_at": "2025-09-29T12:00:00Z",
//!   "version": "1.0.0",
//!   "metadata": { "variables": 13, "connections": 11 },
//!   "name": "Active Inference POMDP Agent", "description": "…", "type": null, "status": null, "tags": [], "format": "gnn",
//!   "entrypoint": null, "outputs": [], "data": [], "code": [], "given": [],
//!   "created_at": "2025-09-29T12:00:00Z", "updated_at": "2025-09-29T12:00:00Z", "current_version": "1.0.0",
//!   "versions": {
//!     "1.0.0": {
//!       "version": "1.0.0", "file_path": "…", "file_size_bytes": 1759, "created_at": "…", "hash": "<sha256>",
//!       "metadata": { … }, "files": { "<path>": { "sha256": "…", "size_bytes": 1759 } }
//!     }
//!   }
//! }
//! ```
//!
//! For a folder, `file_path` is the folder, `file_size_bytes` the size of all its files, and `hash` is empty; so they are for
//! parts, but that `file_path` is the first. What `make`
//! found is not in the report: it has neither versions nor times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::disk::write::NewFile;
use crate::error::{Error, IoContext, Result};
use crate::model::ModelName;
use crate::modelstoml::{FileFacts, Files, ModelEntry, RegisteredVersion, TargetEntry};
use crate::project::check::{Finding, Severity, StatusOptions};
use crate::project::home::Project;
use crate::project::item::ItemKind;
use crate::project::scan::formats::PartName;
use crate::relpath::{RelPath, check_distinct};
use crate::time::rfc3339_micros;

const REGISTRY: &str = "model_registry.json";
const SUMMARY: &str = "model_registry_summary.json";
/// What a file of a report says, so that the next report may replace it.
const GENERATOR: &str = "modelrack";
/// How much of a file is read or written at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// The format of `model_registry.json`.
const FORMAT: &str = "1.0.0";

/// What [`Project::report`] wrote.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let paths = [folder.path().join("models"), folder.path().join("targets")];
/// project.add(&paths, &AddOptions::default())?;
/// let report = project.report(&folder.path().join("build/registry"))?;
/// assert!(report.path.ends_with("model_registry.json"));
/// assert_eq!((report.models, report.targets), (3, 1));
/// assert_eq!(report.files, 5, "the registry, its summary, and a file for each model");
/// assert!(report.removed.is_empty() && report.failed.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WrittenReport {
    /// `model_registry.json` in the folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// The number of models in it.
    pub models: usize,
    /// The number of targets in it.
    pub targets: usize,
    /// The number of files that it consists of, including those that did not change.
    pub files: usize,
    /// The files of models that are no longer registered, which an earlier report wrote and this one removed; in order.
    #[serde(serialize_with = "crate::report::paths")]
    pub removed: Vec<PathBuf>,
    /// What is wrong with the project, as [`Project::status`] finds without hashing: each error, in order. The models and
    /// targets that it concerns are in the report as they are registered, and the summary counts the models.
    pub failed: Vec<Finding>,
}

#[derive(Serialize)]
struct Whole<'a> {
    version: &'static str,
    generator: &'static str,
    updated_at: Option<String>,
    #[serde(serialize_with = "as_models")]
    models: &'a BTreeMap<String, ModelEntry>,
    #[serde(serialize_with = "as_targets")]
    targets: &'a BTreeMap<String, TargetEntry>,
    target_sets: &'a BTreeMap<String, BTreeSet<String>>,
}

/// The file of one model.
#[derive(Serialize)]
struct Single {
    generator: &'static str,
    #[serde(flatten)]
    model: Model,
}

/// What is read of a file of an earlier report.
#[derive(Default, Deserialize)]
struct Earlier {
    generator: Option<Value>,
    #[serde(default)]
    models: BTreeMap<String, IgnoredAny>,
}

#[derive(Serialize)]
struct Model {
    #[serde(flatten)]
    fields: Value,
    /// The oldest first.
    #[serde(serialize_with = "as_table")]
    versions: Vec<(String, Value)>,
}

impl Project {
    /// Writes the registry as `model_registry.json`, a summary of it, and a file for each model, into a folder that is created
    /// if it does not exist. [`WrittenReport`] has an example.
    ///
    /// The same registry and the same errors give the same bytes. The files of an earlier report are replaced, and removed if their model is no
    /// longer registered.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if a file is in the way that no report wrote, or if the
    /// files of two models would be the same; the storage errors.
    pub fn report(&self, folder: &Path) -> Result<WrittenReport> {
        let registry = self.registry();
        let mut failed = self.status(&StatusOptions::default())?.findings;
        failed.retain(|finding| finding.severity == Severity::Error);
        let entries = registry.entries.values();
        let places = registry.entries.keys().map(|id| place_of(id));
        let places: Vec<RelPath> = places.collect::<Result<_>>()?;
        let own = [REGISTRY, SUMMARY].map(RelPath::parse);
        let own = own.iter().flatten();
        check_distinct(places.iter().chain(own.clone())).map_err(|error| {
            let message = format!("two files of the report would be the same: {error}");
            Error::argument(message)
        })?;
        for place in own.chain(&places) {
            check_replaceable(&place.below(folder))?;
        }
        let path = folder.join(REGISTRY);
        let removed = remove_dropped(folder, &path, &places)?;
        let singles: Vec<_> = registry.entries.iter().zip(&places).collect();
        // Each write waits for the disk, so together they wait less.
        singles.par_iter().try_for_each(|((id, entry), place)| {
            let (generator, model) = (GENERATOR, model(id, entry));
            write(&place.below(folder), &Single { generator, model })
        })?;
        let models = registry.entries.len();
        let current = entries.clone().filter_map(ModelEntry::current);
        let sizes = current.map(RegisteredVersion::total_bytes);
        let failed_models = failed.iter().filter_map(|finding| finding.entity.as_ref());
        let failed_models = failed_models.filter(|item| item.kind == ItemKind::Model);
        let failed_models = failed_models.collect::<BTreeSet<_>>().len();
        let summary = json!({
            "generator": GENERATOR,
            "success": failed.is_empty(),
            "processed_files": models,
            "successful_registrations": models - failed_models,
            "failed_registrations": failed_models,
            "errors": failed.iter().map(Finding::to_string).collect::<Vec<_>>(),
            "registry_path": path.display().to_string(),
            "total_models": models,
            "total_versions": entries.clone().map(|entry| entry.versions.len()).sum::<usize>(),
            "total_targets": registry.targets.len(),
            "total_bytes": sizes.fold(0, u64::saturating_add),
        });
        write(&folder.join(SUMMARY), &summary)?;
        let of_models = entries.flat_map(|entry| entry.versions.values());
        let of_models = of_models.map(|version| version.registered_at);
        let of_targets = registry.targets.values().map(|target| target.registered_at);
        let whole = Whole {
            version: FORMAT,
            generator: GENERATOR,
            updated_at: of_models.chain(of_targets).max().map(rfc3339_micros),
            models: &registry.entries,
            targets: &registry.targets,
            target_sets: &registry.target_sets,
        };
        // Written last, when the files of all models that it names exist.
        write(&path, &whole)?;
        Ok(WrittenReport {
            models,
            targets: registry.targets.len(),
            files: 2 + places.len(),
            removed,
            failed,
            path,
        })
    }
}

/// Returns where the file of a model goes.
fn place_of(id: &str) -> Result<RelPath> {
    let invalid = Error::argument_name;
    let name = ModelName::parse(id).map_err(invalid)?;
    RelPath::parse(&format!("{id}/{}_metadata.json", name.model())).map_err(invalid)
}

/// Refuses to replace what another program wrote: its history would be lost.
fn check_replaceable(file: &Path) -> Result<()> {
    let content = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        content => content.at("read", file)?,
    };
    match earlier(content).is_some() {
        true => Ok(()),
        false => Err(Error::argument(format!(
            "{} was written by another program: choose another folder, or import it and move it away",
            file.display()
        ))),
    }
}

/// Reads a file of an earlier report; `None` if it is that of another program. It may be as large as the registry.
fn earlier(file: File) -> Option<Earlier> {
    let earlier: Earlier = serde_json::from_reader(BufReader::new(file)).ok()?;
    let is_own = earlier
        .generator
        .as_ref()
        .is_some_and(|own| own == GENERATOR);
    is_own.then_some(earlier)
}

/// Removes the files of models that an earlier report has and this one does not.
fn remove_dropped(folder: &Path, registry: &Path, kept: &[RelPath]) -> Result<Vec<PathBuf>> {
    let before = File::open(registry).ok().and_then(earlier);
    let ids = before.unwrap_or_default().models.into_keys();
    let kept: BTreeSet<&RelPath> = kept.iter().collect();
    let mut removed = Vec::new();
    for place in ids.filter_map(|id| place_of(&id).ok()) {
        let file = place.below(folder);
        let is_own = || File::open(&file).ok().and_then(earlier).is_some();
        if kept.contains(&place) || !is_own() {
            continue;
        }
        fs::remove_file(&file).at("remove", &file)?;
        // Its folder and those above it, if they are empty now.
        let folders = file.ancestors().skip(1);
        for empty in folders.take_while(|above| *above != folder) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
        }
        removed.push(file);
    }
    Ok(removed)
}

/// Writes a file, unless it is as it would be. Its text is not held in memory, which may be larger than the registry.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    if is_there(path, value) {
        return Ok(());
    }
    let mut new = NewFile::create(path)?;
    let mut failure = Ok(());
    let mut out = BufWriter::with_capacity(
        BUFFER_BYTES,
        Sink(|bytes: &[u8]| {
            // Dropped, the buffer tries once more.
            if failure.is_ok() {
                failure = new.write(bytes);
            }
            failure
                .as_ref()
                .map_err(|_| io::ErrorKind::Other.into())
                .copied()
        }),
    );
    let written = pretty(&mut out, value);
    drop(out);
    failure?;
    written.map_err(|error| Error::internal(format!("the report is not valid JSON: {error}")))?;
    new.commit()
}

/// Returns whether a file has this value already.
fn is_there(path: &Path, value: &impl Serialize) -> bool {
    let Ok(before) = File::open(path) else {
        return false;
    };
    let mut before = BufReader::with_capacity(BUFFER_BYTES, before);
    let same = pretty(
        &mut Sink(|bytes: &[u8]| {
            let mut read = vec![0; bytes.len()];
            before.read_exact(&mut read)?;
            match read == bytes {
                true => Ok(()),
                false => Err(io::ErrorKind::InvalidData.into()),
            }
        }),
        value,
    );
    same.is_ok() && before.fill_buf().is_ok_and(<[u8]>::is_empty)
}

fn pretty(out: &mut impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    let end = out.write_all(b"\n").and_then(|()| out.flush());
    end.map_err(serde_json::Error::io)
}

/// Takes what is written.
struct Sink<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes models one after the other, so that none is in memory twice.
fn as_models<S: Serializer>(
    entries: &BTreeMap<String, ModelEntry>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(id, entry)| (id, model(id, entry))))
}

fn as_targets<S: Serializer>(
    targets: &BTreeMap<String, TargetEntry>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(targets.iter().map(|(id, entry)| (id, target(id, entry))))
}

/// Writes pairs as a table in their own order.
fn as_table<S: Serializer>(pairs: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

fn model(id: &str, entry: &ModelEntry) -> Model {
    let current = entry.current();
    let times = || entry.versions.values().map(|version| version.registered_at);
    let fields = json!({
        "model_id": id,
        "model_name": entry.name,
        "file_path": entry.path,
        "file_size_bytes": current.map_or(0, |version| own_size(entry, version)),
        "registered_at": current.map(|version| rfc3339_micros(version.registered_at)),
        "version": entry.current,
        "metadata": current.map(|version| &version.metadata),
        "name": entry.name,
        "description": entry.description,
        "type": entry.model_type,
        "status": entry.status,
        "tags": entry.tags,
        "format": entry.format,
        "entrypoint": entry.entrypoint,
        "outputs": entry.outputs,
        "data": entry.data,
        "code": entry.code,
        "given": entry.given,
        "created_at": times().min().map(rfc3339_micros),
        "updated_at": times().max().map(rfc3339_micros),
        "current_version": entry.current,
    });
    let versions = entry.history().into_iter();
    Model {
        versions: versions
            .map(|(name, of)| (name.to_owned(), version(entry, name, of)))
            .collect(),
        fields,
    }
}

fn version(entry: &ModelEntry, name: &str, version: &RegisteredVersion) -> Value {
    json!({
        "version": name,
        "file_path": entry.path,
        "file_size_bytes": own_size(entry, version),
        "created_at": rfc3339_micros(version.registered_at),
        "hash": own_file(entry, version).map_or(String::new(), |facts| facts.digest.to_string()),
        "metadata": version.metadata,
        "files": files(&version.files),
    })
}

fn target(id: &str, target: &TargetEntry) -> Value {
    json!({
        "target_id": id,
        "path": target.path,
        "entrypoint": target.entrypoint,
        "model_output": target.model_output,
        "data": target.data,
        "registered_at": rfc3339_micros(target.registered_at),
        "digest": target.digest,
        "files": files(&target.files),
    })
}

fn files(files: &Files) -> Value {
    let file = |facts: &FileFacts| json!({"sha256": facts.digest, "size_bytes": facts.size_bytes});
    let files = files.iter();
    files
        .map(|(path, facts)| (path.as_str(), file(facts)))
        .collect()
}

/// Returns the size of the file that was registered; for a folder, of all files.
fn own_size(entry: &ModelEntry, version: &RegisteredVersion) -> u64 {
    let own = own_file(entry, version);
    own.map_or_else(|| version.total_bytes(), |facts| facts.size_bytes)
}

/// Returns the file that was registered, unless it is only the first part of the model.
fn own_file<'a>(entry: &ModelEntry, version: &'a RegisteredVersion) -> Option<&'a FileFacts> {
    let path = RelPath::parse(&entry.path).ok()?;
    let is_part = PartName::of(path.components().last()?).is_some();
    version.files.get(&path).filter(|_| !is_part)
}

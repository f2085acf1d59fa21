//! What a project has registered: its models with their history, its targets, and sets of those.
//!
//! It lies in `.registry/models.toml`, the very file that a repository source serves, with tables that other readers pass
//! over:
//!
//! ```toml
//! # A registry of models; without its last line, '# end', it was cut short.
//!
//! [entries.sir]
//! name = "SIR"                                # what people call it
//! description = "A compartment model"         # may be missing, as may type, tags and what follows `path`
//! type = "other"
//! tags = ["epidemiology"]
//! current = "1.0.1"                           # the highest version: what [models] and [files] have
//! path = "models/sir.py"                      # what was registered: a file, or a folder with all that is in it
//! format = "python"                           # what read it
//! entrypoint = "models.sir:SIR"
//! outputs = ["incidence"]
//! data = ["data/observed.csv"]                # what it needs; part of what is pulled
//! code = ["models/common.py"]
//! given = ["type"]                            # what was given by hand, and holds whatever the files say
//!
//! [entries.sir.versions."1.0.0"]
//! registered_at = 2026-01-31T12:00:00.123456Z
//! digest = "sha256:…"                         # of the names, sizes and digests of its files
//! [entries.sir.versions."1.0.0".metadata]     # what the files say; may be missing
//! parameters = 42
//! [entries.sir.versions."1.0.0".files]        # of the current version only those of which [files] says something else
//! "models/sir.py" = { hash = "sha256:…", size = 812 }
//!
//! [targets.incidence]
//! path = "targets/incidence.py"
//! entrypoint = "targets.incidence:incidence_target"
//! model_output = "incidence"
//! data = ["data/observed.csv"]
//! registered_at = 2026-01-31T12:00:00.123456Z
//! digest = "sha256:…"
//! [targets.incidence.files]
//! "targets/incidence.py" = { hash = "sha256:…", size = 300 }
//!
//! [target_sets]
//! main = ["incidence"]
//!
//! # end                                       # a file with the first line and not this one was cut short
//! ```
//!
//! Tables and keys that are not known here are kept. What `make` wrote stays beside the entries.

pub(super) mod file;
mod read;
pub(crate) mod version;
pub(crate) mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::relpath::RelPath;

/// What other programs say of when and how they made a registry.
pub(super) const GENERATED: [&str; 3] = ["generated_at", "devtools_version", "_meta"];

/// The registry of a project, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProjectRegistry {
    /// The models, by id: a name that can be pulled.
    pub entries: BTreeMap<String, ModelEntry>,
    /// The targets, by id.
    pub targets: BTreeMap<String, TargetEntry>,
    /// Sets of targets: name → ids of targets.
    pub target_sets: BTreeMap<String, BTreeSet<String>>,
    /// The folder of the project in the repository that will serve it; empty for its top.
    pub(crate) root: String,
    pub(crate) made: Made,
    /// What other programs keep in the file.
    pub(crate) others: toml::Table,
}

/// What `make` found: models without a history.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Made {
    pub(crate) asset: Option<String>,
    pub(crate) files: BTreeMap<String, MadeFile>,
    pub(crate) models: BTreeMap<String, Vec<String>>,
    pub(crate) examples: BTreeMap<String, Vec<String>>,
}

/// What a registry states of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MadeFile {
    pub(crate) digest: Option<Digest>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) url: Option<String>,
}

/// A registered model.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelEntry {
    /// What people call it. Default: its id.
    pub name: String,
    /// What it is, in a few words; may be empty.
    pub description: String,
    /// Its type, such as `classification`.
    pub model_type: Option<String>,
    /// Words to find it by, in order.
    pub tags: BTreeSet<String>,
    /// The highest version: that of the files as they were registered last.
    pub current: String,
    /// The file or folder that was registered, from the project's folder with `/` between the components; `.` for the
    /// project's folder itself.
    pub path: String,
    /// The name of the format that read it; `None` when none knew it.
    pub format: Option<String>,
    /// What is run, as in `package.module:Class`.
    pub entrypoint: Option<String>,
    /// What it computes.
    pub outputs: Vec<String>,
    /// Files of data that it needs, which are pulled with it.
    pub data: Vec<RelPath>,
    /// Files of code that it needs, which are pulled with it.
    pub code: Vec<RelPath>,
    /// Which of the fields above were given by hand, by their keys: the files do not change them.
    pub given: BTreeSet<String>,
    /// Its versions, by name; [`ModelEntry::history`] has them in order.
    pub versions: BTreeMap<String, RegisteredVersion>,
    pub(crate) others: toml::Table,
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RegisteredVersion {
    /// When it was registered; what changed later may differ.
    pub registered_at: SystemTime,
    /// The digest of the names, sizes and digests of its files.
    pub digest: Digest,
    /// Its files, those of data and code too.
    pub files: Files,
    /// What the files say about it.
    pub metadata: Metadata,
}

/// A registered target: a function that compares an output of a model with data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TargetEntry {
    /// The file that defines it.
    pub path: RelPath,
    /// The function, as in `package.module:function`.
    pub entrypoint: String,
    /// The output that it looks at.
    pub model_output: String,
    /// Files of data that it needs.
    pub data: Vec<RelPath>,
    /// When it was registered.
    pub registered_at: SystemTime,
    /// The digest of the names, sizes and digests of its files.
    pub digest: Digest,
    /// Its own file, and those of data.
    pub files: Files,
    pub(crate) others: toml::Table,
}

/// Files by their paths from the project's folder.
pub type Files = BTreeMap<RelPath, FileFacts>;

/// What is registered of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FileFacts {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
}

impl ProjectRegistry {
    /// Returns the entry of a model in its current version.
    #[must_use]
    pub fn current(&self, id: &str) -> Option<(&ModelEntry, &RegisteredVersion)> {
        let entry = self.entries.get(id)?;
        Some((entry, entry.current()?))
    }

    /// Whether there is more in it than `make` finds again.
    fn has_registered(&self) -> bool {
        let mut others = self.others.keys();
        !(self.entries.is_empty() && self.targets.is_empty())
            || others.any(|key| !GENERATED.contains(&key.as_str()))
    }

    /// What `[files]` says: of the current versions, of two that differ the later one, and what `make` found.
    fn files(&self) -> BTreeMap<&str, MadeFile> {
        let mut current: Vec<&RegisteredVersion> = self
            .entries
            .values()
            .filter_map(ModelEntry::current)
            .collect();
        current.sort_by_key(|version| version.registered_at);
        let made = self.made.files.iter();
        let mut files: BTreeMap<&str, MadeFile> = made
            .map(|(name, file)| (name.as_str(), file.clone()))
            .collect();
        for (path, facts) in current.into_iter().flat_map(|version| &version.files) {
            let stated = MadeFile {
                digest: Some(facts.digest),
                size_bytes: Some(facts.size_bytes),
                url: files
                    .remove(path.as_str())
                    .and_then(|before: MadeFile| before.url),
            };
            files.insert(path.as_str(), stated);
        }
        files
    }
}

impl ModelEntry {
    /// Returns the version that `[models]` and `[files]` have.
    #[must_use]
    pub fn current(&self) -> Option<&RegisteredVersion> {
        self.versions.get(&self.current)
    }

    /// The files of data and code that it needs.
    pub(crate) fn needed(&self) -> impl Iterator<Item = &RelPath> {
        self.data.iter().chain(&self.code)
    }

    /// Returns all versions, the oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<(&str, &RegisteredVersion)> {
        let versions = self.versions.iter();
        let mut history: Vec<_> = versions.map(|(name, v)| (name.as_str(), v)).collect();
        history.sort_by(|(one, _), (other, _)| version::compare(one, other));
        history
    }
}

impl RegisteredVersion {
    /// Returns the size of all its files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        total_bytes(&self.files)
    }
}

/// The size of files together. What a registry says of sizes may be anything: the sum ends where numbers do.
pub(super) fn total_bytes(files: &Files) -> u64 {
    let sizes = files.values().map(|facts| facts.size_bytes);
    sizes.fold(0, u64::saturating_add)
}

/// The digest of files: of their names, sizes and digests, in the order of names.
pub(crate) fn digest_of(files: &Files) -> Digest {
    let lines = files.iter().map(|(path, facts)| {
        let FileFacts { digest, size_bytes } = facts;
        format!("{digest} {size_bytes} {path}\n")
    });
    Digest::of(lines.collect::<String>().as_bytes())
}

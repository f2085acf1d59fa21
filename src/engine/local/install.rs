//! Installing a model that somebody made by hand, or another program: its files are hashed, and described by a manifest.
//!
//! What is elsewhere comes the way of every pull: cloned or copied into a partial, verified, moved into its place. What is in
//! its place already stays there.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::list::InstalledModel;
use super::verify::Hashing;
use crate::catalog::RemoteModel;
use crate::digest::{Digest, Hasher};
use crate::disk::pointer::PointerCheck;
use crate::disk::walk::{Links, walk};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::pull::PullOptions;
use crate::engine::pull::plan::PullTarget;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Progress, Step, Task};
use crate::relpath::{RelPath, check_distinct};
use crate::setters::setters;
use crate::source::by_hand::MadeByHand;
use crate::store::record::{Annotation, ModelRecord};

/// Where the files of a model are that was made by hand, and what to record of it.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::installed::{Annotation, InstallOptions};
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let weights = folder.path().join("weights");
/// # std::fs::create_dir(&weights)?;
/// std::fs::write(weights.join("model.bin"), [0; 3000])?;
/// let options = InstallOptions::default()
///     .from(&weights)
///     .annotation(Annotation::default().model_type("embedding").add_tags(["mine"]))
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// let report = manager.install(&"mine/tiny v1".parse()?, &options)?;
/// assert_eq!((report.installed.files, report.installed.total_bytes), (1, 3000));
/// assert!(report.installed.made_by_hand && report.left_out.is_empty());
/// assert!(manager.path(&"mine/tiny v1".parse()?)?.join("model.bin").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InstallOptions {
    /// A folder with the files of the model, or its only file. They are cloned where the file system can, else copied; links
    /// are followed. Default: the files are in the model's folder of the store already, and stay there.
    pub from: Option<PathBuf>,
    /// The type, tags and metadata to record.
    pub annotation: Annotation,
    /// Cancels the installation.
    pub cancel: CancelToken,
    /// Receives a [`Step`] while files are hashed, and then the events of a pull. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(InstallOptions {
    from: Some(impl Into<PathBuf>),
    annotation: Annotation,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What was installed of files that were made by hand; [`InstallOptions`] has an example.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InstallReport {
    /// The model.
    #[serde(flatten)]
    pub installed: InstalledModel,
    /// The paths, from the folder, of what is not part of the model: a system, an editor or a download tool left it behind.
    pub left_out: Vec<String>,
}

impl InstallReport {
    /// Creates the report of a model of which nothing was left out; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(installed: InstalledModel) -> Self {
        Self {
            installed,
            left_out: Vec::new(),
        }
    }
}

/// Files that somebody made, each with its name in the model and its path.
#[derive(Default)]
struct FoundFiles {
    files: Vec<(String, PathBuf)>,
    left_out: Vec<String>,
}

/// Files that somebody made, hashed.
struct HashedFiles {
    manifest: Manifest,
    left_out: Vec<String>,
}

impl Engine {
    /// Installs a model from files that nothing is known of.
    pub(crate) fn install(
        &self,
        address: &ModelAddress,
        options: &InstallOptions,
    ) -> Result<InstallReport> {
        let (name, version) = address.as_model()?;
        let version = version.ok_or_else(|| Error::invalid_ref(address, "has no version"))?;
        let model = name.version(version)?;
        let place = self.store.layout().model_dir(&model);
        let installed = match &options.from {
            Some(from) if !is_same(from, &place) => self.install_from(&model, from, options),
            _ => self.install_in_place(&model, options),
        };
        let left_out = installed.map_err(|error| error.step(format!("install {model}")))?;
        let record = self.records()?.remove(&model);
        let record = record.ok_or_else(|| Error::internal("an installed model has no record"))?;
        Ok(InstallReport {
            left_out,
            ..InstallReport::new(self.installed(model, record))
        })
    }

    /// Brings the files in by a pull that asks no source.
    fn install_from(
        &self,
        model: &ModelRef,
        from: &Path,
        options: &InstallOptions,
    ) -> Result<Vec<String>> {
        let from = std::path::absolute(from).at("find", from)?;
        self.refuse_existing(model)?;
        let is_folder = fs::metadata(&from).at("read", &from)?.is_dir();
        let (folder, found) = match (is_folder, from.parent(), from.file_name()) {
            (false, Some(parent), Some(name)) => {
                let name = name.to_string_lossy().into_owned();
                let files = vec![(name, from.clone())];
                (
                    parent,
                    FoundFiles {
                        files,
                        ..FoundFiles::default()
                    },
                )
            }
            _ => (&*from, self.files_below(&from, Links::Follow, options)?),
        };
        let files = self.hash_files(model, &from, found, options)?;
        let mut stated = ModelRecord::new(&files.manifest, SystemTime::now());
        stated.annotate(&options.annotation);
        let remote = RemoteModel {
            metadata: stated.metadata,
            is_made_by_hand: true,
            ..RemoteModel::of_contents(model.clone(), "", files.manifest.clone())
        };
        let offer = Offer::new(remote, Arc::new(MadeByHand::new(folder)?));
        let mut pull = PullOptions::default().cancel(options.cancel.clone());
        pull.progress.clone_from(&options.progress);
        self.run_target(&PullTarget::Offer(offer, Some(files.manifest)), &pull)?;
        Ok(files.left_out)
    }

    /// Records files that are in the model's place already.
    fn install_in_place(&self, model: &ModelRef, options: &InstallOptions) -> Result<Vec<String>> {
        let place = self.store.layout().model_dir(model);
        if !place.is_dir() {
            return Err(Error::from(ErrorKind::FolderMissing {
                model: model.to_string(),
                path: place,
            }));
        }
        let lock = self.store.lock_model(model, &options.cancel, &|_| {})?;
        let records = self.records()?;
        if records.get(model).is_some() {
            return Err(ErrorKind::Exists { path: place }.into());
        }
        self.store.check_place(&records, model)?;
        let found = self.files_below(&place, Links::Refuse, options)?;
        let files = self.hash_files(model, &place, found, options)?;
        let mut record = ModelRecord {
            made_by_hand: true,
            ..ModelRecord::new(&files.manifest, SystemTime::now())
        };
        record.annotate(&options.annotation);
        record.annotation = None;
        self.store.adopt(&lock, &files.manifest, record)?;
        Ok(files.left_out)
    }

    /// Refuses to replace what is in a model's place, whoever put it there.
    pub(crate) fn refuse_existing(&self, model: &ModelRef) -> Result<()> {
        let path = self.store.layout().model_dir(model);
        match fs::symlink_metadata(&path) {
            Ok(_) => Err(ErrorKind::Exists { path }.into()),
            Err(_) => Ok(()),
        }
    }

    /// Lists the files below a folder, without the store's own, and what was left behind there.
    fn files_below(
        &self,
        folder: &Path,
        links: Links,
        options: &InstallOptions,
    ) -> Result<FoundFiles> {
        let layout = self.store.layout();
        let is_own = |name: &str, _: &Path, _: bool| {
            RelPath::parse(name).is_ok_and(|path| layout.is_own(&path))
        };
        let walked = walk(folder, links, &options.cancel, &is_own)?;
        let mut files = Vec::new();
        for file in walked.files {
            if let Some(fault) = file.fault {
                return Err(Error::argument(format!("{} {fault}", file.path.display())));
            }
            files.push((file.name, file.path));
        }
        let left_out = walked.left_behind;
        Ok(FoundFiles { files, left_out })
    }

    /// Makes the manifest of files.
    fn hash_files(
        &self,
        model: &ModelRef,
        from: &Path,
        found: FoundFiles,
        options: &InstallOptions,
    ) -> Result<HashedFiles> {
        let FoundFiles { files, left_out } = found;
        if files.is_empty() {
            let message = format!("there is no file in {}", from.display());
            return Err(Error::argument(message));
        }
        let (subject, bytes) = (model.to_string(), AtomicU64::new(0));
        let sizes = files.iter().map(|(_, path)| fs::metadata(path));
        let step = Step {
            total_bytes: sizes.flatten().map(|file| file.len()).sum(),
            ..Step::new(Task::Hashing, 1)
        };
        let hashing = Hashing {
            cancel: &options.cancel,
            progress: self.progress_of(&options.progress),
            step: step.at(&subject, 0),
            bytes: &bytes,
        };
        let hash = |(name, path): &(String, PathBuf)| -> Result<ManifestFile> {
            let name = RelPath::parse(name).map_err(Error::argument_name)?;
            let (size_bytes, digest) = hash_file(path, &hashing)?;
            Ok(ManifestFile {
                size_bytes: Some(size_bytes),
                digest: Some(digest.into()),
                ..ManifestFile::new(name)
            })
        };
        let files: Vec<ManifestFile> = files.par_iter().map(hash).collect::<Result<_>>()?;
        check_distinct(files.iter().map(|file| &file.path)).map_err(Error::argument_name)?;
        Ok(HashedFiles {
            manifest: Manifest::of_files(files, "", from.display())?,
            left_out,
        })
    }
}

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 256 << 10;

fn hash_file(path: &Path, hashing: &Hashing<'_>) -> Result<(u64, Digest)> {
    let mut file = File::open(path).at("read", path)?;
    let (mut hasher, mut pointer) = (Hasher::default(), PointerCheck::default());
    let (mut buffer, mut size_bytes) = (vec![0; BUFFER_BYTES], 0);
    loop {
        hashing.cancel.check()?;
        let read = file.read(&mut buffer).at("read", path)?;
        if read == 0 {
            pointer.finish(path.display())?;
            return Ok((size_bytes, hasher.finish()));
        }
        hasher.update(&buffer[..read]);
        pointer.update(&buffer[..read]);
        size_bytes += read as u64;
        hashing.count(read);
    }
}

/// Returns whether two paths lead to the same folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let (one, other) = (fs::canonicalize(one), fs::canonicalize(other));
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

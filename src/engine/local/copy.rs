//! Copying a model's files into a workspace.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::check_openable;
use crate::disk::write::rename;
use crate::engine::Engine;
use crate::engine::local::list::InstalledDetail;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{ErrorKind, IoContext, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{Progress, Step, Task};
use crate::setters::setters;
use crate::store::layout::file_in;

/// How to copy a model into a workspace.
///
/// ```
/// use modelrack::{CopyOptions, Manager, PullOptions};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let workspace = folder.path().join("workspace");
/// # std::fs::create_dir(&workspace)?;
/// std::fs::write(workspace.join("labels.json"), "[]")?;
/// let options = CopyOptions::default().pull(PullOptions::default().concurrency(2));
/// let error = manager.copy(&"digits/logistic v1".parse()?, &workspace, &options).unwrap_err();
/// assert_eq!(error.code(), "STORAGE_ERROR", "labels.json has other bytes");
///
/// manager.copy(&"digits/logistic v1".parse()?, &workspace, &options.force(true))?;
/// assert_ne!(std::fs::read(workspace.join("labels.json"))?, b"[]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Replace files in the workspace whose bytes differ. Default: fail with
    /// [`ErrorKind::Exists`], and copy nothing.
    pub force: bool,
    /// The options of the pull if the model is not installed.
    pub pull: PullOptions,
}

setters!(CopyOptions {
    force: bool,
    pull: PullOptions,
});

/// What a copy did, as [`Manager::copy`](crate::Manager::copy) returns it.
///
/// ```
/// use modelrack::{CopyOptions, Manager};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let workspace = folder.path().join("workspace");
/// let report = manager.copy(&"digits/logistic v1".parse()?, &workspace, &CopyOptions::default())?;
/// println!("{} copied to {}", report.model, report.destination.display());
/// println!("{} files written, {} unchanged, {} bytes in all", report.copied, report.unchanged, report.bytes);
/// assert!(report.pulled.is_some(), "the model was not installed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The folder that it was copied into.
    #[serde(serialize_with = "crate::report::path")]
    pub destination: PathBuf,
    /// The number of files that were written.
    pub copied: u64,
    /// The number of files that were there already, with the same bytes.
    pub unchanged: u64,
    /// The total size of all files, written or not.
    pub bytes: u64,
    /// The pull that came first; `None` if the model was installed.
    pub pulled: Option<PullReport>,
}

impl CopyReport {
    /// Creates the report of a copy that wrote nothing; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef, destination: PathBuf) -> Self {
        Self {
            model,
            destination,
            copied: 0,
            unchanged: 0,
            bytes: 0,
            pulled: None,
        }
    }
}

impl Engine {
    pub(crate) fn copy(
        &self,
        address: &ModelAddress,
        destination: &Path,
        options: &CopyOptions,
    ) -> Result<CopyReport> {
        let records = self.records()?;
        let pulled = match self.reading(address)?.find_installed(&records) {
            Ok(model)
                if records
                    .get(&model)
                    .is_some_and(|record| self.is_usable(&model, record, &options.pull.cancel)) =>
            {
                Err((records, model))
            }
            // A folder that was removed by hand is restored, and so is what a power cut took.
            Ok(model) => Ok(self.pull(&ModelAddress::from(&model), &options.pull)?),
            Err(error) if matches!(error.kind(), ErrorKind::NotInstalled { .. }) => {
                Ok(self.pull(address, &options.pull)?)
            }
            Err(error) => return Err(error),
        };
        let (records, model, pulled) = match pulled {
            Ok(pulled) => (self.records()?, pulled.model.clone(), Some(pulled)),
            Err((records, model)) => (records, model, None),
        };
        let progress = self.progress_of(&options.pull.progress);
        let copied = self
            .detail(&records, model.clone())
            .and_then(|detail| copy_files(&detail, destination, options, progress));
        let report = copied.map_err(|error| error.step(format!("copy {model}")))?;
        if let Some(record) = records.get(&model) {
            self.store.settle_if_due(&model, record);
        }
        Ok(CopyReport { pulled, ..report })
    }
}

fn copy_files(
    detail: &InstalledDetail,
    destination: &Path,
    options: &CopyOptions,
    progress: &dyn Progress,
) -> Result<CopyReport> {
    let destination = std::path::absolute(destination).at("find", destination)?;
    let dir = &detail.installed.path;
    let mut report = CopyReport::new(detail.installed.model.clone(), destination.clone());
    report.bytes = detail.manifest.known_bytes();
    let mut to_copy = Vec::new();
    // All are looked at before the first is written: a refusal leaves the workspace as it was.
    for file in detail.manifest.files() {
        let (from, to) = (file_in(dir, &file.path), file_in(&destination, &file.path));
        check_openable(&from).at("read", &from)?;
        match fs::symlink_metadata(&to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => to_copy.push((from, to)),
            Err(error) => return Err(error).at("write", &to),
            Ok(there)
                if there.is_file()
                    && Some(there.len()) == file.size_bytes
                    && same_bytes(&from, &to)? =>
            {
                report.unchanged += 1;
            }
            Ok(there) if options.force && there.is_file() => to_copy.push((from, to)),
            Ok(_) => return Err(ErrorKind::Exists { path: to }.into()),
        }
    }
    let first = Step::new(Task::Copying, to_copy.len() as u64);
    let name = report.model.to_string();
    for (from, to) in to_copy {
        options.pull.cancel.check()?;
        progress.on_step(&first.at(&name, report.copied));
        copy_file(&from, &to)?;
        report.copied += 1;
    }
    Ok(report)
}

/// Copies a file so that others see all of it or nothing; the system may share its blocks.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).at("create", parent)?;
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = to.with_file_name(name);
    let copied = fs::copy(from, &temporary).and_then(|_| rename(&temporary, to));
    if copied.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    copied.at("write", to)
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| -> Result<_> {
        let file = File::open(path).at("read", path)?;
        Ok(BufReader::with_capacity(64 << 10, file))
    };
    let (mut a, mut b) = (open(one)?, open(other)?);
    loop {
        let (x, y) = (
            a.fill_buf().at("read", one)?,
            b.fill_buf().at("read", other)?,
        );
        let length = x.len().min(y.len());
        if length == 0 || x[..length] != y[..length] {
            return Ok(x.is_empty() && y.is_empty());
        }
        a.consume(length);
        b.consume(length);
    }
}

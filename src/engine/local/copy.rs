//! Copying a model's files into a workspace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::write::rename;
use crate::engine::Engine;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::setters::setters;
use crate::store::layout::file_in;

/// How to copy.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Replace files in the workspace that have other bytes.
    pub force: bool,
    /// How to pull the model when it is not installed.
    pub pull: PullOptions,
}

setters!(CopyOptions {
    force: bool,
    pull: PullOptions,
});

/// What a copy did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// What was copied.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Where to.
    #[serde(serialize_with = "crate::report::path")]
    pub destination: PathBuf,
    /// Files that were written.
    pub copied: u64,
    /// Files that were there already with the same bytes.
    pub unchanged: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What pulling it first did; `None` when it was installed.
    pub pulled: Option<PullReport>,
}

impl CopyReport {
    /// Makes the report of a copy that wrote nothing.
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
        let (model, pulled) = match self.reading(address)?.find_installed(&self.records()?) {
            // A folder that somebody removed by hand comes back.
            Ok(model) if !self.store.layout().model_dir(&model).is_dir() => {
                let report = self.pull(&ModelAddress::from(&model), &options.pull)?;
                (model, Some(report))
            }
            Ok(model) => (model, None),
            Err(error) if matches!(error.kind(), ErrorKind::NotInstalled { .. }) => {
                let report = self.pull(address, &options.pull)?;
                (report.model.clone(), Some(report))
            }
            Err(error) => return Err(error),
        };
        let named = |error: Error| error.step(format!("copy {model}"));
        let detail = self.get(&ModelAddress::from(&model)).map_err(named)?;
        let destination = std::path::absolute(destination)
            .at("find", destination)
            .map_err(named)?;
        let dir = detail.installed.path;
        let mut todo = Vec::new();
        let mut unchanged = 0;
        // All are looked at before the first is written: a refusal leaves the workspace as it was.
        for file in detail.manifest.files() {
            let (from, to) = (file_in(&dir, &file.path), file_in(&destination, &file.path));
            match fs::symlink_metadata(&to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => todo.push((from, to)),
                Err(error) => return Err(error).at("write", &to).map_err(named),
                Ok(there)
                    if there.is_file()
                        && Some(there.len()) == file.size_bytes
                        && same_bytes(&from, &to).map_err(named)? =>
                {
                    unchanged += 1;
                }
                Ok(there) if options.force && there.is_file() => todo.push((from, to)),
                Ok(_) => return Err(named(Error::from(ErrorKind::Exists { path: to }))),
            }
        }
        let copied = todo.len() as u64;
        for (from, to) in todo {
            if options.pull.cancel.is_cancelled() {
                return Err(named(Error::from(ErrorKind::Cancelled)));
            }
            copy_file(&from, &to).map_err(named)?;
        }
        Ok(CopyReport {
            bytes: detail.manifest.known_bytes(),
            model,
            destination,
            copied,
            unchanged,
            pulled,
        })
    }
}

/// Copies a file in one step for whoever looks; the system may share its blocks.
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
    use std::io::Read as _;
    let open = |path: &Path| fs::File::open(path).at("read", path);
    let (mut a, mut b) = (open(one)?, open(other)?);
    let (mut x, mut y) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
    loop {
        let read = a.read(&mut x).at("read", one)?;
        if read == 0 {
            return Ok(b.read(&mut y).at("read", other)? == 0);
        }
        match b.read_exact(&mut y[..read]) {
            Ok(()) if x[..read] == y[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error).at("read", other),
        }
    }
}

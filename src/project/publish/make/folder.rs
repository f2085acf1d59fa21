//! A folder of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileType};
use std::io::Read;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::tree::{Tree, is_left_out};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::progress::CancelToken;

/// The files below a folder of this machine. Links are not followed, but for one that is the folder itself.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    names: Vec<String>,
    /// What is there and cannot be read, each with why.
    faults: BTreeMap<String, &'static str>,
}

impl Folder {
    /// Looks through a folder. The file `own` is passed over: it is the registry that is made.
    pub(super) fn open(path: &Path, own: &Path, cancel: &CancelToken) -> Result<Self> {
        let mut found = Self {
            path: std::path::absolute(path).at("read", path)?,
            names: Vec::new(),
            faults: BTreeMap::new(),
        };
        let mut folders = vec![(found.path.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            if cancel.is_cancelled() {
                return Err(ErrorKind::Cancelled.into());
            }
            for entry in fs::read_dir(&folder).at("read", &folder)? {
                let entry = entry.at("read", &folder)?;
                let (component, path) = (entry.file_name(), entry.path());
                let mut kind = entry.file_type().at("read", &folder)?;
                if kind.is_dir() {
                    // Not every system says in a listing that a folder is a link.
                    kind = fs::symlink_metadata(&path).at("read", &path)?.file_type();
                }
                let name = format!("{prefix}{}", component.to_string_lossy());
                let is_own = || own.file_name() == Some(&component) && is_same(own, &path);
                if is_left_out(&component.to_string_lossy(), !kind.is_dir()) || is_own() {
                    debug!(path = %path.display(), "left out");
                } else if kind.is_dir() && component.to_str().is_some() {
                    folders.push((path, format!("{name}/")));
                } else {
                    let fault = fault(&component, kind);
                    let fault = fault.map(|fault| (name.clone(), fault));
                    found.faults.extend(fault);
                    found.names.push(name);
                }
            }
        }
        found.names.sort_unstable();
        found.names.dedup();
        Ok(found)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why something that is no folder cannot be in a registry.
fn fault(name: &OsStr, kind: FileType) -> Option<&'static str> {
    if name.to_str().is_none() {
        Some("has a name that is not UTF-8")
    } else if kind.is_symlink() {
        Some("is a link, and a server has something else under its name")
    } else if !kind.is_file() {
        Some("is neither a file nor a folder")
    } else {
        None
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

impl Tree for Folder {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if let Some(fault) = self.faults.get(name) {
            let name = name.escape_debug();
            return Err(Error::registry(
                self.path.display(),
                format!("'{name}' {fault}"),
            ));
        }
        let path = name
            .split('/')
            .fold(self.path.clone(), |path, part| path.join(part));
        let mut file = File::open(&path).at("read", &path)?;
        loop {
            match file.read(buffer).at("read", &path)? {
                0 => return Ok(()),
                read => take(&buffer[..read])?,
            }
        }
    }
}

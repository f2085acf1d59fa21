//! A folder of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::tree::{Tree, is_left_out};
use crate::error::{Error, IoContext, Result};
use crate::progress::CancelToken;
use crate::project::scan::walk::{Links, walk};

/// The files below a folder of this machine. Links are not followed, except for one that is the folder itself.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    names: Vec<String>,
    /// What cannot be read, with the reasons.
    faults: BTreeMap<String, &'static str>,
}

impl Folder {
    /// Lists a folder without the file `own`, the registry that is made.
    pub(super) fn open(path: &Path, own: &Path, cancel: &CancelToken) -> Result<Self> {
        let path = std::path::absolute(path).at("read", path)?;
        let own_name = own.file_name().and_then(OsStr::to_str);
        let is_out = |name: &str, path: &Path, is_folder: bool| {
            let component = name.rsplit('/').next().unwrap_or_default();
            let is_own = || own_name == Some(component) && is_same(own, path);
            is_left_out(component, !is_folder) || is_own()
        };
        let files = walk(&path, Links::Refuse, cancel, &is_out)?;
        let faults = files
            .iter()
            .filter_map(|file| Some((file.name.clone(), file.fault?)));
        Ok(Self {
            faults: faults.collect(),
            names: files.into_iter().map(|file| file.name).collect(),
            path,
        })
    }

    /// Returns the path of the folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
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

//! Tars in which documents are, so that they need not be unpacked.

use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::tar::TarMembers;
use crate::error::{IoContext, Result};
use crate::http::file::refused;
use crate::http::transport::TransportError;
use crate::mutex::Mutex;
use crate::stamp::FileStamp;

/// A document that is open, and the bytes of the file that are its content.
pub(super) type OpenDocument = (File, Range<u64>);

/// What is known of the tars that documents were requested of: each is read once, unless it changes.
#[derive(Debug, Default)]
pub(crate) struct Tars(Mutex<HashMap<PathBuf, (FileStamp, Arc<TarMembers>)>>);

impl Tars {
    /// Opens what is at a path where a file stands in the place of a folder; `None` if there is no such file, or nothing of
    /// that name in it.
    pub(super) fn open(&self, path: &Path) -> Result<Option<OpenDocument>, TransportError> {
        let Some(tar) = path.ancestors().skip(1).find(|it| fs::metadata(it).is_ok()) else {
            return Ok(None);
        };
        let name = path.strip_prefix(tar).ok();
        let name = name.and_then(|name| {
            let names = name.iter().map(|name| name.to_str());
            Some(names.collect::<Option<Vec<_>>>()?.join("/"))
        });
        match name {
            Some(name) if tar.is_file() => self.open_member(tar, &name).map_err(refused),
            _ => Ok(None),
        }
    }

    fn open_member(&self, tar: &Path, name: &str) -> Result<Option<OpenDocument>> {
        let file = File::open(tar).at("read", tar)?;
        let content = self.members(tar, &file)?.get(name);
        Ok(content.map(|content| (file, content)))
    }

    /// Who comes at the same time waits: one reads for all.
    fn members(&self, tar: &Path, file: &File) -> Result<Arc<TarMembers>> {
        // None where that does not tell one file from another.
        let stamp = FileStamp::of(&file.metadata().at("read", tar)?);
        let mut known = self.0.lock();
        if let Some((known, members)) = known.get(tar)
            && Some(*known) == stamp
        {
            return Ok(members.clone());
        }
        let members = Arc::new(TarMembers::read(file, tar)?);
        if let Some(stamp) = stamp {
            known.insert(tar.to_owned(), (stamp, members.clone()));
        }
        Ok(members)
    }
}

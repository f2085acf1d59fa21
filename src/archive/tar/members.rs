//! Where the files of a tar are in it, so that they are read without unpacking it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::{TRUNCATED, Tar};
use crate::archive::unreadable;
use crate::error::{IoContext, Result};

/// The files of a tar that is not compressed, by their names: where the content of each begins and ends.
#[derive(Debug, Default)]
pub(crate) struct TarMembers(BTreeMap<String, Range<u64>>);

impl TarMembers {
    /// Reads all headers, and passes over what is between them. A file that occurs twice is the last of that name, as for
    /// those who unpack; so it was appended to the archive.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) for what [`Tar`] refuses, and for an archive that is truncated.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self> {
        let end = file.metadata().at("read", path)?.len();
        let location = &path.display();
        let mut stream = file;
        let mut members = BTreeMap::new();
        let mut tar = Tar::new(&mut stream, location, end);
        while let Some(member) = tar.next_file()? {
            let mut position = file;
            let start = position.stream_position().at("read", path)?;
            let content = start..start.saturating_add(member.size_bytes);
            if content.end > end {
                return Err(unreadable(location, "the archive", TRUNCATED.into()));
            }
            let next = start.saturating_add(tar.pass_over());
            position.seek(SeekFrom::Start(next)).at("read", path)?;
            members.insert(member.path.to_string(), content);
        }
        Ok(Self(members))
    }

    /// Returns where a file is.
    pub(crate) fn get(&self, name: &str) -> Option<Range<u64>> {
        self.0.get(name).cloned()
    }

    /// Returns all files in order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Range<u64>)> {
        let members = self.0.iter();
        members.map(|(name, content)| (name.as_str(), content.clone()))
    }
}

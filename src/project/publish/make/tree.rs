//! The files below a folder of this machine or of an archive.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::archive::{Directory, MemberError};
use crate::disk::leftovers::{Surroundings, left_behind};
use crate::disk::walk::{Links, Walked, walk};
use crate::disk::write::NewFile;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::glob::Glob;
use crate::progress::CancelToken;
use crate::project::scan::formats::outputs_of_run;
use crate::project::scan::left_out::{is_left_out, is_output_of_run};
use crate::relpath::below;
use crate::url::Url;

/// The files below a folder.
#[derive(Debug)]
pub(super) struct Tree {
    /// Their paths from the folder, with `/` between the components: in order, each once, not checked, and without what is
    /// left out of models.
    pub(super) names: Vec<String>,
    /// The paths of what is not among them because a system, an editor or a download tool left it behind.
    pub(super) left_behind: Vec<String>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Folder {
        path: PathBuf,
        /// Why some of the files cannot be read.
        faults: BTreeMap<String, &'static str>,
    },
    Archive {
        archive: Box<Archive>,
        /// What precedes the names in the archive.
        prefix: String,
    },
}

/// An archive that was fetched as a whole.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) url: Url,
    pub(super) directory: Directory,
    /// Removed when it is dropped.
    pub(super) file: NewFile,
}

impl Tree {
    /// Lists a folder of this machine, without the file `own`. Links are not followed, except for the folder itself.
    pub(super) fn of_folder(path: &Path, own: &Path, cancel: &CancelToken) -> Result<Self> {
        let own_name = own.file_name().and_then(OsStr::to_str);
        let is_out = |name: &str, path: &Path, is_folder: bool| {
            let component = name.rsplit('/').next().unwrap_or_default();
            let is_own = || own_name == Some(component) && is_same(own, path);
            is_left_out(component, !is_folder) || is_own()
        };
        let Walked { files, left_behind } = walk(path, Links::Refuse, cancel, &is_out)?;
        let faults = files
            .iter()
            .filter_map(|file| Some((file.name.clone(), file.fault?)));
        let content = Content::Folder {
            faults: faults.collect(),
            path: path.to_owned(),
        };
        let mut names: Vec<String> = files.into_iter().map(|file| file.name).collect();
        // They are where the files were, which took more.
        names.shrink_to_fit();
        Ok(Self {
            names,
            left_behind,
            content,
        })
    }

    /// Lists a folder of an archive, empty for its top; returns `None` if no file is in it.
    pub(super) fn of_archive(archive: Archive, folder: &str) -> Option<Self> {
        let prefix = below(folder, "");
        let names = archive.directory.names();
        let mut names: Vec<String> = names
            .filter_map(|name| name.strip_prefix(&*prefix))
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return None;
        }
        names.retain(|name| !is_output_of_run(name));
        names.sort_unstable();
        // A name that occurs twice is refused when it is read.
        names.dedup();
        let archive = Box::new(archive);
        let mut tree = Self {
            names: Vec::new(),
            left_behind: Vec::new(),
            content: Content::Archive { archive, prefix },
        };
        let mut passed_over = BTreeSet::new();
        names.retain(|name| {
            let left_behind = left_behind(name, &tree);
            passed_over.extend(left_behind.map(str::to_owned));
            left_behind.is_none()
        });
        tree.left_behind = passed_over.into_iter().collect();
        tree.names = names;
        Some(tree)
    }

    /// Leaves out what runs of the models write, as the files of the models name it.
    pub(super) fn leave_out_outputs(&mut self, name_file: &Glob) {
        let is_name_file =
            |path: &&String| name_file.matches(path.rsplit('/').next().unwrap_or(path));
        let name_files: Vec<&String> = self.names.iter().filter(is_name_file).collect();
        let outputs = name_files.into_par_iter();
        let outputs = outputs.flat_map_iter(|name_file| outputs_of_run(name_file, self));
        let outputs: HashSet<String> = outputs.collect();
        if !outputs.is_empty() {
            self.names
                .retain(|name| !outputs.contains(&name.to_lowercase()));
        }
    }

    /// Returns the size of a file of this machine, in bytes; 0 if that cannot be told.
    pub(super) fn size_of(&self, name: &str) -> u64 {
        match &self.content {
            Content::Folder { path, .. } => fs::metadata(path.join(name)).map_or(0, |of| of.len()),
            Content::Archive { .. } => 0,
        }
    }

    /// Passes on a file in pieces, each at most as large as the buffer, until `take` fails.
    ///
    /// # Errors
    /// When the file cannot be read, or is a link or not a file; whatever `take` fails with.
    pub(super) fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match &self.content {
            Content::Folder { path, faults } => {
                if let Some(fault) = faults.get(name) {
                    let fault = format!("'{}' {fault}", name.escape_debug());
                    return Err(Error::registry(path.display(), fault));
                }
                let path = path.join(name.split('/').collect::<PathBuf>());
                let mut file = File::open(&path).at("read", &path)?;
                loop {
                    match file.read(buffer).at("read", &path)? {
                        0 => return Ok(()),
                        read => take(&buffer[..read])?,
                    }
                }
            }
            Content::Archive { archive, prefix } => {
                archive.read(&format!("{prefix}{name}"), buffer, take)
            }
        }
    }
}

impl Surroundings for Tree {
    fn has(&self, path: &str) -> bool {
        match &self.content {
            Content::Folder { path: top, .. } => top.has(path),
            Content::Archive { archive, prefix } => {
                let member = archive.directory.member(&format!("{prefix}{path}"));
                member.is_ok_and(|member| member.is_some())
            }
        }
    }

    fn head(&self, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        let mut buffer = vec![0; max_bytes as usize];
        let read = self.read(path, &mut buffer, &mut |piece| {
            head.extend_from_slice(piece);
            match (head.len() as u64) < max_bytes {
                true => Ok(()),
                false => Err(ErrorKind::Cancelled.into()),
            }
        });
        head.truncate(max_bytes as usize);
        (read.is_ok() || head.len() as u64 == max_bytes).then_some(head)
    }
}

impl Archive {
    /// Passes on a file as [`Tree::read`] does, by its name in the archive.
    pub(super) fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let url = &self.url;
        let member = self.directory.member(name)?;
        let member =
            member.ok_or_else(|| Error::internal("a file that the archive does not have"))?;
        let mut file = self.file.reread()?;
        let decoded = file
            .seek(SeekFrom::Start(member.range().start))
            .map_err(MemberError::Read)
            .and_then(|_| member.read_header(&mut file, url))
            .and_then(|_| member.decode(&mut file, url, buffer, take));
        decoded.map_err(|error| match error {
            MemberError::Read(source) => {
                Error::registry_from(url, "the archive cannot be read", source)
            }
            MemberError::Damaged(error) | MemberError::Refused(error) => {
                error.step(format!("the archive {url}"))
            }
            MemberError::Taken(error) => error,
        })
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

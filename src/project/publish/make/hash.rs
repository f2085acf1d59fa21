//! Hashing files as those who pull will get them.
//!
//! Of a work tree, that is what git has staged: the same as on the disk, or the same with other line ends. The publisher is told
//! of everything else.

use std::borrow::Cow;
use std::mem;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::MakeOptions;
use super::content::Content;
use super::origin::IndexedFolder;
use crate::digest::Check;
use crate::error::Result;
use crate::manifest::{Checksum, GitBlobId};
use crate::modelstoml::{FileEntry, SortedMap};
use crate::progress::tally::Tally;
use crate::progress::{Step, Task};
use crate::relpath::{below, shown};

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The files of a registry, and what the publisher should know about them.
pub(super) type HashedFiles = (SortedMap<Cow<'static, str>, FileEntry>, Vec<String>);

/// A file of a registry.
type HashedFile = (Cow<'static, str>, FileEntry, State);

/// Whether a file is what a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is, or nothing else is known.
    Served,
    /// It differs from what git has staged.
    Changed,
    /// Git does not have it.
    Untracked,
}

impl IndexedFolder {
    /// Hashes files on all processors.
    pub(super) fn hash_files(
        &self,
        names: Vec<String>,
        options: &MakeOptions,
    ) -> Result<HashedFiles> {
        let server = self.server.as_ref().filter(|_| options.urls);
        let step = Step::new(Task::Hashing, names.len() as u64);
        let tally = Tally::new(step, options.progress.as_deref(), &options.cancel);
        let hash = |buffer: &mut Vec<u8>, (name, file, state): &mut HashedFile| -> Result<()> {
            let path = below(&self.root, name);
            let (content, of_file) = self.read_as_served(name, &path, buffer, &tally)?;
            tally.complete();
            let location = format_args!("{name} of {}", self.location);
            content.pointer.finish(location)?;
            let url = server.map(|server| server.url(self.asset.as_deref(), &path));
            file.url = url.transpose()?.map(|url| url.to_string().into());
            file.digest = Some(content.hasher.finish());
            file.size_bytes = Some(content.size_bytes);
            *state = of_file;
            Ok(())
        };
        let names = names.into_iter().map(Cow::Owned);
        let files = names.map(|name| (name, FileEntry::default(), State::Served));
        let mut hashed: Vec<HashedFile> = files.collect();
        // In place: a list of the results would be put together from others, which are as large.
        let buffer = || vec![0; BUFFER_BYTES];
        hashed.par_iter_mut().try_for_each_init(buffer, hash)?;
        let notes = [State::Changed, State::Untracked]
            .into_iter()
            .filter_map(|state| {
                let mut of_state = hashed.iter().filter(|(_, _, of_file)| *of_file == state);
                let (first, ..) = of_state.next()?;
                note(state, first, 1 + of_state.count())
            });
        let notes = notes.collect();
        let files = hashed.into_iter().map(|(name, file, _)| (name, file));
        Ok((files.collect(), notes))
    }

    /// Reads a file as the server serves it, as far as that is known. `path` is its path in the repository.
    fn read_as_served(
        &self,
        name: &str,
        path: &str,
        buffer: &mut [u8],
        tally: &Tally<'_>,
    ) -> Result<(Content, State)> {
        if let Some(served) = self.fetch_served(path, tally)? {
            return Ok((served, State::Served));
        }
        let mut read = |take: &mut dyn FnMut(&[u8])| {
            self.tree.read(name, buffer, &mut |piece| {
                take(piece);
                tally.advance(piece.len())
            })
        };
        let mut content = Content::default();
        let Some(staged) = &self.staged else {
            read(&mut |piece| content.update(piece))?;
            return Ok((content, State::Served));
        };
        let Some(blob) = staged.blob(path) else {
            read(&mut |piece| content.update(piece))?;
            return Ok((content, State::Untracked));
        };
        let mut check = Blob::new(blob, self.tree.size_of(name));
        read(&mut |piece| {
            content.update(piece);
            check.update(piece);
        })?;
        if check.matches() {
            return Ok((content, State::Served));
        }
        // Git may have changed the line ends when it checked the file out.
        let mut ends = LineEnds::default();
        read(&mut |piece| drop(ends.convert(piece)))?;
        if ends.converted > 0 {
            let mut text = Content::default();
            let mut check = Blob::new(blob, content.size_bytes - ends.converted);
            let mut ends = LineEnds::default();
            let mut update = |piece: &[u8]| {
                text.update(piece);
                check.update(piece);
            };
            read(&mut |piece| update(&ends.convert(piece)))?;
            update(ends.end());
            if check.matches() {
                return Ok((text, State::Served));
            }
        }
        Ok((content, State::Changed))
    }
}

fn note(state: State, first: &str, count: usize) -> Option<String> {
    let first = shown(first);
    match state {
        State::Served => None,
        State::Changed => Some(format!(
            "{count} of the files differ from what git has staged, such as '{first}': they were changed since, or git changed them \
             when it checked them out; a server serves what is committed"
        )),
        State::Untracked => Some(format!(
            "{count} of the files are not in git, such as '{first}': a server serves them only when they are committed"
        )),
    }
}

/// Tells whether bytes are a blob of git.
struct Blob {
    expected: Checksum,
    check: Check,
}

impl Blob {
    fn new(id: GitBlobId, size_bytes: u64) -> Self {
        let expected = Checksum::GitBlob(id);
        Self {
            check: Check::of(&expected, size_bytes),
            expected,
        }
    }

    fn update(&mut self, piece: &[u8]) {
        self.check.update(piece);
    }

    fn matches(self) -> bool {
        self.check.finish() == self.expected
    }
}

/// Converts the ends of lines to those that git commits, piece by piece.
#[derive(Debug, Default)]
struct LineEnds {
    /// Whether the last byte was a `\r`, which is not passed on yet.
    is_open: bool,
    /// How many were converted.
    converted: u64,
}

impl LineEnds {
    fn convert(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(piece.len() + 1);
        for byte in piece {
            if mem::take(&mut self.is_open) {
                match byte {
                    b'\n' => self.converted += 1,
                    _ => text.push(b'\r'),
                }
            }
            match byte {
                b'\r' => self.is_open = true,
                byte => text.push(*byte),
            }
        }
        text
    }

    /// Returns what remains.
    fn end(&self) -> &'static [u8] {
        if self.is_open { b"\r" } else { b"" }
    }
}

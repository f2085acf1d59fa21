//! Files that may be models, read no further than a format asks for.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::platform::read_exact_at;
use crate::relpath::RelPath;

/// How much of a file [`ModelFile::head`] reads at most, in bytes: enough to see what a file is.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// How much of a parser's words an error has, in characters.
const MAX_CAUSE_CHARS: usize = 300;

/// What comes before some texts to say that they are UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How the text begins that stands for a file which Git LFS keeps elsewhere
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A file that may be a model. It is opened when something is first read of it, and never read whole.
pub struct ModelFile {
    path: PathBuf,
    name: RelPath,
    extension: String,
    size_bytes: u64,
    file: OnceLock<File>,
    head: OnceLock<Vec<u8>>,
}

impl ModelFile {
    /// Looks at a file of this machine; `name` is its name in the project, by which errors call it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not a file but, for example, a folder or a pipe; the storage errors.
    pub fn open(path: &Path, name: RelPath) -> Result<Self> {
        let metadata = fs::metadata(path).at("read", path)?;
        if !metadata.is_file() {
            return Err(Error::argument(format!("{} is not a file", path.display())));
        }
        let last = name.components().last().unwrap_or_default();
        let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension);
        Ok(Self {
            extension: extension.to_lowercase(),
            path: path.to_owned(),
            name,
            size_bytes: metadata.len(),
            file: OnceLock::new(),
            head: OnceLock::new(),
        })
    }

    /// Returns its name in the project, with `/` between the components.
    #[must_use]
    pub fn name(&self) -> &RelPath {
        &self.name
    }

    /// Returns the last component of its name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.name.components().last().unwrap_or_default()
    }

    /// Returns what follows the last dot of its name, in lower case; empty when there is none.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Returns how large it was when it was looked at, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads its beginning, [`MAX_HEAD_BYTES`] at most; once, however often it is asked for.
    ///
    /// # Errors
    /// The storage errors.
    pub fn head(&self) -> Result<&[u8]> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let length = self.size_bytes.min(MAX_HEAD_BYTES as u64);
        let mut head = vec![0; usize::try_from(length).unwrap_or(MAX_HEAD_BYTES)];
        self.read_at(0, &mut head)?;
        Ok(self.head.get_or_init(|| head))
    }

    /// Fills a buffer from a place of the file, counted in bytes.
    ///
    /// # Errors
    /// The storage errors, also where the file ends before the buffer does.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_exact_at(self.file()?, buffer, offset).at("read", &self.path)
    }

    /// Reads all of it as text, without the byte-order mark that some editors put in front.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] that names the file when it has more than `max_bytes` or is not UTF-8; the storage errors.
    pub fn text(&self, max_bytes: u64) -> Result<String> {
        let mut bytes = Vec::new();
        let head = self.head.get();
        if let Some(all) = head.filter(|head| head.len() as u64 == self.size_bytes) {
            bytes.clone_from(all);
        } else if self.size_bytes <= max_bytes {
            // It may have grown since it was looked at. Read from its beginning, it is opened apart from who reads at places.
            let file = File::open(&self.path).at("read", &self.path)?;
            let mut limited = file.take(max_bytes.saturating_add(1));
            limited.read_to_end(&mut bytes).at("read", &self.path)?;
        }
        if self.size_bytes > max_bytes || bytes.len() as u64 > max_bytes {
            return Err(self.malformed(format!("more than {max_bytes} bytes are not read as text")));
        }
        let mut text = String::from_utf8(bytes)
            .map_err(|error| self.unreadable("the file is not UTF-8 text", error.utf8_error()))?;
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        Ok(text)
    }

    /// Makes the error of a file that is of a format and not as the format asks.
    #[must_use]
    pub fn malformed(&self, message: impl Into<String>) -> Error {
        Error::registry(&self.name, message)
    }

    /// Makes the same error with a parser's own words, which may repeat what they are about: only their beginning is kept.
    pub(super) fn unreadable(&self, message: &str, cause: impl fmt::Display) -> Error {
        let cause: String = cause.to_string().chars().take(MAX_CAUSE_CHARS).collect();
        Error::from(ErrorKind::Registry {
            location: self.name.to_string(),
            message: message.to_owned(),
            source: Some(cause.into()),
        })
    }

    /// Reads its beginning as text: bytes that are not UTF-8 are replaced, including a character cut at the end.
    pub(super) fn head_text(&self) -> Result<String> {
        let text = String::from_utf8_lossy(self.head()?).into_owned();
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned);
        Ok(unmarked.unwrap_or(text))
    }

    /// Refuses the text that stands for a file in repositories where nobody fetched it.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when it is one; the storage errors.
    pub(super) fn refuse_pointer(&self) -> Result<()> {
        if self.head()?.starts_with(LFS_POINTER) {
            return Err(self.malformed("the file itself is kept by Git LFS and was not fetched"));
        }
        Ok(())
    }

    fn file(&self) -> Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path).at("read", &self.path)?;
        Ok(self.file.get_or_init(|| file))
    }
}

impl fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFile")
            .field("path", &self.path)
            .field("name", &self.name)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ModelFolder;
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name_in_the_project() {
        let folder = ModelFolder::new();
        let file = folder.file("models/A.Tar.GGUF", b"GGUF");
        assert_eq!(file.name().as_str(), "models/A.Tar.GGUF");
        assert_eq!((file.file_name(), file.extension()), ("A.Tar.GGUF", "gguf"));
        assert_eq!(folder.file("a.b/Makefile", b"").extension(), "");
        assert_eq!(
            file.malformed("it is bad").to_string(),
            "it is bad (models/A.Tar.GGUF)"
        );
        let name = RelPath::parse("x").unwrap();
        let error = ModelFile::open(folder.path(), name.clone()).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
        let error = ModelFile::open(&folder.path().join("none"), name).unwrap_err();
        assert_eq!(error.code(), "STORAGE_ERROR");
    }

    #[test]
    fn the_head_is_read_once_and_no_further_than_its_cap() {
        let folder = ModelFolder::new();
        let file = folder.file("a", &vec![7; MAX_HEAD_BYTES + 1]);
        let first = file.head().unwrap().as_ptr();
        assert_eq!(file.head().unwrap().len(), MAX_HEAD_BYTES);
        assert_eq!(file.head().unwrap().as_ptr(), first);
        assert_eq!(folder.file("b", b"").head().unwrap(), b"");
        let beyond = file.read_at(MAX_HEAD_BYTES as u64, &mut [0; 2]);
        assert_eq!(beyond.unwrap_err().code(), "STORAGE_ERROR");
        // The cut goes through a character of two bytes.
        let mut text = vec![b'a'; MAX_HEAD_BYTES - 1];
        text.extend("π".bytes());
        let head = folder.file("c", &text).head_text().unwrap();
        assert!(head.ends_with("a\u{fffd}"));
    }

    #[test]
    fn text_is_utf_8_of_a_size() {
        let folder = ModelFolder::new();
        let marked = folder.file("a", "\u{feff}a\r\nπ".as_bytes());
        assert_eq!(marked.text(100).unwrap(), "a\r\nπ");
        assert_eq!(marked.head_text().unwrap(), "a\r\nπ");
        assert_eq!(marked.text(marked.size_bytes()).unwrap(), "a\r\nπ");
        let large = marked.text(marked.size_bytes() - 1).unwrap_err();
        assert_eq!(
            large.to_string(),
            "more than 7 bytes are not read as text (a)"
        );
        let latin = folder.file("b", b"caf\xe9").text(100).unwrap_err();
        assert_eq!(latin.to_string(), "the file is not UTF-8 text (b)");
        assert_eq!(latin.code(), "REGISTRY_ERROR");
    }
}

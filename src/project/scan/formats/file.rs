//! Files that may be models, of which a format reads no more than it needs.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::disk::pointer::PointerCheck;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::platform::read_exact_at;
use crate::relpath::RelPath;
use crate::size::size;

/// The most that [`ModelFile::head`] reads of a file, in bytes: enough to recognise a format. [`ModelFile`] has an example.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// How much of a parser's message is kept in an error, in characters.
const MAX_CAUSE_CHARS: usize = 300;

/// The byte-order mark that some editors write at the start of UTF-8 text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A file that may be a model. It is opened when it is first read, and only the parts that are asked for are read.
///
/// ```
/// use modelrack::manifest::RelPath;
/// use modelrack::project::formats::{MAX_HEAD_BYTES, ModelFile};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tiny.BIN");
/// std::fs::write(&path, b"TINY\x02\x00weights")?;
/// let file = ModelFile::open(&path, RelPath::parse("models/tiny.BIN")?)?;
/// assert_eq!((file.name().as_str(), file.file_name(), file.extension()), ("models/tiny.BIN", "tiny.BIN", "bin"));
///
/// // The beginning tells the format; it is read once.
/// assert!(file.head()?.starts_with(b"TINY"));
/// assert!(file.head()?.len() <= MAX_HEAD_BYTES);
///
/// // The rest is read where it is needed.
/// let mut version = [0; 2];
/// file.read_at(4, &mut version)?;
/// assert_eq!((u16::from_le_bytes(version), file.size_bytes()), (2, 13));
///
/// let error = file.malformed("the tensors are missing");
/// assert_eq!(error.to_string(), "the tensors are missing (models/tiny.BIN)");
/// assert!(file.text(10).is_err(), "it has more than 10 bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ModelFile {
    path: PathBuf,
    name: RelPath,
    extension: String,
    size_bytes: u64,
    file: OnceLock<File>,
    head: OnceLock<Vec<u8>>,
}

impl ModelFile {
    /// Looks at a file on this machine; `name` is its path in the project, which errors name. [`ModelFile`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if it is not a file but, for example, a folder or a pipe; the storage errors.
    pub fn open(path: &Path, name: RelPath) -> Result<Self> {
        let metadata = fs::metadata(path).at("read", path)?;
        if !metadata.is_file() {
            let message = format!("{} is not a file", path.display());
            return Err(Error::argument(message).naming(path));
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

    /// Returns its path in the project; [`ModelFile`] has an example.
    #[must_use]
    pub fn name(&self) -> &RelPath {
        &self.name
    }

    /// Returns the last component of its path; [`ModelFile`] has an example.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.name.components().last().unwrap_or_default()
    }

    /// Returns its extension in lower case, without the dot; empty if it has none. [`ModelFile`] has an example.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Returns its size when it was opened, in bytes; [`ModelFile`] has an example.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns its beginning, at most [`MAX_HEAD_BYTES`], which is read once. [`ModelFile`] has an example.
    ///
    /// # Errors
    /// The storage errors.
    pub fn head(&self) -> Result<&[u8]> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let mut head = vec![0; self.size_bytes.min(MAX_HEAD_BYTES as u64) as usize];
        self.read_at(0, &mut head)?;
        Ok(self.head.get_or_init(|| head))
    }

    /// Fills a buffer with the bytes at an offset; [`ModelFile`] has an example.
    ///
    /// # Errors
    /// The storage errors, also if the file ends before the buffer is full.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = self.reopen()?;
                self.file.get_or_init(|| file)
            }
        };
        self.at(read_exact_at(file, buffer, offset))
    }

    /// Reads the whole file as text, without a byte-order mark: UTF-8, or UTF-16 if it begins with the mark of that.
    /// [`ModelFile`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if the file has more than `max_bytes` or is not such text; the storage errors.
    pub fn text(&self, max_bytes: u64) -> Result<String> {
        let text = decode(&self.bytes(max_bytes)?);
        text.map_err(|(message, error)| self.unreadable(message, error))
    }

    /// Reads the whole file as text of a program that reads bytes. Where it is not UTF-8, each byte is a character.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if the file has more than `max_bytes`; the storage errors.
    pub(crate) fn text_of_bytes(&self, max_bytes: u64) -> Result<String> {
        Ok(text_of_bytes(&self.bytes(max_bytes)?))
    }

    /// Reads the whole file.
    pub(crate) fn bytes(&self, max_bytes: u64) -> Result<Vec<u8>> {
        let most = size(max_bytes);
        let message = format_args!("more than {most} are not read as text");
        self.ensure(self.size_bytes <= max_bytes, message)?;
        let mut bytes = Vec::new();
        let mut limited = self.reopen()?.take(max_bytes.saturating_add(1));
        self.at(limited.read_to_end(&mut bytes))?;
        // It may have grown since it was looked at.
        self.ensure(bytes.len() as u64 <= max_bytes, message)?;
        Ok(bytes)
    }

    /// Reads its start as text. What is not UTF-8 is replaced, including a character that is cut at the end.
    pub(super) fn head_text(&self) -> Result<String> {
        let head = self.head()?;
        if let Some(units) = utf16(head) {
            return Ok(String::from_utf16_lossy(&units));
        }
        let text = String::from_utf8_lossy(head);
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        Ok(unmarked.unwrap_or(&text).to_owned())
    }

    /// Opens another file, by its path from the folder of this one; `None` if it is not there, or is not below that folder.
    pub(super) fn beside(&self, path: &str) -> Option<Self> {
        let name = RelPath::parse(&path.replace('\\', "/")).ok()?;
        let place = name.below(self.path.parent()?);
        place
            .symlink_metadata()
            .ok()
            .filter(fs::Metadata::is_file)?;
        Self::open(&place, name).ok()
    }

    /// Opens the file again: reading front to back moves the position of a handle, and on Windows, so does
    /// [`ModelFile::read_at`].
    pub(super) fn reopen(&self) -> Result<File> {
        self.at(File::open(&self.path))
    }

    /// Adds the path to the error of reading the file.
    pub(super) fn at<T>(&self, result: io::Result<T>) -> Result<T> {
        result.at("read", &self.path)
    }

    /// Creates the error of a file that violates its format; [`ModelFile`] has an example.
    #[must_use]
    pub fn malformed(&self, message: impl Into<String>) -> Error {
        Error::registry(&self.name, message).naming(self.name.as_str())
    }

    /// Returns that error unless a rule holds.
    pub(super) fn ensure(&self, holds: bool, message: impl fmt::Display) -> Result<()> {
        self.ensure_some(holds.then_some(()), message)
    }

    /// Returns a value, or that error if there is none.
    pub(super) fn ensure_some<T>(&self, value: Option<T>, message: impl fmt::Display) -> Result<T> {
        value.ok_or_else(|| self.malformed(message.to_string()))
    }

    /// Returns the same error with the message of a parser, of which only the start is kept: it may quote the file.
    pub(super) fn unreadable(&self, message: &str, cause: impl fmt::Display) -> Error {
        let cause: String = cause.to_string().chars().take(MAX_CAUSE_CHARS).collect();
        Error::registry_from(&self.name, message, cause).naming(self.name.as_str())
    }

    /// Refuses the text that stands in for a file which was not fetched.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if the file is such a text; the storage errors.
    pub(super) fn refuse_pointer(&self) -> Result<()> {
        let mut pointer = PointerCheck::default();
        pointer.update(self.head()?);
        let refused = pointer.finish(&self.name);
        refused.map_err(|error| error.naming(self.name.as_str()))
    }
}

/// Returns what was read; `None` if that failed because a file is too large or not text, and is not known to be of a format:
/// files of other programs may be anything.
pub(super) fn if_known<T>(read: Result<T>, is_known: bool) -> Result<Option<T>> {
    match read {
        Err(error) if !is_known && matches!(error.kind(), ErrorKind::Registry { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// Returns a text of bytes as UTF-8; if it is not, each byte is a character.
pub(crate) fn text_of_bytes(bytes: &[u8]) -> String {
    decode(bytes).unwrap_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// Returns a text, UTF-8 or with the mark of UTF-16, without that mark; else the message for its encoding, and the cause.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, (&'static str, String)> {
    let because = |message, cause: &dyn fmt::Display| (message, cause.to_string());
    if let Some(units) = utf16(bytes) {
        let text = String::from_utf16(&units);
        return text.map_err(|error| because("the file is not UTF-16 text", &error));
    }
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| because("the file is not UTF-8 text", &error))?;
    Ok(text
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(text)
        .to_owned())
}

/// Returns the units of UTF-16, if the bytes begin with the mark of one of its two orders.
fn utf16(bytes: &[u8]) -> Option<Vec<u16>> {
    let unit = match bytes.get(..2)? {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let pairs = bytes[2..].chunks(2);
    let units = pairs.map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or_default()]));
    Some(units.collect())
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
    fn errors_call_a_file_by_its_name_in_the_project() {
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
    fn the_head_is_read_once_and_has_a_maximum_length() {
        let folder = ModelFolder::new();
        let file = folder.file("a", &vec![7; MAX_HEAD_BYTES + 1]);
        let first = file.head().unwrap().as_ptr();
        assert_eq!(file.head().unwrap().len(), MAX_HEAD_BYTES);
        assert_eq!(file.head().unwrap().as_ptr(), first);
        assert_eq!(folder.file("b", b"").head().unwrap(), b"");
        let beyond = file.read_at(MAX_HEAD_BYTES as u64, &mut [0; 2]);
        assert_eq!(beyond.unwrap_err().code(), "STORAGE_ERROR");
        // The head ends in the middle of a two-byte character.
        let mut text = vec![b'a'; MAX_HEAD_BYTES - 1];
        text.extend("π".bytes());
        let head = folder.file("c", &text).head_text().unwrap();
        assert!(head.ends_with("a\u{fffd}"));
    }

    #[test]
    fn text_is_utf_8_and_has_a_maximum_length() {
        let folder = ModelFolder::new();
        let marked = folder.file("a", "\u{feff}a\r\nπ".as_bytes());
        assert_eq!(marked.text(100).unwrap(), "a\r\nπ");
        assert_eq!(marked.head_text().unwrap(), "a\r\nπ");
        assert_eq!(marked.text(marked.size_bytes()).unwrap(), "a\r\nπ");
        let large = marked.text(marked.size_bytes() - 1).unwrap_err();
        assert_eq!(large.to_string(), "more than 7 B are not read as text (a)");
        let latin = folder.file("b", b"caf\xe9").text(100).unwrap_err();
        assert_eq!(latin.to_string(), "the file is not UTF-8 text (b)");
        assert_eq!(latin.code(), "REGISTRY_ERROR");
        assert_eq!(
            folder.file("b", b"caf\xe9").text_of_bytes(100).unwrap(),
            "café"
        );
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = "\u{feff}a π 𝄞".encode_utf16().flat_map(order).collect();
            let file = folder.file("c", &wide);
            assert_eq!(file.text(100).unwrap(), "a π 𝄞");
            assert_eq!(file.head_text().unwrap(), "a π 𝄞");
        }
        let half = folder.file("d", b"\xff\xfe\x00\xd8").text(100).unwrap_err();
        assert_eq!(half.to_string(), "the file is not UTF-16 text (d)");
    }
}

//! The kinds of archive that files of a model may come in, and what undoes their compression.

use std::fmt;
use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

#[cfg(not(feature = "zstd"))]
use std::io;

/// How much is read at once of an archive.
const BUFFER_BYTES: usize = 128 << 10;

/// How files of a model are packed.
///
/// ```
/// use modelrack::manifest::ArchiveFormat;
///
/// assert_eq!(ArchiveFormat::TarGzip.as_str(), "tar+gzip");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// A tar.
    #[serde(rename = "tar")]
    Tar,
    /// A tar, compressed with gzip.
    #[serde(rename = "tar+gzip")]
    TarGzip,
    /// A tar, compressed with Zstandard. Unpacking it takes the feature `zstd`.
    #[serde(rename = "tar+zstd")]
    TarZstd,
}

impl ArchiveFormat {
    /// Returns the name that `--json` uses; [`ArchiveFormat`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGzip => "tar+gzip",
            Self::TarZstd => "tar+zstd",
        }
    }

    /// Returns the tar in an archive.
    pub(crate) fn decompressed<'a>(self, archive: impl Read + 'a) -> Box<dyn Read + 'a> {
        let archive = BufReader::with_capacity(BUFFER_BYTES, archive);
        match self {
            Self::Tar => Box::new(archive),
            Self::TarGzip => Box::new(MultiGzDecoder::new(archive)),
            #[cfg(feature = "zstd")]
            Self::TarZstd => Box::new(super::zstd::ZstdDecoder::new(archive)),
            #[cfg(not(feature = "zstd"))]
            Self::TarZstd => Box::new(Unsupported),
        }
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An archive that this build cannot read.
#[cfg(not(feature = "zstd"))]
struct Unsupported;

#[cfg(not(feature = "zstd"))]
impl Read for Unsupported {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let message = "it is compressed with Zstandard, and this program was built without the feature 'zstd'";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}

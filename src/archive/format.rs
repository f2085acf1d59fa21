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
    /// A single file, compressed with gzip.
    #[serde(rename = "gzip")]
    Gzip,
    /// A single file, compressed with Zstandard. Unpacking it takes the feature `zstd`.
    #[serde(rename = "zstd")]
    Zstd,
}

impl ArchiveFormat {
    /// Returns the name that `--json` uses; [`ArchiveFormat`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGzip => "tar+gzip",
            Self::TarZstd => "tar+zstd",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether there is a tar in it, whose files have names of their own.
    pub(crate) fn is_tar(self) -> bool {
        matches!(self, Self::Tar | Self::TarGzip | Self::TarZstd)
    }

    /// Returns the tar or the file in an archive.
    pub(crate) fn decompressed<'a>(self, archive: impl Read + 'a) -> Box<dyn Read + 'a> {
        let archive = BufReader::with_capacity(BUFFER_BYTES, archive);
        match self {
            Self::Tar => Box::new(archive),
            Self::TarGzip | Self::Gzip => Box::new(MultiGzDecoder::new(archive)),
            #[cfg(feature = "zstd")]
            Self::TarZstd | Self::Zstd => Box::new(super::zstd::ZstdDecoder::new(archive)),
            #[cfg(not(feature = "zstd"))]
            Self::TarZstd | Self::Zstd => Box::new(Unsupported),
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

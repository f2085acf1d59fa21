//! Errors of the file system.

use std::io::{self, ErrorKind as Kind};
use std::path::Path;

use super::{Error, ErrorKind, Result};

/// Returns whether an operation of the file system failed because nothing exists at the path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory)
}

/// Adds the path to errors of the file system.
pub(crate) trait IoContext<T> {
    /// Adds the operation ("read", "write", …) and the path to an error.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            let path = path.to_owned();
            Error::from(match source.kind() {
                Kind::StorageFull | Kind::QuotaExceeded => ErrorKind::InsufficientSpace {
                    path,
                    needed_bytes: 0,
                    available_bytes: 0,
                },
                Kind::PermissionDenied | Kind::ReadOnlyFilesystem => ErrorKind::Permission {
                    action,
                    path,
                    source,
                },
                _ => ErrorKind::Storage {
                    action,
                    path,
                    source,
                },
            })
        })
    }
}

impl Error {
    /// Takes an error of ours out of that of a reader, which can only pass on errors of the standard library.
    pub(crate) fn of_payload(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_refusals_become_their_own_cases() {
        let fail = |kind: io::ErrorKind| {
            Err::<(), _>(io::Error::from(kind))
                .at("write", Path::new("x"))
                .unwrap_err()
        };
        assert_eq!(
            fail(io::ErrorKind::StorageFull).code(),
            "INSUFFICIENT_SPACE"
        );
        assert_eq!(
            fail(io::ErrorKind::ReadOnlyFilesystem).code(),
            "PERMISSION_ERROR"
        );
        assert_eq!(fail(io::ErrorKind::NotADirectory).code(), "STORAGE_ERROR");
    }
}

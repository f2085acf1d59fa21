//! `TryFrom<&str>` and `TryFrom<String>` for every type that has [`FromStr`].

use std::str::FromStr;

use crate::digest::{Digest, GitBlobId};
use crate::model::{ModelAddress, ModelName, ModelPattern, ModelRef};
use crate::relpath::RelPath;
use crate::url::Url;

macro_rules! try_from_text {
    ($($parsed:ty),* $(,)?) => {$(
        impl TryFrom<&str> for $parsed {
            type Error = <Self as FromStr>::Err;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl TryFrom<String> for $parsed {
            type Error = <Self as FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )*};
}

try_from_text!(
    ModelName,
    ModelRef,
    ModelAddress,
    ModelPattern,
    Digest,
    GitBlobId,
    RelPath,
    Url,
);

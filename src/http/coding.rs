//! Bodies that come compressed although the request asks for the bytes as they are: buckets keep objects so, and some
//! servers compress whatever is requested.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::{Failure, GetOptions, network};
use crate::error::Result;
use crate::url::Url;

/// Returns the codings that have to be undone, in the order in which they were applied. `total` is the size of the
/// document as the server has it.
///
/// Some servers label a file that is an archive itself, such as `weights.tar.gz`, in the same way.
pub(super) fn codings(
    header: &str,
    total: Option<u64>,
    requested: &Url,
    options: &GetOptions,
) -> Vec<String> {
    let is_archive = [".gz", ".tgz"]
        .iter()
        .any(|it| requested.path().ends_with(it));
    let is_as_published = match options.size_bytes {
        Some(size_bytes) if total.is_some() => total == Some(size_bytes),
        _ => is_archive,
    };
    let codings = header.split(',').map(str::trim);
    // Others are not codings, such as `utf-8`, or concern only the upload, such as `aws-chunked`.
    let compresses = |coding: &&str| KNOWN.iter().any(|known| known.eq_ignore_ascii_case(coding));
    codings
        .filter(|coding| !is_as_published && compresses(coding))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// The codings of the [registry] that compress.
///
/// [registry]: https://www.iana.org/assignments/http-parameters
const KNOWN: [&str; 9] = [
    "gzip",
    "x-gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "x-compress",
    "dcb",
    "dcz",
];

/// Undoes codings.
pub(super) fn decoded(
    url: &Url,
    body: Box<dyn Read + Send>,
    codings: &[String],
) -> Result<Box<dyn Read + Send>, Failure> {
    codings.iter().rev().try_fold(body, |body, coding| {
        let decoded: Box<dyn Read + Send> = match coding.as_str() {
            "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(body)),
            "deflate" => Box::new(ZlibDecoder::new(body)),
            _ => {
                let message = format!("the server compresses the response ({coding}) unasked");
                return Err(Failure::last(network(url, Some(200), &message, None)));
            }
        };
        Ok(decoded)
    })
}

//! `file://` URLs, served as a server would: for machines without a network, and for testing a registry.
//!
//! What is in a tar has a URL as well, that of the tar followed by its name there: a registry may be in one file.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, IoContext};
use crate::http::tars::{OpenDocument, Tars};
use crate::http::transport::{Request, Response, TransportError};

/// Opens the file of a URL: 200 with its bytes, 206 with a range, 404 if it does not exist.
///
/// # Errors
/// That of the file system where there is something that cannot be read: no server refuses it.
pub(crate) fn get(
    request: &Request<'_>,
    range: Option<&Range<u64>>,
    tars: &Tars,
) -> Result<Response, TransportError> {
    let empty = |status| response(status, &[], io::empty());
    let Some(path) = request.url.to_file_path() else {
        return Ok(empty(404));
    };
    let opened = match open(&path) {
        Err(error) if is_missing(&error) => tars.open(&path)?.ok_or(error),
        opened => opened,
    };
    let (mut file, content) = match opened {
        Ok(document) => document,
        Err(error) if is_missing(&error) => return Ok(empty(404)),
        Err(error) => return Err(unreadable(error, &path)),
    };
    let len = content.end - content.start;
    let part = range.filter(|range| range.end <= len);
    let wanted = part.cloned().unwrap_or(0..len);
    let length = wanted.end.saturating_sub(wanted.start);
    let start = content.start.saturating_add(wanted.start);
    let sought = file.seek(SeekFrom::Start(start));
    sought.map_err(|error| unreadable(error, &path))?;
    let body = file.take(length);
    let content_length = ("content-length", length.to_string());
    Ok(match part {
        Some(part) => {
            let last = part.end.saturating_sub(1);
            let content_range = format!("bytes {}-{last}/{len}", part.start);
            let headers = [content_length, ("content-range", content_range)];
            response(206, &headers, body)
        }
        None => response(200, &[content_length], body),
    })
}

fn open(path: &Path) -> io::Result<OpenDocument> {
    // Opening a pipe waits for somebody who writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, 0..length))
}

/// Whether nothing is there that has a content.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

fn response(status: u16, headers: &[(&str, String)], body: impl Read + Send + 'static) -> Response {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Response {
        status,
        headers: headers.collect(),
        body: Box::new(body),
    }
}

fn unreadable(error: io::Error, path: &Path) -> TransportError {
    match Err::<Infallible, _>(error).at("read", path) {
        Err(error) => refused(error),
    }
}

/// Hands an error of ours through the transport, out of which it comes itself.
pub(super) fn refused(error: Error) -> TransportError {
    TransportError {
        message: "cannot read the file".into(),
        transient: false,
        source: Some(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_refused_by_the_disk() {
        for (kind, code) in [
            (io::ErrorKind::PermissionDenied, "PERMISSION_ERROR"),
            (io::ErrorKind::Other, "STORAGE_ERROR"),
        ] {
            let failed = unreadable(kind.into(), Path::new("models.json"));
            assert!(!failed.transient);
            let error = failed.source.unwrap().downcast::<Error>().unwrap();
            assert_eq!(error.code(), code);
            assert_eq!(error.path(), Some(Path::new("models.json")));
        }
    }
}
